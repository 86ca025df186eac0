import pytest
from datasketch import MinHash

from tests.pipeline import fake_data
from tests.pipeline.dedup.material import documents, edited, prose, rows, signed
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.step import Made
from webtext.pipeline.dedup.clusters.step import STEP as DUPLICATES
from webtext.pipeline.dedup.signatures.folded_text import shingles
from webtext.pipeline.dedup.signatures.sign import Sign
from webtext.pipeline.dedup.signatures.step import STEP as SIGNATURES
from webtext.pipeline.filters.step import STEP as DOCUMENTS
from webtext.pipeline.insight.figures.similar import describe, similar

TEXTS = [prose(1), edited(prose(1), 3, 1), edited(prose(1), 20, 2), prose(2), prose(3), ""]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Signed documents, the second of which was dropped as a copy of the first."""
    folder = tmp_path_factory.mktemp("similar")
    given = rows(TEXTS)
    home = documents(folder / "documents-1", given, 2)
    signatures = signed(folder / "signatures-1", home, Sign())
    copies = [fake_data.duplicate(given[0], given[0]), fake_data.duplicate(given[1], given[0])]
    pairs = fake_data.duplicates(folder / "duplicates-1", copies)
    steps = (DOCUMENTS, home), (SIGNATURES, signatures), (DUPLICATES, pairs)
    return [Made(step, directory) for step, directory in steps]


def sketch(text):
    found = MinHash(num_perm=112)
    found.update_batch([shingle.encode() for shingle in shingles(text, 5)])
    return found


def test_near_documents_are_found_with_datasketchs_similarity_and_their_fate(made):
    text = edited(prose(1), 2, 9)
    wanted = {
        row["id"]: value
        for row in rows(TEXTS)
        if row["text"] and (value := sketch(text).jaccard(sketch(row["text"]))) >= 0.2
    }
    found = similar(made, [("mine", text)], 0.2)
    assert {one.id: one.similarity for one in found} == pytest.approx(wanted)
    assert len(found) == 3
    assert [one.similarity for one in found] == sorted(wanted.values(), reverse=True)
    fates = {one.id: one.fate for one in found}
    assert [fates[row["id"]] for row in rows(TEXTS)[:3]] == ["kept", "dedup.near", "kept"]
    lines = [line for line in describe(found, 0.2) if rows(TEXTS)[1]["id"] in line]
    assert len(lines) == 1
    assert lines[0].endswith("(not in the corpus: dedup.near)")


def test_several_texts_each_have_their_own_and_the_least_similarity_bounds(made):
    found = similar(made, [("first", prose(2)), ("other", prose(3)), ("none", prose(99))], 0.9)
    ids = {row["text"]: row["id"] for row in rows(TEXTS)}
    assert [(one.given, one.id, one.similarity) for one in found] == [
        ("first", ids[prose(2)], 1.0),
        ("other", ids[prose(3)], 1.0),
    ]
    assert len(similar(made, [("a", prose(1))], 0.2, most=2)) == 2
    assert list(describe([], 0.9)) == ["no document is similar at 0.9 or more"]


def test_a_text_without_words_and_a_build_without_signatures_are_refused(made):
    with pytest.raises(UserError, match="blank: has no words"):
        similar(made, [("blank", " ... ")], 0.5)
    with pytest.raises(UserError, match="no signatures have been made yet"):
        similar(made[:1], [("a", prose(1))], 0.5)
