"""Every number of the funnel is the number of the rows that it leads to."""

import re

import pytest

from tests.flows.inspector.test_pages import seen, total
from webtext.pipeline.build import Build


def links(client):
    """Yield the address behind each reason, and the number beside it."""
    page = client.get("/funnel").text
    for found in re.finditer(r'<a href="([^"]+)"><span class="name">.*?class="n">([\d,]+)<', page):
        yield found[1].replace("&amp;", "&"), int(found[2].replace(",", ""))


def test_every_number_is_that_of_its_rows(client, built):
    counted = dict(links(client))
    stages = Build(None, built).funnel()["stages"]
    assert sorted(counted.values()) == sorted(
        count for stage in stages for count in stage["dropped"].values()
    )
    assert len(counted) >= 4
    for address, count in counted.items():
        if address.startswith("/?"):
            assert total(client, address) == count
        else:
            _, text = seen(client, address)
            assert int(re.search(r"([\d,]+) rows of", text)[1]) == count
            assert len(re.findall(r"https?://", text)) >= count
    _, text = seen(client, "/funnel")
    assert f"{total(client, '/?side=kept')} documents are kept" in text


@pytest.mark.parametrize(
    "address",
    ["/rows", "/rows?step=links&reason=nonsense", "/rows?step=../links&reason=links.low_score",
     "/rows?step=pages&reason=links.low_score", "/rows?step=tokens&reason=x"],
)  # fmt: skip
def test_other_rows_are_not_shown(client, address):
    assert client.get(address).status_code == 400
