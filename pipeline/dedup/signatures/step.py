"""The step `signatures`: MinHash of each document."""

from collections.abc import Iterator

from webtext.pipeline.core.directories.former import former
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Planned, Step
from webtext.pipeline.dedup.signatures.sign import Sign, sign
from webtext.pipeline.dedup.signatures.signature_files import room


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Sign the documents, but for those whose text an earlier build has signed."""
    (settings,) = planned.settings
    given = planned.read["documents"]
    return sign(settings, given, planned.home, workers, progress, former(planned))


def remarks(planned: Planned) -> Iterator[str]:
    """Return how much space the signatures need."""
    (settings,) = planned.settings
    given = planned.read["documents"]
    known = int(given.manifest()["passages"][-1]["kept"]) if given.whole else None
    yield room(settings.permutations, known)


STEP = Step(
    name="signatures",
    tables={"signatures": Sign},
    work=work,
    inputs=("documents",),
    bytes_depend_on=(
        "ada-url",
        "datasketch",
        "llvmlite",
        "msgspec",
        "numba",
        "numpy",
        "pyarrow",
        "tldextract",
    ),
    in_funnel=False,
    remarks=remarks,
)
