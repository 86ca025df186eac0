"""How far a step is, on Prefect's pages: an artifact for each step, kept up to date as it works."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from webtext.pipeline.core.progress import Progress

SECONDS = 10.0  # between two updates; one takes 13 ms of a thread that nobody waits for
PATIENCE = 5.0  # s that the end of a step waits for its last figures to be taken


class Page:
    """A progress that is shown to whoever it was meant for, and kept for Prefect's pages."""

    def __init__(self, name: str, shown: Progress) -> None:
        self.name = name
        self.shown = shown
        self.told: tuple[int, int | None, str] = (0, None, "")
        self.facts: Mapping[str, object] = {}
        self.published: str | None = None
        self.artifact: UUID | None = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Note that `done` of `total` is done."""
        self.told = done, total, note
        self.shown(done, total, note)

    def conclude(self, facts: Mapping[str, object]) -> None:
        """Note what the step made, in figures by name."""
        self.facts = facts

    def text(self) -> str:
        """Return the figures as Markdown.

        >>> page = Page("pages", lambda *_: None)
        >>> page(3, 1200, "1.5 pages/s, 2 in flight")
        >>> print(page.text())
        **pages: 3 of 1,200 (0 %)**
        <BLANKLINE>
        - 1.5 pages/s
        - 2 in flight
        """
        done, total, note = self.told
        share = f" of {total:,} ({100 * done // total} %)" if total else ""
        figures = [f"- {figure}" for figure in note.split(", ") if figure]
        figures += [f"- {name}: {value}" for name, value in self.facts.items()]
        return "\n".join([f"**{self.name}: {done:,}{share}**", "", *figures])

    def keep(self, stop: threading.Event) -> None:
        """Publish now and then, and once at the end, until told to stop."""
        while not stop.wait(SECONDS):
            self.publish()
        self.publish()

    def publish(self) -> None:
        """Write the figures into the artifact, if Prefect's server can be reached."""
        text = self.text()
        if text == self.published:
            return
        # Whatever ails the server, the step goes on: its figures are shown elsewhere too.
        with suppress(Exception):
            if self.artifact is None:
                key = f"webtext-{self.name}"
                found = create_markdown_artifact(text, key=key, description="How far it is")
                assert isinstance(found, UUID), "outside an event loop nothing is to be awaited"
                self.artifact = found
            else:
                with get_client(sync_client=True) as client:
                    client.update_artifact(self.artifact, ArtifactUpdate(data=text))
            self.published = text


@contextmanager
def live(name: str, shown: Progress) -> Iterator[Page]:
    """Give a progress that keeps an artifact up to date too, from a thread of its own."""
    page, stop = Page(name, shown), threading.Event()
    thread = threading.Thread(target=copy_context().run, args=(page.keep, stop), daemon=True)
    thread.start()
    try:
        yield page
    finally:
        stop.set()
        thread.join(PATIENCE)
