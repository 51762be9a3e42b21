"""What devices can do at most, by their makers' data sheets."""

from __future__ import annotations

from ganbench.spec import Precision

_DENSE: dict[str, dict[Precision, float]] = {
    "H200": {"bf16": 989e12, "tf32": 495e12, "fp32": 67e12},
    "H100 PCIe": {"bf16": 756e12, "tf32": 378e12, "fp32": 51e12},
    "H100": {"bf16": 989e12, "tf32": 495e12, "fp32": 67e12},
    "A100": {"bf16": 312e12, "tf32": 156e12, "fp32": 19.5e12},
    "L40S": {"bf16": 362e12, "tf32": 183e12, "fp32": 91.6e12},
    "L4": {"bf16": 121e12, "tf32": 60e12, "fp32": 30.3e12},
    "A10": {"bf16": 125e12, "tf32": 62.5e12, "fp32": 31.2e12},
    "RTX 4090": {"bf16": 165e12, "tf32": 82.6e12, "fp32": 82.6e12},
    "RTX 3090": {"bf16": 71e12, "tf32": 35.6e12, "fp32": 35.6e12},
}
"""FLOP/s of dense products with float32 sums; a longer name stands before one that it begins with."""


def peak_flops(device_name: str, precision: Precision) -> float | None:
    """FLOP/s of the device at this precision; None where it is not known, as of any CPU."""
    for name, peaks in _DENSE.items():
        if name in device_name:
            return peaks[precision]
    return None
