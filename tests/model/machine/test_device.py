import os

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.machine.device import WORKSPACE, Precision, choose, deterministic


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


@pytest.fixture
def bare(monkeypatch):
    """A machine with CUDA whose environment does not say how cuBLAS is to work."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv(WORKSPACE, "")
    monkeypatch.delenv(WORKSPACE)


def test_determinism_sets_what_cublas_reads_before_it_starts(bare):
    with deterministic(on=False):
        assert WORKSPACE not in os.environ
    with deterministic(on=True):
        assert os.environ[WORKSPACE] == ":4096:8"


def test_what_somebody_has_exported_is_left_where_it_is_right(bare, monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with deterministic(on=True):
        assert os.environ[WORKSPACE] == ":16:8"
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(UserError, match=f"is ':0:0', .*: export {WORKSPACE}=:4096:8"):
        deterministic(on=True).__enter__()
    with deterministic(on=False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_cublas_that_has_started_otherwise_is_a_clear_error(bare, monkeypatch):
    said = f"Deterministic behavior was enabled ..., you must set {WORKSPACE}=:4096:8 ..."

    def ones(*shape, device):
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    with pytest.raises(UserError, match=f"cuBLAS has started without .*: export {WORKSPACE}="):
        deterministic(on=True).__enter__()
    assert not torch.are_deterministic_algorithms_enabled()
    said = "CUDA error: out of memory"
    with pytest.raises(RuntimeError, match="out of memory"):
        deterministic(on=True).__enter__()
