"""Derive the polynomials of fastbp.kernels.elementwise and fastbp.formats.c: minimax fits by the Remez exchange.

Prints, for each polynomial and precision, the coefficients from the highest degree down, rounded to that precision,
and the largest error that the rounded polynomial leaves in the function it serves, in units of the rounding 2**-p.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np

mp.mp.dps = 45
Function = Callable[[mp.mpf], mp.mpf]


def grid(low: mp.mpf, high: mp.mpf, points: int) -> list[mp.mpf]:
    """Return the extrema of a Chebyshev polynomial, mapped to the interval: dense at its ends."""
    return [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (points - 1)) for i in range(points)]


def remez(f: Function, weight: Function, low: mp.mpf, high: mp.mpf, degree: int) -> list[mp.mpf]:
    """Fit the polynomial of least weighted maximum error; coefficients from the lowest degree up."""
    dense = grid(low, high, 40 * (degree + 2))
    values = [(x, f(x), weight(x)) for x in dense]
    nodes = grid(low, high, degree + 2)
    for _ in range(12):
        system = mp.matrix(degree + 2, degree + 2)
        right = mp.matrix(degree + 2, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = f(x)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [(mp.polyval(coefficients[::-1], x) - y) * w for x, y, w in values]
        peaks: list[int] = []  # the extremum of each run of one sign
        for i, e in enumerate(errors):
            if peaks and (e > 0) == (errors[peaks[-1]] > 0):
                if abs(e) > abs(errors[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > degree + 2:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        if len(peaks) < degree + 2:
            break
        nodes = [dense[i] for i in peaks]
        largest = max(abs(errors[i]) for i in peaks)
        if largest < abs(solution[degree + 1]) * mp.mpf("1.01"):
            break
    return coefficients


def series(f: Function, order: int, terms: int = 30) -> Function:
    """Return (f(x) - its Taylor terms below ``order``) / x**order, free of cancellation near 0."""
    taylor = mp.taylor(f, 0, order + terms)

    def rest(x: mp.mpf) -> mp.mpf:
        if abs(x) < mp.mpf("0.01"):
            return mp.polyval(taylor[: order - 1 : -1] if order else taylor[::-1], x)
        return (f(x) - mp.polyval(taylor[:order][::-1], x)) / x**order

    return rest


def rounded(fit: list[mp.mpf], weight: Function, low: mp.mpf, high: mp.mpf, bits: int) -> list[mp.mpf]:
    """Round the coefficients one after another, each time letting the later ones make up for the rounding."""
    points = grid(low, high, 200)
    weights = np.array([float(weight(x)) for x in points])
    powers = np.array([[float(x**j) for j in range(len(fit))] for x in points]) * weights[:, None]
    left = list(fit)
    for j in range(len(fit)):
        exact = left[j]
        left[j] = mp.mpf(float(np.float32(float(exact)) if bits == 24 else exact))
        if j + 1 < len(fit):
            change = np.linalg.lstsq(powers[:, j + 1 :], powers[:, j] * float(exact - left[j]))[0]
            left[j + 1 :] = [c + mp.mpf(float(d)) for c, d in zip(left[j + 1 :], change, strict=True)]
    return left


def report(name: str, f: Function, weight: Function, low: object, high: object, degree: int, bits: int) -> None:
    """Fit, round to ``bits`` and print."""
    low, high = mp.mpf(low), mp.mpf(high)
    fit = remez(f, weight, low, high, degree)
    final = rounded(fit, weight, low, high, bits)
    error = max(abs((mp.polyval(final[::-1], x) - f(x)) * weight(x)) for x in grid(low, high, 400))
    print(
        f"{name}: degree {degree} on [{mp.nstr(low, 6)}, {mp.nstr(high, 6)}], {bits} bits, "
        f"error {mp.nstr(error * mp.mpf(2) ** bits, 3)} * 2**-{bits}"
    )
    for c in reversed(final):
        print("   ", str(np.float32(float(c))) if bits == 24 else repr(float(c)))


def log_rest(z: mp.mpf) -> mp.mpf:
    """Return Q of log((1 + s)/(1 - s)) = 2 s + s z Q(z), z = s**2."""
    if z < mp.mpf("1e-4"):
        return mp.fsum(2 * z**k / (2 * k + 3) for k in range(12))
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def sine_rest(z: mp.mpf) -> mp.mpf:
    """Return S of sin r = r + r z S(z), z = r**2."""
    return mp.fsum((-1) ** (k + 1) * z**k / mp.factorial(2 * k + 3) for k in range(16))


def cosine_rest(z: mp.mpf) -> mp.mpf:
    """Return C of cos r = 1 - z/2 + z**2 C(z), z = r**2."""
    return mp.fsum((-1) ** k * z**k / mp.factorial(2 * k + 4) for k in range(16))


def normal_rest(z: mp.mpf) -> mp.mpf:
    """Return N of Phi(-t) = 1/2 - t N(z), z = t**2."""
    return mp.fsum((-z / 2) ** k / (mp.factorial(k) * (2 * k + 1)) for k in range(24)) / mp.sqrt(2 * mp.pi)


def tail(shift: float) -> Function:
    """Return P of exp(t**2/2) Phi(-t) = P(u) / (t + shift), u = (t - shift)/(t + shift)."""

    def p(u: mp.mpf) -> mp.mpf:
        t = shift * (1 + u) / (1 - u)
        return mp.exp(t * t / 2) * mp.erfc(t / mp.sqrt(2)) / 2 * (t + shift)

    return p


def main() -> None:
    """Print every polynomial."""
    half = mp.log(2) / 2 * mp.mpf("1.001")
    quarter = (mp.pi / 4 * mp.mpf("1.001")) ** 2
    narrow = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    for bits, degree in ((24, 4), (53, 9)):
        report("expm1 rest", series(mp.expm1, 2), lambda x: abs(x) + half / 16, -half, half, degree, bits)
    for bits, degree in ((24, 2), (53, 6)):
        report("log rest", log_rest, lambda z: (z + narrow / 16) / 2, 0, narrow, degree, bits)
    for bits, degree in ((24, 4), (53, 9)):
        report("log rest, wide", log_rest, lambda z: (z + mp.mpf(1) / 144) / 2, 0, mp.mpf(1) / 9, degree, bits)
    for bits, degree in ((24, 2), (53, 5)):
        report("sine rest", sine_rest, lambda z: z + quarter / 16, 0, quarter, degree, bits)
    for bits, degree in ((24, 2), (53, 5)):
        report("cosine rest", cosine_rest, lambda z: z**2 + quarter / 16, 0, quarter, degree, bits)
    for bits, degree in ((24, 4), (53, 8)):
        report("normal rest", normal_rest, lambda z: mp.sqrt(z) * 2 + 1, 0, mp.mpf(0.47), degree, bits)
    for bits, degree, shift, top in TAILS:
        p = tail(shift)
        end = (mp.mpf(top) - shift) / (mp.mpf(top) + shift)
        report(f"normal tail, shift {shift}", p, lambda u, p=p: 1 / p(u), -1, end, degree, bits)


TAILS = ((24, 10, 5.0, 13.5), (53, 22, 5.0, 38.0))

if __name__ == "__main__":
    main()
