import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from lxml import etree, html
from trafilatura import xpaths
from trafilatura.htmlprocessing import convert_tags, tree_cleaning
from trafilatura.settings import Extractor

from webtext.pipeline.text.extraction.charset import decode
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.trafilatura.cascade import LISTS
from webtext.pipeline.text.extraction.trafilatura.xpath import (
    MOST_ANSWERS,
    REGEXPS,
    Selector,
    Sorter,
)

PAGE = html.fromstring(
    "<html><body><div id=a class='big nav'>1</div><p class=nav>2</p><span class='big'>3</span>"
    "<div class=big id=nav><p role=''>4</p><div class=nav><h1>5</h1></div></div>"
    "<i class='nav'>6</i>"
)


def number(path, **how):
    return [element.text_content()[:1] for element in Selector(path, **how)(PAGE)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".//*[self::div or self::p][@class='nav']", ["2", "5"]),
        (".//*[contains(@class, 'nav') or @id='a']", ["1", "2", "5", "6"]),
        (".//*[re:test(@class, '^NAV$', 'i')]", ["2", "5", "6"]),
        (".//*[@role]", ["4"]),
        (".//div[re:test(@id|@class, 'nav')]", ["5"]),  # the first of the two, as it stands
        (".//*[starts-with(@id|@class, 'big')]", ["3", "4"]),
        (".//*[contains(translate(@class, 'n', 'x'), 'xav')][not(.//h1)]", ["1", "2", "6"]),
        (".//div[contains(@class, 'big')][not(.//h1)]", ["1"]),
        (".//span|.//p", ["2", "3", "4"]),
    ],
)
def test_a_selector_finds_what_the_expression_finds(path, found):
    theirs = etree.XPath(path, namespaces=REGEXPS)(PAGE)
    assert number(path) == [element.text_content()[:1] for element in theirs]
    assert number(path) == found


def test_the_first_alone_is_found_where_no_more_is_wanted():
    assert number("(.//*[self::p][@class='nav'])[1]|(.//span)[1]", first=True) == ["2"]
    assert number(".//table[@id='x'][1]", first=True) == []


@pytest.mark.parametrize(
    "path",
    [
        "//p",  # from the root
        ".//p[2]",
        ".//p[@id='a'][2]",
        ".//p[@id='a' and @class='b']",
        ".//p[contains(@class, '')]",  # true of every p
        ".//p[@id|@class='a']",
        ".//p[not(@id)]",
        ".//p[@id='a'",
        ".//p[@id='a'][last()]",
        ".//p[@id='a']/b",
        ".//p[@id=\"a']",
    ],
)
def test_an_expression_of_another_kind_is_refused(path):
    with pytest.raises(ValueError, match=r"."):
        Selector(path)


def test_answers_are_kept_for_a_while_only():
    select = Selector(".//p[contains(@id, '9')]")
    page = html.fromstring("".join(f"<p id=a{n}>" for n in range(MOST_ANSWERS + 5)))
    assert len(select(page)) == sum("9" in str(n) for n in range(MOST_ANSWERS + 5))
    assert len(select.branches[0].single["id"]) <= 6
    long = html.fromstring(f"<div><p id={'9' * 9999}></div>")
    assert len(select(long)) == 1
    assert "9" * 9999 not in select.branches[0].single["id"]


def trees(shared, every):
    """Yield trees of real pages, as they came, as trafilatura cleans them and converts them."""
    precise = Extractor(precision=True)
    with zstandard.open(shared / "miniweb" / "news.warc.zst") as file:
        for n, record in enumerate(ArchiveIterator(file, WarcRecordType.response)):
            tree = parse(decode(record.reader.read(), None).text) if n % every == 0 else None
            if tree is not None:
                yield tree
                yield tree_cleaning(tree, precise)
                yield convert_tags(tree, precise)


def test_trafilaturas_expressions_find_the_same_elements_of_real_pages(shared):
    pairs = [
        (path, Selector(path.path, first=name == "BODY_XPATH"))
        for name in LISTS
        for path in getattr(xpaths, name)
    ]
    found = 0
    for tree in trees(shared, 15):
        for path, select in pairs:
            theirs = path(tree)
            found += len(theirs)
            assert select(tree) == (theirs[:1] if select.first else theirs)
    assert found > 1000


def test_a_sorter_finds_what_each_selector_finds(shared):
    paths = [
        path.path
        for name in LISTS
        for path in getattr(xpaths, name)
        if name != "BODY_XPATH" and "|.//" not in path.path
    ]
    selectors = [Selector(path) for path in paths]
    sort = Sorter(selectors)
    for tree in trees(shared, 30):
        assert sort(tree) == [select(tree) for select in selectors]
    for tag in range(2000):  # of which a page may have any number
        sort(html.fromstring(f"<div><x{tag} class='comments-title'></div>"))
    assert len(sort.groups) < 40


def test_a_sorter_refuses_a_selector_of_several_branches():
    with pytest.raises(ValueError, match="several branches"):
        Sorter([Selector(".//p|.//div")])
