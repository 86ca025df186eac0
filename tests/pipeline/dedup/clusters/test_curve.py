"""The S-curve, against published numbers and against what clustering does."""

import numpy as np
import pytest

from webtext.pipeline.dedup.clusters.curve import (
    PRESETS,
    describe,
    midpoint,
    recall,
    verified_recall,
)

# Source: FineWeb (Penedo et al., 2024), section 3.4: 56, 77, 92 and 98.8 % at these similarities
FINEWEB = {0.7: 0.56, 0.75: 0.77, 0.8: 0.92, 0.85: 0.988}


@pytest.mark.parametrize(("similarity", "published"), FINEWEB.items())
def test_finewebs_published_curve_is_reproduced(similarity, published):
    assert recall(similarity, *PRESETS["fineweb"]) == pytest.approx(published, abs=0.006)


def test_refinedwebs_published_curve_is_reproduced():
    assert recall(0.75, *PRESETS["refinedweb"]) == pytest.approx(0.76, abs=0.005)
    assert recall(0.8, *PRESETS["refinedweb"]) == pytest.approx(0.994, abs=0.002)


def test_half_of_the_pairs_are_found_at_the_midpoint():
    for bands, rows in PRESETS.values():
        assert recall(midpoint(bands, rows), bands, rows) == pytest.approx(0.5)


def test_more_bands_find_more_and_more_rows_find_less():
    assert recall(0.6, 20, 8) > recall(0.6, 14, 8) > recall(0.6, 14, 9)


def test_the_description_shows_the_curve():
    shown = describe(14, 8)
    assert shown.startswith("14 bands of 8 rows (112 permutations) find half of the pairs at")
    assert "     0.70  56.5%  #######################\n" in shown
    assert all(f"  0.{tenth}0 " in shown for tenth in range(5, 10))


def test_the_description_shows_what_verification_leaves():
    shown = describe(14, 8, 0.7)
    assert "Jaccard  found  and verified at 0.7\n" in shown
    assert "     0.90 100.0%  100.0%  " in shown
    assert "verified" not in describe(*PRESETS["refinedweb"], 0.7)


def test_verification_at_nothing_is_the_plain_curve():
    for similarity in (0.3, 0.6, 0.9, 1.0):
        for bands, rows in ((14, 8), (25, 5), (1, 1)):
            plain = recall(similarity, bands, rows)
            assert verified_recall(similarity, bands, rows, 0) == pytest.approx(plain, abs=1e-9)


def test_random_signatures_meet_as_often_as_the_curve_says():
    rng = np.random.default_rng(1)
    same = rng.random((20000, 14, 8)) < 0.75
    met = same.all(axis=2).any(axis=1).mean()
    assert met == pytest.approx(recall(0.75, 14, 8), abs=0.01)
    share = same.mean(axis=(1, 2)) >= 0.7
    both = (same.all(axis=2).any(axis=1) & share).mean()
    assert both == pytest.approx(verified_recall(0.75, 14, 8, 0.7), abs=0.01)
