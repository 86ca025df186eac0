"""Where the time of the recipe goes: CPU milliseconds a page of each part, in one process.

Parts are timed one after the other over all pages; `sandbox` is what the same pages cost more when
they are read in it, the freeing of trees among it. The sum is that of `recipe` within the noise.
"""

import resource
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.core.stage import Stage, pass_batch
from webtext.pipeline.text.decoding.charset import decode, printable
from webtext.pipeline.text.extraction import maintext
from webtext.pipeline.text.extraction.byline import byline
from webtext.pipeline.text.extraction.extract import Extract, Reader, pages
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.sandbox import Limits, Sandbox

READING = maintext.Reading()
READ = ("decode", "tree", "byline", "main text", "finish")  # the parts of reading one page


def spent() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    own, ended = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


class Clock(dict[str, float]):
    """CPU seconds by part."""

    def __call__(self, part: str, work: Callable[..., Any], *given: Any) -> Any:
        """Do the work, and count its time for the part."""
        start = spent()
        made = work(*given)
        self[part] = self.get(part, 0.0) + spent() - start
        return made


def read(clock: Clock, page: maintext.Page) -> None:
    """Do what `maintext.read` does, part by part."""
    html = clock("decode", lambda: decode(page.body, page.content_type).text)
    tree = clock("tree", parse, html)
    if tree is None:
        return
    clock("byline", byline, tree, page.url, html)
    text = clock("main text", maintext.of_blocks, READING, tree)
    clock("finish", lambda: printable(unicodedata.normalize("NFC", text)).strip())


def in_sandbox(found: list[maintext.Page]) -> None:
    """Read pages as `Extract` has them read, to the end of the sandbox."""
    sandbox = Sandbox(Reader(READING), Limits(), maintext.Page(maintext.SAMPLE, None, None))
    for page in found:
        sandbox(page)
    sandbox.close()


def write(path: Path, batches: list[pa.RecordBatch]) -> None:
    write_parquet(path, batches, batches[0].schema)


def budget(recipe: Sequence[Stage], warc: Path) -> dict[str, float]:
    """Return the CPU seconds a page of each part of a recipe, over a WARC file."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        imported = Directory(Path(folder, "pages"))
        clock("import", import_warc, ImportWarc(), [warc], None, imported, 0, silent)
        batches = clock("records", lambda: list(page_batches(imported, 0)))
        found = [page for batch in batches for page in pages(batch)]
        for page in found:
            read(clock, page)
        inside = sum(clock[part] for part in READ)
        clock("begin", in_sandbox, found[:1])
        clock("sandbox", in_sandbox, found)
        clock["sandbox"] -= inside + clock.pop("begin")
        batches = [pass_batch([Extract()], batch, Extract.writes)[0] for batch in batches]
        for stage in recipe[1:]:
            batches = [
                clock(stage.name, pass_batch, [stage], batch, stage.writes)[0] for batch in batches
            ]
        clock("write", write, Path(folder, "documents.parquet"), batches)
    return {part: seconds / len(found) for part, seconds in clock.items()}
