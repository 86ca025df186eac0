import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.training.device import Precision, choose, deterministic


def test_the_best_device_is_taken_where_none_is_named():
    assert choose(None).type in ("cpu", "cuda", "mps")
    assert choose("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(UserError, match=f"device '{name}': .*; use another, such as cpu"):
        choose(name)


def test_precision_is_chosen_by_what_the_device_has(monkeypatch):
    assert Precision("auto", torch.device("cpu")).name == "fp32"
    assert Precision("bf16", torch.device("cpu")).name == "bf16"
    for capability, wanted in (((9, 0), "bf16"), ((7, 5), "fp16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert Precision("auto", torch.device("cuda:0")).name == wanted


def test_only_fp16_scales_its_loss():
    cpu = torch.device("cpu")
    assert Precision("fp16", cpu).scaler().is_enabled()
    assert not Precision("bf16", cpu).scaler().is_enabled()


def test_a_device_of_unknown_peak_has_none(monkeypatch):
    assert Precision("fp32", torch.device("cpu")).peak is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA A100-SXM4-80GB")
    assert Precision("bf16", torch.device("cuda:0")).peak == 312e12
    assert Precision("fp32", torch.device("cuda:0")).peak == 19.5e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA Abacus")
    assert Precision("bf16", torch.device("cuda:0")).peak is None


def test_determinism_is_left_as_it_was_found():
    with deterministic(on=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
