"""The device that the work runs on, and in which floats it is done there."""

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
    """Return the device of this name; the best that is there where none is named.

    Raises:
        UserError: torch knows none of this name, or it is not there.
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
    """Return the kind of device that is the fastest here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_name(device: torch.device) -> str:
    """Return what the driver calls a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@dataclass(frozen=True)
class Precision:
    """The floats that matrices are multiplied in; the weights themselves are float32 always."""

    wanted: str  # as in the settings
    device: torch.device

    @cached_property
    def name(self) -> str:
        """What "auto" comes to: bf16 where the device has it, fp16 on older CUDA, else fp32."""
        if self.wanted != "auto":
            return self.wanted
        if self.device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(self.device) >= (8, 0) else "fp16"

    @property
    def dtype(self) -> torch.dtype:
        """The floats as torch names them."""
        return DTYPES[self.name]

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients within fp16's reach; idle for other floats."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")

    @property
    def peak(self) -> float | None:
        """Operations a second that the device could do in these floats, None where unknown."""
        if self.device.type != "cuda":
            return None
        known = look_up(torch.cuda.get_device_name(self.device))
        return known.peak(self.name) if known else None


WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# Those with which cuBLAS gives the same bits each time. Source: NVIDIA, cuBLAS, "Results
# Reproducibility", and torch.use_deterministic_algorithms.
WORKSPACES = (":4096:8", ":16:8")


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Have torch use only kernels that give the same bits each time.

    On the CPU they do anyway. On CUDA, cuBLAS wants a variable in the environment beside it, which
    is set here and stays, for it is read once, when cuBLAS starts.

    Raises:
        UserError: it has another value, or cuBLAS has started without it and torch minds; says what
            to export.
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
    """Multiply once: torch says by that whether it takes cuBLAS, as it started, for exact."""
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
