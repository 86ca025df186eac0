import pytest

from webtext.pipeline.filters.gopher import GopherQuality
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.filters.webtext import Tokens, WebText
from webtext.pipeline.words.document import Document


@pytest.mark.parametrize(("text", "count"), [("", 0), ("hello world", 2), (" the" * 127, 127)])
def test_tokens_are_those_of_gpt2(text, count):
    assert Tokens()(Document(text)) == count


@pytest.mark.parametrize(
    ("count", "reason"), [(127, "rules.webtext.tokens.low"), (128, None), (129, None)]
)
def test_a_document_of_128_tokens_is_long_enough(count, reason):
    rules = Rules(gopher_quality=GopherQuality(enabled=False), webtext=WebText(enabled=True))
    objection, _ = rules.judge(" the" * count)
    found = objection and f"rules.{objection.rule}.{objection.objection}"
    assert found == reason
