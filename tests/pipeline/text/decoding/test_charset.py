import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.text.decoding.charset import UNWANTED, decode, printable

RUSSIAN = "<p>Съешь ещё этих мягких французских булок, да выпей чаю. Широкая электрификация."
JAPANESE = "<p>いろはにほへと ちりぬるを わかよたれそ つねならむ。日本国民は、正当に選挙された"
CHINESE = "<p>人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。"
TAIWANESE = "<p>人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心,並應以兄弟關係相對待。"
KOREAN = "<p>매일 아침 집배원은 강가의 낡은 물레방아를 지나갔다. 그는 편지를 전했다."
FRENCH = "<p>Tous les êtres humains naissent libres et égaux en dignité, à l’été."


@pytest.mark.parametrize(
    ("text", "charset", "content_type", "source"),
    [
        (FRENCH, "utf-8", None, "utf-8"),
        (FRENCH, "utf-8", "text/html; charset=iso-8859-1", "utf-8"),  # the header lies
        (FRENCH, "cp1252", "text/html; charset=iso-8859-1", "header"),
        (FRENCH, "cp1252", "text/html; charset=utf-8", "detected"),  # the header lies
        (RUSSIAN, "cp1251", 'text/html; charset="windows-1251"', "header"),
        (RUSSIAN, "koi8-r", "text/html;charset=KOI8-R", "header"),
        (RUSSIAN, "cp1251", None, "detected"),
        (RUSSIAN, "cp1251", "text/html; charset=nonsense-8", "detected"),
        (JAPANESE, "shift_jis", "text/html; charset=Shift_JIS", "header"),
        (JAPANESE, "euc_jp", None, "detected"),
        (JAPANESE, "iso2022_jp", "text/html; charset=iso-2022-jp", "header"),
        (CHINESE, "gb18030", "text/html; charset=gb2312", "header"),
        (TAIWANESE, "big5", None, "detected"),
        (RUSSIAN, "utf-16-le", None, "detected"),
        (FRENCH, "utf-16-be", "text/html; charset=utf-8", "detected"),
        (KOREAN, "euc-kr", None, "detected"),
        (KOREAN, "cp949", "text/html; charset=utf-8", "detected"),
        (CHINESE * 20 + "</p></div>", "utf-16-le", "text/html; charset=utf-16le", "header"),
        (FRENCH, "cp1252", "text/html; x-charset=koi8-r; charset=cp1252", "header"),
    ],
)
def test_text_is_read_whatever_the_labels_say(text, charset, content_type, source):
    found = decode(text.encode(charset), content_type)
    assert (found.text, found.source) == (text, source)


@pytest.mark.parametrize(
    "tag",
    [
        b'<meta charset="windows-1251">',
        b"<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset=windows-1251'>",
        b'<?xml version="1.0" encoding="windows-1251"?>',
    ],
)
def test_a_page_that_names_its_charset_is_believed(tag):
    found = decode(tag + RUSSIAN.encode("cp1251"), "text/html")
    assert found.text == tag.decode() + RUSSIAN
    assert found.source == "meta"


def test_the_header_goes_before_the_meta_tag():
    body = b'<meta charset="koi8-r">' + RUSSIAN.encode("cp1251")
    assert decode(body, "text/html; charset=windows-1251").text.endswith(RUSSIAN)


@pytest.mark.parametrize(
    ("bom", "charset"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_a_byte_order_mark_goes_before_all_and_leaves_the_text(bom, charset):
    found = decode(bom + FRENCH.encode(charset), "text/html; charset=koi8-r")
    assert (found.text, found.source) == (FRENCH, "bom")


def test_a_slip_or_a_cut_end_does_not_make_utf8_something_else():
    body = FRENCH.encode() * 3
    slipped = body.replace("é".encode(), b"\xe9", 1)
    assert decode(slipped, None).text.count("\ufffd") == 1
    assert decode(body + "é".encode()[:1], "text/html; charset=cp1252").charset == "utf-8"


def test_no_text_holds_what_parquet_cannot():
    assert printable("a\x00\x01b\ud800\udfffc\ufffed\te\n") == "abcd\te\n"


@given(st.binary(max_size=3000), st.none() | st.text(max_size=60))
def test_any_bytes_give_text_that_utf8_can_hold(body, content_type):
    text = decode(body, content_type).text
    assert text == printable(text)
    text.encode()


@given(
    st.text(st.characters() | st.sampled_from("\x00\x0b\x7f\ufffe\uffff\ud800ab\n"), max_size=20)
)
def test_the_quick_look_for_unwanted_characters_misses_none(text):
    assert printable(text) == UNWANTED.sub("", text)
