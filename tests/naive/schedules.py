"""Schedules as functions of t, of how many, and how many are an epoch: those of tests/test_schedules.py, up to 0.3."""

from __future__ import annotations

import numpy as np


def cosine(t, total, epoch):
    """Loshchilov & Hutter 2017, equation 5, without restart."""
    return 0.3 / 2 * (1 + np.cos(np.pi * t / total))


def flat_cosine(t, total, epoch):
    """1 up to the middle, then (1 + cos(pi (2t - 1)))/2 (Holzmueller et al. 2024), from 0.3 to 0.1."""
    share = 1.0 if t <= total / 2 else (1 + np.cos(np.pi * (2 * t / total - 1))) / 2
    return 0.1 + 0.2 * share


def coslog(t, total, epoch):
    """(1 - cos(2 pi log2(1 + 15t)))/2."""
    return 0.3 / 2 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t / total)))


def one_cycle(t, total, epoch):
    """Up in the first 30 %, down in the others, the last value at the last step."""
    top = 0.3 * total
    if t < top:
        low, part = 0.3 / 25, 1 - t / top
    else:
        low, part = 0.3 / 250_000, (t - top) / (total - 1 - top)
    return low + (0.3 - low) * (1 + np.cos(np.pi * part)) / 2


def warm_up(t, total, epoch):
    """Two epochs up, then half a cosine over the others."""
    begin = 2 * epoch
    return min((t + 1) / (begin + 1), 1) * cosine(max(t - begin, 0), total - begin, epoch)


def chain(t, total, epoch):
    """Three epochs of 0.2, then half a cosine over the others."""
    return 0.2 if t < 3 * epoch else cosine(t - 3 * epoch, total - 3 * epoch, epoch)
