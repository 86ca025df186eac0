"""Live figures for Prefect's pages must never be in a step's way."""

import threading
import time
from uuid import uuid4

import pytest

from webtext.flows.prefect import live as module
from webtext.flows.prefect.live import live


@pytest.fixture
def published(monkeypatch) -> list[str]:
    """Collect what would go to Prefect's server, quickly."""
    texts: list[str] = []

    class Server:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

        def update_artifact(self, _artifact, update):
            texts.append(update.data)

    def create(text, **_about):
        texts.append(text)
        return uuid4()

    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(module, "create_markdown_artifact", create)
    monkeypatch.setattr(module, "get_client", lambda sync_client: Server())
    return texts


def test_figures_are_published_as_they_change_and_the_last_ones_always(published):
    shown = []
    with live("pages", lambda *told: shown.append(told)) as tell:
        tell(1, 4, "2.0 pages/s, dns 1")
        deadline = time.monotonic() + 10
        while len(published) < 1 or "1 of 4" not in published[-1]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        tell(4, 4, "dns 4")
    assert shown == [(1, 4, "2.0 pages/s, dns 1"), (4, 4, "dns 4")]
    assert published[-1] == "**pages: 4 of 4 (100 %)**\n\n- dns 4"
    assert len(published) == len(set(published))


def test_a_server_that_is_gone_does_not_stop_the_step(monkeypatch, published):
    def gone(*_text, **_about):
        raise ConnectionError

    monkeypatch.setattr(module, "create_markdown_artifact", gone)
    with live("pages", lambda *_: None) as tell:
        tell(1, 4)
        time.sleep(0.05)
    assert published == []


def test_a_server_that_does_not_answer_does_not_hold_the_step_up(monkeypatch, published):
    answered = threading.Event()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "create_markdown_artifact", lambda *_, **__: answered.wait(30))
    started = time.monotonic()
    with live("pages", lambda *_: None) as tell:
        tell(1, 4)
    assert time.monotonic() - started < 10
    answered.set()


def test_a_step_that_fails_fails_as_it_would_have(published):
    with pytest.raises(ZeroDivisionError), live("pages", lambda *_: None):
        raise ZeroDivisionError
