"""From the links people vouched for to a corpus, its tokens, and a GPT-2 trained on them.

What this package promises to those who import it stands in `__all__`. Each name is fetched when
it is first asked for, so that `import webtext` costs next to nothing.
"""

TYPE_CHECKING = False  # typing's own would be one more module to import before the command line
if TYPE_CHECKING:
    from webtext.flows.building.settings import load
    from webtext.flows.models.notebook import Corpus, Judge, build, dedup, extract, judge
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.errors import PipelineError, UserError
    from webtext.pipeline.core.step import Step
    from webtext.pipeline.dedup.signatures.sketches import sketches
    from webtext.pipeline.words.document import Document

__all__ = [
    "Build",
    "Corpus",
    "Document",
    "Judge",
    "PipelineError",
    "Step",
    "UserError",
    "build",
    "dedup",
    "extract",
    "judge",
    "load",
    "sketches",
]

_WHERE = {
    "Build": "pipeline.build",
    "Corpus": "flows.models.notebook",
    "Document": "pipeline.words.document",
    "Judge": "flows.models.notebook",
    "PipelineError": "pipeline.core.errors",
    "Step": "pipeline.core.step",
    "UserError": "pipeline.core.errors",
    "build": "flows.models.notebook",
    "dedup": "flows.models.notebook",
    "extract": "flows.models.notebook",
    "judge": "flows.models.notebook",
    "load": "flows.building.settings",
    "sketches": "pipeline.dedup.signatures.sketches",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
