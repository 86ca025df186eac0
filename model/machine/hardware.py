"""The peak speed and the memory of devices, by name; MFU is a share of this peak."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device's limits: dense operations a second in 16-bit and 32-bit floats; memory in bytes."""

    half: float
    single: float
    memory: int

    def peak(self, precision: str) -> float:
        """Return the peak of operations a second in a precision."""
        return self.single if precision == "fp32" else self.half


def _device(half_tera: float, single_tera: float, gigabytes: int) -> Device:
    return Device(half_tera * 1e12, single_tera * 1e12, gigabytes * 2**30)


def _geforce(cores: int, boost: float, gigabytes: int) -> Device:
    """Return a GeForce card's limits, by its cores and its boost clock in GHz.

    A core does one multiply-add a cycle; the tensor cores of these generations do twice as much in
    16 bits with 32-bit accumulation. These two products are the peaks in NVIDIA's white papers.
    Source: those on GA102 (table 2), Ada (appendix A) and RTX Blackwell (appendix A).

    >>> round(_geforce(16_384, 2.520, 24).half / 1e12, 1)
    165.2
    """
    single = 2 * cores * boost / 1e3
    return _device(2 * single, single, gigabytes)


# Source: the vendors' data sheets; dense (no sparsity), tensor cores with 32-bit accumulation for
# the 16-bit column, no TF32 in the 32-bit column, because this is torch's default.
DEVICES = {
    # NVIDIA Blackwell and Blackwell Ultra data sheets, divided by the system's GPUs: HGX B200 and
    # B300 (36 PFLOPS sparse and 600 TFLOPS by eight), GB200 and GB300 NVL72 (360 PFLOPS by 72).
    "GB300": _device(2500, 80, 279),
    "GB200": _device(2500, 80, 186),
    "B300": _device(2250, 75, 268),
    "B200": _device(2250, 75, 180),
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
    "MI300X": _device(1307, 163.4, 192),
    # NVIDIA's comparison of GeForce cards: cores, boost clock, memory. If two cards have the same
    # name, the one with less memory is listed.
    "RTX 5090": _geforce(21_760, 2.407, 32),
    "RTX 5080": _geforce(10_752, 2.617, 16),
    "RTX 5070 Ti": _geforce(8_960, 2.452, 16),
    "RTX 5070": _geforce(6_144, 2.512, 12),
    "RTX 4090": _geforce(16_384, 2.520, 24),
    "RTX 4080 SUPER": _geforce(10_240, 2.550, 16),
    "RTX 4080": _geforce(9_728, 2.505, 16),
    "RTX 4070 Ti SUPER": _geforce(8_448, 2.610, 16),
    "RTX 4070 Ti": _geforce(7_680, 2.610, 12),
    "RTX 4070 SUPER": _geforce(7_168, 2.475, 12),
    "RTX 4070": _geforce(5_888, 2.475, 12),
    "RTX 4060 Ti": _geforce(4_352, 2.535, 8),
    "RTX 4060": _geforce(3_072, 2.460, 8),
    "RTX 3090 Ti": _geforce(10_752, 1.860, 24),
    "RTX 3090": _geforce(10_496, 1.695, 24),
    "RTX 3080 Ti": _geforce(10_240, 1.665, 12),
    "RTX 3080": _geforce(8_704, 1.710, 10),
    "RTX 3070 Ti": _geforce(6_144, 1.770, 8),
    "RTX 3070": _geforce(5_888, 1.725, 8),
    "RTX 3060 Ti": _geforce(4_864, 1.665, 8),
    "RTX 3060": _geforce(3_584, 1.777, 12),
    # The same for laptops, at the highest boost clock; most laptops run with less power and clock.
    "RTX 5090 Laptop": _geforce(10_496, 2.160, 24),
    "RTX 5080 Laptop": _geforce(7_680, 2.287, 16),
    "RTX 5070 Ti Laptop": _geforce(5_888, 2.220, 12),
    "RTX 5070 Laptop": _geforce(4_608, 2.347, 8),
    "RTX 4090 Laptop": _geforce(9_728, 2.040, 16),
    "RTX 4080 Laptop": _geforce(7_424, 2.280, 12),
    "RTX 4070 Laptop": _geforce(4_608, 2.175, 8),
    "RTX 4060 Laptop": _geforce(3_072, 2.370, 8),
    "RTX 4050 Laptop": _geforce(2_560, 2.370, 6),
    "RTX 3080 Ti Laptop": _geforce(7_424, 1.590, 16),
    "RTX 3080 Laptop": _geforce(6_144, 1.710, 8),
    "RTX 3070 Ti Laptop": _geforce(5_888, 1.485, 8),
    "RTX 3070 Laptop": _geforce(5_120, 1.620, 8),
    "RTX 3060 Laptop": _geforce(3_840, 1.703, 6),
}
# Words after a card's name that make it another card: "RTX 4090 D", "RTX 5090 Laptop GPU".
OTHERS = {"ti", "super", "d", "laptop", "mobile", "max-q", "with", "ada"}
# The name of a slice of a GPU: "MIG 3g.40gb", or "MIG 1c.3g.40gb" for a part of its compute.
SLICE = re.compile(
    r"^(?P<whole>.*?) MIG (?:(?P<part>\d)c\.)?(?P<compute>\d)g\.(?P<gigabytes>\d+)gb"
)
SLICES = 7  # compute slices of a GPU. Source: NVIDIA, Multi-Instance GPU User Guide, "Concepts"


def look_up(name: str) -> Device | None:
    """Return the limits of a device by the name that its driver gives, None if unknown.

    An unknown device has no peak, because a guess would make every figure derived from it wrong. A
    MIG slice has its sevenths of the compute, and the memory in its name.

    >>> look_up("NVIDIA H100 80GB HBM3").half
    989000000000000.0
    >>> look_up("NVIDIA GeForce GT 710") is None
    True
    """
    if found := SLICE.match(name):
        whole = look_up(found["whole"])
        share = int(found["part"] or found["compute"]) / SLICES
        memory = int(found["gigabytes"]) * 2**30
        return whole and Device(whole.half * share, whole.single * share, memory)
    words = name.lower().split()
    for known in sorted(DEVICES, key=len, reverse=True):
        wanted = known.lower().split()
        for start in range(len(words)):
            end = start + len(wanted)
            if _begins(words[start:end], wanted) and words[end : end + 1] not in _OTHERS:
                return DEVICES[known]
    return None


_OTHERS = [[word] for word in OTHERS]


def _begins(words: list[str], wanted: list[str]) -> bool:
    """Whether these words are the wanted ones; the last may have a suffix such as "-SXM4"."""
    if len(words) != len(wanted) or words[:-1] != wanted[:-1]:
        return False
    return words[-1] == wanted[-1] or words[-1].startswith(wanted[-1] + "-")
