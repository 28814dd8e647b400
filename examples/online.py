"""Learning online
===============

One pair, one update, while the truth drifts.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastbp

STEPS, CHUNK = 20_000, 500


def main():
    """Show a stream of pairs to a network that learns, and to one that stopped learning after the first chunks."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (STEPS, 2))
    phase = np.linspace(0, np.pi, STEPS)  # what is to be learned turns slowly into its opposite
    y = (np.cos(phase) * x[:, 0] * x[:, 1])[:, None]

    learning = fastbp.Network((2, 16, 1), seed=1)
    frozen = learning.copy()
    rule = fastbp.SGD(0.1)
    costs = []
    for start in range(0, STEPS, CHUNK):
        chunk = slice(start, start + CHUNK)
        before = learning.cost(x[chunk], y[chunk]), frozen.cost(x[chunk], y[chunk])  # not yet seen by either
        costs.append(before)
        learning.fit(x[chunk], y[chunk], epochs=1, batch_size=1, optimizer=rule, shuffle=False, resume=True)
        if start < STEPS // 4:
            frozen.parameters[:] = learning.parameters
        if start % (STEPS // 8) == 0:
            print(f"after {start:>6} pairs: cost of the next {CHUNK}: learning {before[0]:.5f}, frozen {before[1]:.5f}")
    print(f"at the end: learning {before[0]:.5f}, frozen {before[1]:.5f}")

    _, ax = plt.subplots()
    ax.semilogy(np.arange(0, STEPS, CHUNK), costs, label=["goes on learning", "stops after a quarter"])
    ax.set(xlabel="pairs seen", ylabel=f"cost of the next {CHUNK} pairs", title="What is to be learned drifts")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
