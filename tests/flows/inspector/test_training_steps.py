"""Runs, their spikes, and the documents that a step read."""

import re

import pytest

from tests.flows.inspector.conftest import SKIPPED, SPIKE
from tests.flows.inspector.test_pages import rows, seen
from webtext.flows.inspector.training_steps import finite, spikes
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.tokens.tokens import INDEX, documents_at

SMALL = "/run?run=small"
STEP = f"/step?run=small&step={SPIKE}"


def named(client, address):
    """Return the ids of the documents that a page of a step names, by window."""
    page = client.get(address).text
    return [
        set(re.findall(r'href="/document/(\w+)"', part))
        for part in page.split('class="window"')[1:]
    ]


def test_only_runs_of_this_corpus_are_listed(client):
    _, text = seen(client, "/runs")
    assert "small" in text
    assert "110 of 120" in text  # the line that is being written is no step
    assert "foreign" not in text


def test_the_spike_is_first_and_on_the_curve(client):
    page, text = seen(client, SMALL)
    steps = [at["href"] for tag, at in page.found if tag == "a" and at.get("class") == "open"]
    assert steps[0] == STEP
    marked = [at["aria-label"] for tag, at in page.found if tag == "a" and "aria-label" in at]
    assert marked == [f"Step {SPIKE}, a spike"]
    assert f"step {SKIPPED} loss" in text
    assert "val, last 8.5" in text


def test_a_part_of_the_curve_is_shown(client):
    _, text = seen(client, f"{SMALL}&first=100&last=104")
    assert "step 100" in text
    assert "step 104" in text


def test_a_step_names_the_documents_of_its_windows(client, app, built):
    inspector = app.state.inspector
    run = inspector.runs.of("small")
    windows = inspector.runs.batches(run).windows(SPIKE)
    size = run.config["model"]["context"]
    spans = [(int(window) * size, (int(window) + 1) * size) for window in windows]
    tokens = Directory(run.tokens)
    wanted = [{row["id"] for row in found} for found in documents_at(tokens, "train", spans)]
    assert named(client, STEP) == wanted
    assert len(wanted) == 4
    assert (run.tokens / INDEX).exists()


def test_a_document_names_the_steps_that_read_it(client):
    for identity in set.union(*named(client, STEP)):
        _, text = seen(client, f"/document/{identity}?show=training")
        assert f"step {SPIKE} loss" in text
        listed = set(map(int, re.findall(r"step (\d+) loss", text)))
        other = next(step for step in range(110) if step not in listed and step != SKIPPED)
        assert identity not in set.union(*named(client, f"/step?run=small&step={other}"))
    dropped = rows(client, "/?fate=rules.gopher_quality.word_count.low")[0]
    assert "not in the corpus" in seen(client, f"{dropped}&show=training")[1]
    held_out = rows(client, "/?split=val")[0]
    assert "held out, in val" in seen(client, f"{held_out}&show=training")[1]


@pytest.mark.parametrize(
    "address",
    ["/run?run=foreign", "/run", "/step?run=small&step=120", "/step?run=small&step=-1",
     "/step?run=small&step=x", "/step?run=..%2F..&step=1",
     f"/step?run=small&step={'0' * 12}{2**64}"],
)  # fmt: skip
def test_no_such_run_or_step_is_told_in_a_line(client, address):
    answer = client.get(address)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_losses_that_are_no_numbers_are_no_spikes():
    log = [{"step": step, "loss": 2.0 + step % 3} for step in range(80)]
    log[60]["loss"], log[61]["loss"], log[70]["loss"] = float("nan"), None, 50.0
    found = spikes(finite(log, "loss"))
    assert found[0].step == 70
    assert found[0].rise > 40
    assert spikes([(0, 1.0)]) == []
