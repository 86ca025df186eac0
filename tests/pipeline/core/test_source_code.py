"""Which files and libraries a module is made of, without importing it."""

import pytest

from webtext.pipeline.core.directories import source_code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules, of which the first two belong together."""
    files = {
        "pipeline/a/one.py": "import json\nfrom webtext.pipeline.b import two\n",
        "pipeline/b/two.py": "def f():\n    from numpy.linalg import norm\n",
        "pipeline/b/three.py": "import pandas\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(source_code, "FOLDERS", tmp_path)
    for cached in (source_code.imported, source_code.reached, source_code.digest_of):
        cached.cache_clear()
    yield tmp_path
    for cached in (source_code.imported, source_code.reached, source_code.digest_of):
        cached.cache_clear()


def test_imports_are_followed_those_inside_functions_too(package):
    assert source_code.reached("webtext.pipeline.a.one") == (
        "webtext.pipeline.a.one",
        "webtext.pipeline.b.two",
    )
    assert source_code.outside("webtext.pipeline.a.one") == {"json", "numpy"}


@pytest.mark.parametrize(
    ("changed", "differs"), [("b/two.py", True), ("b/three.py", False), ("a/one.py", True)]
)
def test_a_digest_follows_what_is_imported_and_nothing_else(package, changed, differs):
    before = source_code.digest_of("webtext.pipeline.a.one")
    path = package / "pipeline" / changed
    path.write_text(path.read_text() + "# changed\n")
    source_code.digest_of.cache_clear()
    assert (source_code.digest_of("webtext.pipeline.a.one") != before) == differs
