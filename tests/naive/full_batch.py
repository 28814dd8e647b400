"""Full-batch methods: a class of the name of each."""

from __future__ import annotations

import numpy as np


def bfgs_direction(gradient, pairs):
    """-H g, with H the BFGS matrix of pairs (s, y) in order, from H0 = s.y/y.y of the last (Nocedal & Wright, 6.17)."""
    eye = np.eye(gradient.size)
    H = eye * (pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1])) if pairs else eye
    for s, y in pairs:
        rho = 1 / (s @ y)
        H = (eye - rho * np.outer(s, y)) @ H @ (eye - rho * np.outer(y, s)) + rho * np.outer(s, s)
    return -H @ gradient


def two_loops(gradient, steps, changes):
    """-H g by the recursion over vectors (Nocedal & Wright, 7.4), pairs in order; in the dtype that is given."""
    q, alphas = -gradient, []
    for s, y in list(zip(steps, changes, strict=True))[::-1]:
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    r = q * ((steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]))
    for s, y, alpha in zip(steps, changes, alphas[::-1], strict=True):
        r = r + (alpha - (y @ r) / (s @ y)) * s
    return r


class LBFGS:
    """Nocedal 1980: the direction of a step, from the points since the start, their gradients, the directions."""

    def __init__(self, memory=10):
        self.memory = memory

    def direction(self, points, gradients, directions):
        if len(points) == 1:
            return -gradients[0]
        steps, changes = (np.diff(kept[-self.memory - 1 :], axis=0) for kept in (points, gradients))
        return two_loops(gradients[-1], steps, changes)


class ConjugateGradient:
    """Nocedal & Wright (2006), algorithm 5.4, beta by (5.45), restarted by (5.52)."""

    def direction(self, points, gradients, directions):
        if len(points) == 1:
            return -gradients[0]
        last, g = gradients[-2:]
        if abs(g @ last) >= 0.2 * (g @ g):
            return -g
        return -g + max(g @ (g - last) / (last @ last), 0) * directions[-1]


class Rprop:
    """Igel & Huesken 2003, figures 1 to 4, weight by weight; ``cost`` is the one that belongs to ``g``."""

    def __init__(self, variant, n, first=0.1, up=1.2, down=0.5, smallest=1e-6, largest=50.0):
        self.variant, self.up, self.down, self.smallest, self.largest = variant, up, down, smallest, largest
        self.size, self.before, self.move, self.cost = np.full(n, first), np.zeros(n), np.zeros(n), np.inf

    def step(self, w, g, cost):
        w, g = w.copy(), g.copy()
        for i in range(w.size):
            if g[i] * self.before[i] > 0:
                self.size[i] = min(self.size[i] * self.up, self.largest)
                self.move[i] = -np.sign(g[i]) * self.size[i]
                w[i] += self.move[i]
            elif g[i] * self.before[i] < 0:
                self.size[i] = max(self.size[i] * self.down, self.smallest)
                if self.variant == "rprop+" or (self.variant == "irprop+" and cost > self.cost):
                    w[i] -= self.move[i]
                if self.variant == "rprop-":
                    w[i] -= np.sign(g[i]) * self.size[i]
                else:
                    g[i] = 0
            else:
                self.move[i] = -np.sign(g[i]) * self.size[i]
                w[i] += self.move[i]
        self.before, self.cost = g, cost
        return w


class Quickprop:
    """Fahlman (1988), section 3, one weight after the other, in the three cases that he tells apart."""

    def __init__(self, rate, growth, n):
        self.rate, self.growth, self.before, self.move = rate, growth, np.zeros(n), np.zeros(n)

    def step(self, w, slopes, cost):
        moves = np.zeros_like(w)
        for i, (slope, last, before) in enumerate(zip(slopes, self.move, self.before, strict=True)):
            if last == 0:
                moves[i] = -self.rate * slope
                continue
            same = slope * before > 0
            parabola = slope / (before - slope) * last if slope != before else np.inf * last
            if same and (abs(slope) >= abs(before) or abs(parabola) > self.growth * abs(last)):
                parabola = self.growth * last
            moves[i] = parabola - (self.rate * slope if same else 0)
        self.before, self.move = slopes.copy(), moves
        return w + moves
