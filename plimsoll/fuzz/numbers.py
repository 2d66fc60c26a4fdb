"""Numbers for the draws."""

from __future__ import annotations

import random


def log_uniform(rng: random.Random, low: int, high: int) -> int:
    """A whole number whose logarithm is uniform; both ends included."""
    if high <= low:
        return low
    bits = rng.uniform(low.bit_length() - 1, high.bit_length())
    return max(low, min(high, int(2 ** (bits % 1) * 2**53) << int(bits) >> 53))
