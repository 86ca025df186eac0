"""Quality models of others as a rule: real ones of ONNX and skops, and an imitated fastText."""

import doctest
import importlib
import math
from pathlib import Path

import pytest

from webtext.flows.building.settings import load
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.own import foreign_models

GOOD, BAD = "tea with leaves", "buy cheap pills"


@pytest.fixture
def onnx_model(tmp_path):
    """A model that knows two texts by heart."""
    from onnx import TensorProto, helper, save

    node = helper.make_node(
        "LabelEncoder", ["text"], ["score"], domain="ai.onnx.ml",
        keys_strings=[GOOD, BAD], values_floats=[0.9, 0.1], default_float=0.5,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "known",
        [helper.make_tensor_value_info("text", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture
def skops_model(tmp_path):
    import skops.io
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(), LogisticRegression())
    model.fit([GOOD, BAD, "leaves of tea", "cheap cheap pills"], [1, 0, 1, 0])
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    return path


@pytest.mark.slow  # five seconds to import the libraries
@pytest.mark.parametrize("form", ["onnx", "skops"])
def test_a_model_of_others_is_asked_as_a_rule(form, request):
    path = request.getfixturevalue(f"{form}_model")
    rules = load(
        "webtext", [f"rules.quality.score = {{model = {str(path)!r}, at_least = 0.6}}"]
    ).rules
    asked = {text: rules.quality.score(document(text)) for text in (GOOD, BAD)}
    assert asked[GOOD] > 0.6 > asked[BAD]
    (told,) = [value for name, value in rules.fingerprints().items() if "quality" in name]
    assert {"onnx": "onnxruntime", "skops": "skops"}[form] in told


def document(text):
    from webtext.pipeline.words.document import Document

    return Document(text)


@pytest.mark.slow
def test_a_file_that_is_no_model_is_said(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(UserError, match="no model that onnxruntime can read"):
        foreign_models.load(str(tmp_path / "model.onnx"))


def test_what_would_run_code_is_refused_and_what_is_missing_is_said(tmp_path, monkeypatch):
    for name in ("model.pkl", "model.joblib"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        rules = load("webtext", [f"rules.quality.score.model = {str(tmp_path / name)!r}"]).rules
        with pytest.raises(UserError, match=r"runs whatever its maker.*\.onnx.*\.skops"):
            rules.fingerprints()

    def gone(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(UserError, match=r"needs fasttext.*pip install 'fasttext-wheel'"):
        foreign_models.load(str(tmp_path / "model.bin"))
    with pytest.raises(UserError, match=r"needs skops.*pip install 'webtext\[models\]'"):
        foreign_models.load(str(tmp_path / "model.skops"))


@pytest.mark.slow
def test_types_that_nobody_vouches_for_are_not_loaded(tmp_path):
    import numpy as np
    import skops.io

    path = tmp_path / "odd.skops"
    skops.io.dump({"model": np.random.RandomState(1), "odd": document}, path)
    with pytest.raises(UserError, match="types that nobody vouches for"):
        foreign_models.load(str(path))


def test_a_fasttext_model_gives_the_probability_of_good_documents(tmp_path):
    class Library:
        """As `fasttext` answers, which has no wheel for each version of Python."""

        @staticmethod
        def load_model(_path):
            return Library

        @staticmethod
        def get_labels():
            return ["__label__cc", "__label__hq"]

        @staticmethod
        def predict(text, k):
            assert (text, k) == ("two lines", -1)
            return ("__label__cc", "__label__hq"), (0.25, 0.75)

    assert foreign_models.fasttext(Library, "model.bin")("two\nlines") == 0.75


def test_a_model_that_cannot_judge_is_told_before_any_work_and_one_that_fails_is_named(
    monkeypatch, tmp_path
):
    scores = {"none": lambda _text: math.nan, "odd": lambda text: 1 / (len(text) - 1)}

    def read(_library, path):
        return scores[Path(path).stem]

    monkeypatch.setitem(foreign_models.FORMS, ".onnx", ("json", read))
    with pytest.raises(UserError, match=r"none\.onnx: no model .*: its score of a sentence is no"):
        foreign_models.load(str(tmp_path / "none.onnx"))
    model = foreign_models.load(str(tmp_path / "odd.onnx"))
    with pytest.raises(UserError, match=r"odd\.onnx: json failed on a text: .*division by zero"):
        model.score("x")


def test_the_examples_are_true():
    assert doctest.testmod(foreign_models).failed == 0
