"""Quality models that others have trained: ONNX, scikit-learn's in skops' format, and fastText's.

Each gives a text a number, by default the probability of the model's last class. Files of pickle or
joblib are refused: to read one is to run whatever its maker has put there. The libraries are no
dependencies (`webtext[models]`), and are imported by name, so that a build without them never is.
"""

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from webtext.pipeline.core.directories.checked import while_unchanged
from webtext.pipeline.core.directories.distribution import lacking
from webtext.pipeline.core.errors import UserError

SENTENCE: Final = "The town had a library, and people read there."  # a model is tried on it
GOOD: Final = "__label__hq"  # fastText's label of good documents. Source: DCLM's classifier


class Foreign(NamedTuple):
    """A model, and the library and version that reads it: part of what a step is named by."""

    score: Callable[[str], float]
    by: str


@while_unchanged(4)
def load(path: str) -> Foreign:
    """Read a model; its form follows from its name.

    Raises:
        UserError: it cannot be read, is of a form that runs code, or its library is not there.
    """
    form = Path(path).suffix
    if form not in FORMS:
        raise UserError(
            f"{path}: a file of {form} runs whatever its maker has put there when it is read; "
            "write it as .onnx (skl2onnx) or .skops (skops.io.dump)"
        )
    library, read = FORMS[form]
    try:
        found = importlib.import_module(library)
    except ImportError:
        raise UserError(f"{path}: {lacking(library)}") from None
    try:
        score = read(found, path)
        if math.isnan(score(SENTENCE)):
            raise ValueError("its score of a sentence is no number")
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: no model that {library} can read: {said}") from error

    def told(text: str) -> float:
        try:
            return score(text)
        except MemoryError:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0]
            raise UserError(f"{path}: {library} failed on a text: {said}") from error

    return Foreign(told, f"{library} {getattr(found, '__version__', '')}".strip())


def onnx(library: Any, path: str) -> Callable[[str], float]:
    """Return an ONNX model's score; its input is a text, as a table of one row and one column."""
    options = library.SessionOptions()
    options.intra_op_num_threads = 1  # a worker is one process on one core
    session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    if given.type != "tensor(string)":
        raise ValueError(f"its input is a {given.type}, wanted tensor(string)")
    shape = (1,) * len(given.shape)

    def score(text: str) -> float:
        import numpy as np

        (*_, last) = session.run(None, {given.name: np.array([text], object).reshape(shape)})
        return last_of(last)

    return score


def skops(_library: Any, path: str) -> Callable[[str], float]:
    """Return the score of scikit-learn's pipeline of texts; types of others are refused."""
    reading = importlib.import_module("skops.io")
    unknown = reading.get_untrusted_types(file=path)
    if unknown:
        raise ValueError(f"it holds types that nobody vouches for: {', '.join(sorted(unknown))}")
    model = reading.load(path)
    return lambda text: last_of(model.predict_proba([text]))


def fasttext(library: Any, path: str) -> Callable[[str], float]:
    """Return the probability of the label of good documents, as DCLM's classifier has it."""
    model = library.load_model(path)
    if GOOD not in model.get_labels():
        raise ValueError(f"it has no label {GOOD}")

    def score(text: str) -> float:
        labels, probabilities = model.predict(text.replace("\n", " "), k=-1)
        return float(dict(zip(labels, probabilities, strict=True)).get(GOOD, 0.0))

    return score


def last_of(found: Any) -> float:
    """Return the last number of an output: of one row, the last class.

    >>> last_of([[0.25, 0.75]]), last_of([{"bad": 0.25, "good": 0.75}])
    (0.75, 0.75)
    """
    while isinstance(found, (list, dict)) or getattr(found, "ndim", 0) > 0:
        found = [*found.values()][-1] if isinstance(found, dict) else found[-1]
    return float(found)


FORMS: Final[dict[str, tuple[str, Callable[[Any, str], Callable[[str], float]]]]] = {
    ".onnx": ("onnxruntime", onnx),
    ".skops": ("skops", skops),
    ".bin": ("fasttext", fasttext),
    ".ftz": ("fasttext", fasttext),
}
REFUSED: Final = frozenset({".pkl", ".pickle", ".joblib"})
