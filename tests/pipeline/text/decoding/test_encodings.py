from itertools import product
from pathlib import Path

import pytest

from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.decoding.encodings import decoded, encoding
from webtext.pipeline.text.decoding.prescan import declared


@pytest.mark.parametrize(
    ("name", "stored", "text"),
    [
        ("shift_jis", b"\x87\x40\x87\x54\xfa\xb1\x8b\x9e", "①Ⅰ﨑京"),
        ("shift_jis", b"\x81\x60\x81\x7c", "\uff5e\uff0d"),
        ("shift_jis", b"\x81<p>\x81\xff!", "\ufffd<p>\ufffd!"),
        ("euc-jp", b"\xad\xa1\xad\xb5\xa1\xc1\x8f\xb0\xa1\x8e\xb1", "①Ⅰ\uff5e丂ｱ"),
        ("euc-jp", b"\xf9\xa1\xa4\xa2", "纊あ"),
        ("euc-kr", b"\x8c\x63\xb0\xa1", "똠가"),
        ("big5", b"\x87\x40\xa4\xa4\xa3\xe1", "\u43f0中€"),
        ("gbk", b"\x80\xd6\xd0\xa8\xbc\x81\x30\x81\x30", "€中\u1e3f\x80"),
        ("gb18030", b"\xfe\x59\xa6\xd9", "\u9fb4\ufe10"),
        ("shift_jis", b"\xb1\xb2\\~\xf0\x40", "ｱｲ\\~\ue000"),
        ("euc-kr", b"\xc8\xfe\xb0<p>", "힝\ufffd<p>"),
        ("big5", b"\x88\x62\x88\xa5", "Ê̄ê̌"),
        ("gb18030", b"\x90\x30\x81\x30\x84\x31\xa4\x37", "\U00010000\ufffd"),
        ("gbk", b"\xa2\xe3\x81", "€\ufffd"),
        ("iso-8859-15", b"\xa4\xbc", "€Œ"),
        ("windows-1253", b"\xaa\xd2\xc1", "\ufffd\ufffdΑ"),
        ("ibm866", b"\x80\xff", "А\xa0"),
        ("iso-2022-jp", b"\x1b$B$\x1b(Ba", "\ufffda"),
        ("windows-1258", b"\xd2e", "\u0309e"),
        ("utf-8", b"\xf0\x9f\x92a\xc0\x80\xed\xa0\x80", "\ufffda" + "\ufffd" * 5),
        ("windows-874", b"\x80\xa1\x85\xdb", "€ก…\ufffd"),
        ("windows-1252", b"\x80\x81\xe9", "€\x81é"),
        ("windows-1255", b"\xca\xe0", "\u05baא"),
        ("koi8-u", b"\xae\xbe\xa4", "ўЎє"),
        ("macintosh", b"\xd5\x8d\xdb", "’ç€"),
        ("x-mac-cyrillic", b"\x80\xb6\xff", "Аґ€"),
        ("x-user-defined", b"a\x80\xff", "a\uf780\uf7ff"),
        ("iso-8859-8-i", b"\xe0", "א"),
        ("iso-2022-jp", b'a\x1b$B$"-!\x1b(I1\x1b(J\\\x1b(Bz', "aあ①ｱ¥z"),
        ("replacement", b"anything", "\ufffd"),
        ("utf-16le", b"a\0\x3d\xd8\x00", "a\ufffd"),
    ],
)
def test_bytes_are_read_as_the_encoding_standard_has_them(name, stored, text):
    assert decoded(stored, name) == text


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("x-sjis", "shift_jis"),
        ("MS_Kanji", "shift_jis"),
        ("ks_c_5601-1987", "euc-kr"),
        ("big5-hkscs", "big5"),
        ("TIS-620", "windows-874"),
        ("x-mac-ukrainian", "x-mac-cyrillic"),
        ("latin1", "windows-1252"),
        ("\tUTF8 ", "utf-8"),
        ("hz-gb-2312", "replacement"),
        ("unicode", "utf-16le"),
        ("ISO-8859-11", "windows-874"),
        ("us-ascii", "windows-1252"),
        ("latin5", "windows-1254"),
        ("windows-31j", "shift_jis"),
        ("sun_eu_greek", "iso-8859-7"),
        ("iso-2022-kr", "replacement"),
        ("dos-874", "windows-874"),
        ("big5-eten", None),
        ("utf-7", None),
        ("cp437", None),
    ],
)
def test_a_label_means_what_browsers_take_it_for(label, name):
    assert encoding(label) == name


