"""Whether the documents that are held out are enough to judge by."""

from collections.abc import Mapping

# Of val, below which a note says that its loss tells little: some hundred texts make the standard
# error of a mean loss of spread 1 a tenth, and a site or two are no sample of the web.
FEW_DOCUMENTS, FEW_DOMAINS = 100, 10


def small_val(val: Mapping[str, int]) -> str:
    """Say that `val` is too small to judge by, or return "".

    >>> small_val({"documents": 1, "domains": 1, "tokens": 900})[:44]
    'val is only 1 document of 1 domain: a loss o'
    """
    if val["documents"] >= FEW_DOCUMENTS and val["domains"] >= FEW_DOMAINS:
        return ""
    documents = f"{val['documents']:,} document{'s' * (val['documents'] != 1)}"
    domains = f"{val['domains']:,} domain{'s' * (val['domains'] != 1)}"
    return (
        f"val is only {documents} of {domains}: a loss on it says little; raise "
        "tokens.val_fraction or build from more"
    )
