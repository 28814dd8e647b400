"""Groups of parameters: a rule for each of them, with its own learning rate and decay."""

from __future__ import annotations

import numpy as np

from .update_rules import AdamW, Lion


class Grouped:
    """One rule for each pair of factors, and of its step the parameters that have these.

    ``make`` returns a rule; ``rates`` and ``decays`` are one factor a parameter.
    """

    def __init__(self, make, rates, decays):
        self.pairs = np.stack([rates, decays], axis=1)
        self.rules = {tuple(pair): make() for pair in self.pairs}
        for (rate, decay), rule in self.rules.items():
            rule.rate *= rate
            if isinstance(rule, (AdamW, Lion)):  # decay of others is that of a running mean
                rule.decay *= decay

    def step(self, w, g):
        found = w.copy()
        for pair, rule in self.rules.items():
            own = (self.pairs == pair).all(axis=1)
            found[own] = rule.step(w, g)[own]
        return found
