"""What devices can do at most, by name; the measure of "how much of it do we use"."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """One device's limits: dense operations a second with 16-bit and 32-bit floats, and bytes."""

    half: float
    single: float
    memory: int

    def peak(self, precision: str) -> float:
        """Return the peak that a precision could reach."""
        return self.single if precision == "fp32" else self.half


def _device(half_tera: float, single_tera: float, gigabytes: int) -> Device:
    return Device(half_tera * 1e12, single_tera * 1e12, gigabytes * 2**30)


# Source: the vendors' data sheets; dense (no sparsity), tensor cores with 32-bit accumulation for
# the 16-bit column, no TF32 in the 32-bit one, for that is what torch does unless asked.
DEVICES = {
    "H200": _device(989, 67, 141),
    "GH200": _device(989, 67, 96),
    "H100 NVL": _device(835, 60, 94),
    "H100 PCIe": _device(756, 51, 80),
    "H100": _device(989, 67, 80),
    "A100 80GB": _device(312, 19.5, 80),
    "A100-SXM4-80GB": _device(312, 19.5, 80),
    "A100": _device(312, 19.5, 40),
    "L40S": _device(362, 91.6, 48),
    "L4": _device(121, 30.3, 24),
    "V100-SXM2-32GB": _device(125, 15.7, 32),
    "V100": _device(125, 15.7, 16),
    "T4": _device(65, 8.1, 16),
    "RTX 4090": _device(165.2, 82.6, 24),
    "RTX 3090": _device(71, 35.6, 24),
    "MI300X": _device(1307, 163.4, 192),
}


def look_up(name: str) -> Device | None:
    """Return the limits of a device by the name that its driver gives, None where unknown.

    An unknown device has no peak: a guess would make every figure drawn from it a lie.

    >>> look_up("NVIDIA H100 80GB HBM3").half
    989000000000000.0
    >>> look_up("NVIDIA GeForce GT 710") is None
    True
    """
    words = name.lower().split()
    for known in sorted(DEVICES, key=len, reverse=True):
        wanted = known.lower().split()
        if any(_begins(words[i : i + len(wanted)], wanted) for i in range(len(words))):
            return DEVICES[known]
    return None


def _begins(words: list[str], wanted: list[str]) -> bool:
    """Whether these words are the wanted ones, the last of them perhaps with "-SXM4" behind it."""
    if len(words) != len(wanted) or words[:-1] != wanted[:-1]:
        return False
    return words[-1] == wanted[-1] or words[-1].startswith(wanted[-1] + "-")
