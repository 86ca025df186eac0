import pytest

from webtext.model.settings import Train
from webtext.model.training.schedule import rate

SETTINGS = {"steps": 101, "warmup": 10, "lr": 1.0, "min_lr": 0.1}


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_rate_rises_in_a_line_to_the_peak_and_ends_at_the_least(schedule):
    settings = Train(**SETTINGS, schedule=schedule)
    assert [rate(settings, step) for step in range(10)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    )
    assert rate(settings, 100) == pytest.approx(0.1)
    assert rate(settings, 1000) == pytest.approx(0.1)


def test_the_cosine_is_half_way_down_in_the_middle():
    assert rate(Train(**SETTINGS), 55) == pytest.approx(0.55)


def test_wsd_holds_the_peak_until_it_falls_as_a_root():
    settings = Train(**SETTINGS, schedule="wsd")  # falls over the last fifth: from step 81
    assert {rate(settings, step) for step in range(10, 82)} == {1.0}
    assert rate(settings, 81 + 19 // 4) == pytest.approx(0.1 + 0.9 * (1 - (4 / 19) ** 0.5))


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert rate(Train(steps=1, warmup=0), 0) == pytest.approx(6e-4)
