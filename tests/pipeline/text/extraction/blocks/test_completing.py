"""What is taken with chosen blocks: the heading over them and tables of data beside them."""

import pytest

from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.blocks.completing import completed
from webtext.pipeline.text.extraction.blocks.evidence import evidence
from webtext.pipeline.text.extraction.blocks.writing import written
from webtext.pipeline.text.extraction.parse import parse

ROWS = "<tr><td>Ash</td><td>7</td></tr><tr><td>Oak</td><td>9</td></tr>"
TABLE = f"<table>{ROWS}</table>"
LINKS = ROWS.replace("<td>Ash", "<td><a href='/a'>Ash tree</a>").replace(
    "<td>Oak", "<td><a href='/b'>Oak tree</a>"
)


def taken(inside, chance=0.3):
    """Return the text where only blocks that begin with a star are chosen at first."""
    found, places = blocks(parse(f"<html><body>{inside}</body></html>"))
    evidence(found, places, "")
    takes = completed(found, [b.text[0] == "*" for b in found], [chance] * len(found))
    return written([block for block, take in zip(found, takes, strict=True) if take])


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<p>*Trees</p>{TABLE}", "*Trees\nAsh | 7\nOak | 9"),
        (f"{TABLE}<p>*Trees</p>", "Ash | 7\nOak | 9\n*Trees"),
        (f"<p>*Trees</p><div>{TABLE}</div>", "*Trees"),
        (f"<p>*Trees</p><table>{ROWS[: len(ROWS) // 2]}</table>", "*Trees"),
        (f"<p>*Trees</p><table>{LINKS}</table>", "*Trees"),
        (f"<p>*Trees</p><table class='sidebar'>{ROWS}</table>", "*Trees"),
        (f"<div><table>{ROWS.replace('Ash', '*Ash').replace('7', '*7')}</table></div>",
         "*Ash | *7\nOak | 9"),
        (f"{TABLE}<p>Trees</p>", ""),
    ],
)  # fmt: skip
def test_a_table_of_data_beside_the_text_is_taken_whole(inside, text):
    assert taken(inside) == text


ITEMS = "<li>*Ash</li><li>Oak</li>"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<ul>{ITEMS}</ul>", "- *Ash\n- Oak"),
        ("<dl><dt>*Ash</dt><dd>Tall.</dd></dl>", "*Ash\nTall."),
        (f"<nav><ul>{ITEMS}</ul></nav>", "- *Ash"),
        ("<ul><li>*Ash</li><li><a href='/o'>Oak and more of it</a></li></ul>", "- *Ash"),
        ("<p>*Run:</p><pre>ash</pre>", "*Run:\nash"),
        ("<p>*Run</p><pre>ash</pre>", "*Run\nash"),
        ("<p>*Run</p><div><pre>ash</pre></div><aside><pre>oak</pre></aside>", "*Run\nash"),
        ("<p>*One</p><p>two</p><p>*three</p>", "*One\ntwo\n*three"),
        ("<p>*One</p><p><a href='/t'>two</a></p><p>*three</p>", "*One\n*three"),
        ("<p>*One</p><div class='share'>two</div><p>*three</p>", "*One\n*three"),
        ("<p>*One</p><p>a</p><p>b</p><p>c</p><p>d</p><p>*two</p>", "*One\n*two"),
        ("<div>*Run<p>on</p></div><p>off</p>", "*Run\non"),
        ("<div>*Run<div class='share'><p>on</p></div></div>", "*Run"),
        ("<p>*Ash</p><div class='footnotes'><p>Tall.</p></div><p>Oak</p>", "*Ash\nTall."),
        ("<p>*Ash</p><div class='footnotes'><p><a href='/t'>Tall</a></p></div>", "*Ash"),
        ("<ol><li>*Ash<ol><li>tall</li></ol></li><li>Oak</li></ol>",
         "1. *Ash\n1. tall\n2. Oak"),
        ("<div>*If it<dl><dt>1.</dt><dd>grows</dd></dl></div>", "*If it\n1.\ngrows"),
        ("<p>*Ash</p><ul><li>tall</li></ul>", "*Ash"),
    ],
)  # fmt: skip
def test_what_stands_in_a_text_that_is_taken_is_taken(inside, text):
    assert taken(inside) == text


POST = "<div class='post'><b>{}</b><p>{}</p></div>"
LONG = "*Pine tar, as my father did, and never any other."


def test_a_short_post_is_taken_where_most_of_the_thread_is():
    thread = POST.format("ann", LONG) + POST.format("ben", "No.") + POST.format("eve", LONG)
    assert taken(thread, 0.25).count("No.") == 1
    assert "No." not in taken(POST.format("ann", LONG) + POST.format("ben", "No. " * 99), 0.25)
    assert "No." not in taken(thread, 0.1)
    assert "No." not in taken(thread.replace("post", "row"), 0.25)


@pytest.mark.parametrize(("chance", "whole"), [(0.05, True), (0.01, False)])
def test_a_list_after_a_colon_is_taken_unless_it_is_hopeless(chance, whole):
    text = taken("<p>*You need:</p><ul><li>ash</li><li>oak</li></ul>", chance)
    assert text == ("*You need:\n- ash\n- oak" if whole else "*You need:")


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<h1>Trees</h1><h2>Ash</h2><p>*Tall</p>", "Trees\nAsh\n*Tall"),
        ("<div><h2>Ash</h2></div><p>*Tall</p>", "Ash\n*Tall"),
        ("<h2><a href='/a'>Ash</a></h2><p>*Tall</p>", "*Tall"),
        ("<p>*Tall</p><h2>Ash</h2>", "*Tall"),
        ("<p>Ash</p><p>*Tall</p>", "*Tall"),
        ("<aside><h2>Ash</h2></aside><p>*Tall</p>", "*Tall"),
    ],
)
def test_the_heading_over_a_text_is_taken(inside, text):
    assert taken(inside) == text


def test_a_heading_that_is_hardly_a_part_of_the_text_is_left_out():
    assert taken("<h2>Ash</h2><p>*Tall</p>", 0.05) == "*Tall"
