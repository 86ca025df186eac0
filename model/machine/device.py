"""The device on which a model is computed, and the precision used there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch

from webtext.model.errors import UserError
from webtext.model.machine.hardware import look_up

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose(name: str | None, local: int = 0) -> torch.device:
    """Return the device of this name; without a name, the best device here.

    Raises:
        UserError: torch does not know this name, or the device is not there.
    """
    name = name or best()
    try:
        device = torch.device(f"cuda:{local}" if name == "cuda" else name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r}: {reason}; use another, such as cpu") from None
    return device


def best() -> str:
    """Return the fastest kind of device that is available."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_name(device: torch.device) -> str:
    """Return the name that the driver gives a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@dataclass(frozen=True)
class Precision:
    """The dtype in which matrices are multiplied; the weights themselves are always float32."""

    wanted: str  # as in the settings
    device: torch.device

    @cached_property
    def name(self) -> str:
        """The precision; "auto" is bf16 if the device has it, fp16 on older CUDA, else fp32."""
        if self.wanted != "auto":
            return self.wanted
        if self.device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(self.device) >= (8, 0) else "fp16"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in torch."""
        return DTYPES[self.name]

    def scaler(self) -> torch.amp.GradScaler:
        """Return a scaler that prevents underflow of gradients in fp16; otherwise disabled."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")

    @property
    def peak(self) -> float | None:
        """The device's peak operations a second in this precision, None if unknown."""
        if self.device.type != "cuda":
            return None
        known = look_up(torch.cuda.get_device_name(self.device))
        return known.peak(self.name) if known else None


WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# Values with which cuBLAS gives the same bits each time. Source: NVIDIA, cuBLAS, "Results
# Reproducibility", and torch.use_deterministic_algorithms.
WORKSPACES = (":4096:8", ":16:8")


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Let torch use only kernels that give the same bits each time.

    On the CPU all kernels do. On CUDA, cuBLAS also needs an environment variable. It is set here
    and stays set, because cuBLAS reads it only once, when it starts.

    Raises:
        UserError: the variable has another value, or cuBLAS has started without it and torch
            refuses that; says what to export.
    """
    before = torch.are_deterministic_algorithms_enabled()
    cuda = on and torch.cuda.is_available()
    if cuda and os.environ.setdefault(WORKSPACE, WORKSPACES[0]) not in WORKSPACES:
        raise _not_deterministic(f"{WORKSPACE} is {os.environ[WORKSPACE]!r}")
    torch.use_deterministic_algorithms(on or before)
    try:
        if cuda and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            _try_cublas()
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _try_cublas() -> None:
    """Multiply once: torch raises an error if cuBLAS was started without the variable."""
    try:
        torch.ones(1, 1, device="cuda") @ torch.ones(1, 1, device="cuda")
    except RuntimeError as error:
        if WORKSPACE not in str(error):
            raise
        raise _not_deterministic(f"cuBLAS has started without {WORKSPACE}") from None


def _not_deterministic(found: str) -> UserError:
    return UserError(
        f"train.deterministic = true: {found}, so its results may differ from run to run; start "
        f"again after: export {WORKSPACE}={WORKSPACES[0]}"
    )
