import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import conform, pass_batch
from webtext.pipeline.text.pii import Pii

ON = Pii(enabled=True)


@pytest.mark.parametrize(
    ("text", "kept", "kind"),
    [
        ("Write to ann.lee+list@mail.lake.org.", "Write to email@example.com.", "emails"),
        ("<ANN@LAKE.ORG>", "<email@example.com>", "emails"),
        ("from 8.8.8.8, at noon", "from 192.0.2.1, at noon", "ips"),
        ("dns 2001:4860:4860::8888", "dns 2001:db8::1", "ips"),
        ("call (212) 555-7890", "call 555-0100", "phones"),
        ("call 212-555-7890.", "call 555-0100.", "phones"),
        ("call +1 212 555 7890", "call 555-0100", "phones"),
        ("ruf an: +49 (30) 901820", "ruf an: 555-0100", "phones"),
    ],
)
def test_what_belongs_to_somebody_is_replaced_and_counted(text, kept, kind):
    found, counts = ON.edit(text)
    assert found == kept
    assert counts == {"emails": 0, "ips": 0, "phones": 0} | {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "at 12:30:45 on 2024-10-11",
        "10.0.0.1 and 127.0.0.1 and 192.168.1.1",
        "999.1.1.1",
        "version 1.2.3",
        "std::a::b and dead::beef",
        "@ann said: user@localhost",
        "1234567890123",
        "ISBN 978-3-16-148410-0",
        "+1 more",
        "pages 212-555",
    ],
)
def test_what_is_nobodys_stays(text):
    assert ON.edit(text) == (text, {"emails": 0, "ips": 0, "phones": 0})


def test_each_kind_can_be_left_alone():
    text = "ann@lake.org 8.8.8.8 212-555-7890"
    assert Pii(emails=False).edit(text)[0] == "ann@lake.org 192.0.2.1 555-0100"
    assert Pii(ips=False).edit(text)[0] == "email@example.com 8.8.8.8 555-0100"
    assert Pii(phones=False).edit(text)[0] == "email@example.com 192.0.2.1 212-555-7890"


parts = st.sampled_from(
    ["ann@lake.org", "8.8.8.8", "+49 30 901820", "2001:4860::8888", "::1", "a.b@c", "(212) ", "\n"]
)


@given(st.lists(parts | st.text(max_size=4), max_size=12).map(" ".join))
def test_what_was_replaced_once_is_not_found_again(text):
    once, _ = ON.edit(text)
    assert ON.edit(once)[0] == once


def test_a_batch_keeps_its_rows_and_says_what_was_replaced():
    rows = [{"id": "a", "text": "ann@lake.org and bob@lake.org"}, {"id": "b", "text": None}]
    batch = conform(pa.RecordBatch.from_pylist(rows), DOCUMENT)
    kept, dropped = pass_batch([ON], batch, DOCUMENT)
    assert dropped == []
    assert kept["id"].to_pylist() == ["a", "b"]
    assert kept["pii"].to_pylist()[0] == {"emails": 2, "ips": 0, "phones": 0}
    assert kept["text"].to_pylist() == ["email@example.com and email@example.com", ""]