META = b'<meta charset="windows-1251">'
FILLER = b"<p>" + b"words and words. " * 200


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (META, "windows-1251"),
        (b"<META Charset=koi8-r><meta charset=big5>", "koi8-r"),
        (b"<head>" + FILLER + META, "windows-1251"),
        (b"<!-- <meta charset=big5> -->" + META, "windows-1251"),
        (b"<!--><meta charset=big5><!-- -->", "big5"),
        (b"<script>s = '<meta charset=big5>'</script>" + META, "windows-1251"),
        (b"<style>/*<meta charset=big5>*/</style>" + META, "windows-1251"),
        (b"<title><meta charset=big5></title>" + META, "windows-1251"),
        (b"<textarea><meta charset=big5>", None),
        (b"<a title='<meta charset=big5>'>" + META, "windows-1251"),
        (b"<meta name=charset content=big5>" + META, "windows-1251"),
        (b"<meta content='text/html; charset=big5'>" + META, "windows-1251"),
        (b"<meta http-equiv=Content-Type content='text/html;charset=\"big5\"'>", "big5"),
        (b"<meta content='a; charset = big5 ; b' http-equiv='content-type'>", "big5"),
        (b"<metadata charset=big5>" + META, "windows-1251"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<meta charset=no-such>" + META, "windows-1251"),
        (b"<meta charset=&#98;ig5>" + META, "windows-1251"),
        (b"<meta charset=big5 charset=koi8-r>", "big5"),
        (b"<meta content='text/html; charsetx charset=big5' http-equiv=content-type>", "big5"),
        (b"<META\tCHARSET\n=\n'big5'\t>", "big5"),
        (b"</meta charset=big5>" + META, "windows-1251"),
        (b"<!meta charset=big5>" + META, "windows-1251"),
        (b"<?meta charset=big5?>" + META, "windows-1251"),
        (b"<!x <meta charset=big5>" + META, "windows-1251"),
        (b"<?php <meta charset=big5> ?>" + META, "windows-1251"),
        (b"</ <meta charset=big5>" + META, "windows-1251"),
        (b"<!x never closed", None),
        (b"<meta/charset=big5>", "big5"),
        (b"<p title=x<meta charset=big5>" + META, "windows-1251"),
        (b"<meta http-equiv=refresh content='0;url=?charset=big5'>" + META, "windows-1251"),
        (b"<script>x<!--</script>" + META, "windows-1251"),
        (b"<meta charset=''>" + META, "windows-1251"),
        (b"<?xml version='1.0' encoding='big5'?><p>", "big5"),
        (b"<!-- never closed " + META, None),
        (b"<meta charset='big5", None),
    ],
)
def test_a_declaration_is_found_as_browsers_find_it(page, label):
    assert declared(page) == label


CZECH = "Kavárna na nábřeží otevírá až v červnu; příští týden ještě ne."


@pytest.mark.parametrize(
    ("before", "content_type", "charset", "source"),
    [
        (b"", "text/html; charset=windows-1250", "windows-1250", "header"),
        (b"<meta charset=windows-1250>", "text/html", "windows-1250", "meta"),
        (b"<meta charset=koi8-r>", "text/html; charset=cp1250", "windows-1250", "header"),
        (b"<meta charset=windows-1250>", "text/html; charset=utf-8", "windows-1250", "meta"),
        (b"<meta charset=windows-1250>", "text/html; charset=utf-16", "windows-1250", "meta"),
        (b"<meta charset=utf-16><meta charset=koi8-r>", "text/html; charset=x-cp1250",
         "windows-1250", "header"),
        (b"<meta charset=windows-1250>", "text/html; charset=no-such", "windows-1250", "meta"),
        (b"<!--<meta charset=koi8-r>--><meta charset=cp1250>", None, "windows-1250", "meta"),
    ],
)  # fmt: skip
def test_one_decision_is_made_of_header_and_markup(before, content_type, charset, source):
    found = decode(before + CZECH.encode("cp1250"), content_type)
    assert (found.charset, found.source) == (charset, source)
    assert found.text.endswith(CZECH)


def test_utf16_that_is_claimed_in_bytes_of_eight_bits_is_not_believed():
    for stray in (b"", b"\0", b"\0\0" * 20):
        body = b"<meta charset=utf-16><p>" + stray + CZECH.encode()
        assert decode(body, "text/html; charset=utf-16le").text.endswith(CZECH)


def test_two_chinese_bytes_that_could_be_one_letter_are_what_the_page_says():
    body = b"<meta charset=gb2312><p>" + b"\xc4\xa3\xc4\xa3"  # also two letters of UTF-8
    assert decode(body).text.endswith("模模")


def test_a_script_of_markup_takes_linear_time():
    for piece in (b"<meta ", b"<a b='", b'<a b="', b"<!--", b"<!x", b"<script>", b"charset=", b"<"):
        assert declared(piece * 50_000) is None


def test_every_pair_is_read_without_an_error():
    pairs = b"".join(bytes(pair) for pair in product(range(0x80, 0x100), range(0x20, 0x100, 5)))
    for name in ("shift_jis", "euc-jp", "euc-kr", "big5", "gbk", "iso-2022-jp", "windows-1258"):
        text = decoded(pairs, name)
        assert len(pairs) / 3 < len(text) <= len(pairs)


def test_the_list_beyond_big5_names_its_source():
    root = Path(__file__).resolve().parents[4]
    first = (root / "pipeline" / "data" / "big5_beyond.index").read_text(encoding="utf-8")
    assert "encoding.spec.whatwg.org" in first.partition("\n1000\t")[0]
