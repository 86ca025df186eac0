"""Which pairs a choice of bands and rows finds: the S-curve of locality-sensitive hashing.

Two documents of Jaccard similarity s agree in one permutation with probability s, in a whole band
of r rows with s^r, and in at least one of b bands with 1 - (1 - s^r)^b. Verification then asks for
agreement in a share of all permutations, and the two are not independent.
"""

from collections.abc import Mapping
from math import ceil, comb
from types import MappingProxyType

from webtext.pipeline.core.visible import per_cent

SHOWN = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
BAR = 40  # characters that show a probability of 1
EXACT_UP_TO = 500  # permutations: above, the exact sum takes long and is left out

# Bands and rows that known corpora were made with; signatures need their product.
# Sources: Penedo et al., 2024 (FineWeb); Penedo et al., 2023 (RefinedWeb, whose text has the two
# numbers the other way round from what its printed probabilities need); Li et al., 2024 (DCLM);
# Gokaslan and Cohen, 2019 (OpenWebText) say 5-grams and a similarity above 0.5 and no more: these
# are the bands that datasketch makes of that and its 128 permutations; EleutherAI's openwebtext2,
# which gives datasketch 10 permutations and the threshold 0.5.
PRESETS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "fineweb": (14, 8),
        "refinedweb": (450, 20),
        "dclm": (93, 15),
        "openwebtext": (25, 5),
        "openwebtext2": (3, 3),
    }
)


def recall(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair of this similarity shares a band.

    >>> round(recall(0.75, 14, 8), 3)
    0.772
    """
    return float(1 - (1 - similarity**rows) ** bands)


def verified_recall(similarity: float, bands: int, rows: int, verify_at: float) -> float:
    """Return the probability that a pair shares a band and is then verified.

    Exact, by the number k of permutations in which the two agree: given k, all ways to place the
    agreements are equally likely, and inclusion and exclusion over the bands counts those that
    fill none.

    >>> round(verified_recall(0.75, 14, 8, 0.0), 3), round(verified_recall(0.75, 14, 8, 0.7), 3)
    (0.772, 0.717)
    """
    count = bands * rows
    found = 0.0
    for agreeing in range(ceil(count * verify_at - 1e-9), count + 1):
        ways = comb(count, agreeing)
        none_full = sum(
            (-1) ** full * comb(bands, full) * comb(count - full * rows, agreeing - full * rows)
            for full in range(min(bands, agreeing // rows) + 1)
        )
        likely = similarity**agreeing * (1 - similarity) ** (count - agreeing)
        found += (ways - none_full) * likely
    return found


def midpoint(bands: int, rows: int) -> float:
    """Return the similarity at which half of the pairs are found.

    >>> round(midpoint(14, 8), 3)
    0.685
    """
    return float((1 - 0.5 ** (1 / bands)) ** (1 / rows))


def verified_line(bands: int, rows: int, verify_at: float) -> str:
    """Say in a line which pairs count, and how many of those at the threshold are found at all.

    >>> verified_line(14, 8, 0.8)
    'pairs of Jaccard 0.8 and more; 14 bands of 8 rows find 92 % of those at 0.8, 99.96 % at 0.9'
    """
    shown = [at for at in (verify_at, 0.9) if verify_at <= at]
    found = ", ".join(
        f"{per_cent(recall(at, bands, rows), 0)} % {'of those ' * (not n)}at {at:g}"
        for n, at in enumerate(dict.fromkeys(shown))
    )
    return f"pairs of Jaccard {verify_at:g} and more; {bands} bands of {rows} rows find {found}"


def describe(bands: int, rows: int, verify_at: float = 0.0) -> str:
    """Return the curve as text, for people who choose bands and rows."""
    half = f"find half of the pairs at Jaccard {midpoint(bands, rows):.2f}"
    lines = [f"{bands} bands of {rows} rows ({bands * rows} permutations) {half}"]
    verifies = verify_at > 0 and bands * rows <= EXACT_UP_TO
    lines.append("  Jaccard  found" + f"  and verified at {verify_at:g}" * verifies)
    for similarity in SHOWN:
        found = recall(similarity, bands, rows)
        line = f"     {similarity:.2f} {found:6.1%}"
        if verifies:
            found = verified_recall(similarity, bands, rows, verify_at)
            line += f"  {found:6.1%}"
        lines.append(f"{line}  {'#' * round(BAR * found)}".rstrip())
    return "\n".join(lines)
