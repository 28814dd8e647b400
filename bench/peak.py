"""The multiply-add peak: what the vector tile reaches on data that lie in the L1 cache, on one core.

``python -m bench.peak`` prints it for both dtypes. Shares of it survive a change of machine; times do not.
"""

from __future__ import annotations

from fastbp.training.profile import multiply_add_peak

__all__ = ["multiply_add_peak"]

if __name__ == "__main__":
    for name in ("float32", "float64"):
        print(f"{name}: {multiply_add_peak(name):.1f} GFLOP/s on one core")
