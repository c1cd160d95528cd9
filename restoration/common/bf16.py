"""Whether a device computes in bf16 at least as fast as in float32.

A CPU without AVX-512 (most laptops) emulates bf16: training a compact mask then takes twenty times
as long as in float32.
"""

import torch

WITH_BF16 = ("AVX512", "SVE256")  # of `torch.backends.cpu.get_cpu_capability`
SLOW = "this CPU has no instructions for bf16: %s is many times slower than float32 here"


def fast_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth its rounding on this device."""
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() in WITH_BF16
