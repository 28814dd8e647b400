"""Sample weights and classes
==========================

Class indices as targets, and sample weights that make a rare class count.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastbp


def recalls(network, x, labels):
    """Return the share of each class that is recognised."""
    predicted = network.predict(x).argmax(axis=1)
    return [float((predicted[labels == c] == c).mean()) for c in range(3)]


def main():
    """Three overlapping clouds of points, the last with 2 % of the samples."""
    generator = np.random.default_rng(0)
    centres = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.8]])
    share = [0.49, 0.49, 0.02]
    labels = generator.choice(3, 4000, p=share)
    x = centres[labels] + 0.5 * generator.standard_normal((len(labels), 2))
    train, test = slice(None, 3000), slice(3000, None)

    _, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    weights = {"all alike": None, "rare ones more": 1 / np.array(share)[labels[train]]}
    for ax, (name, weight) in zip(axes, weights.items(), strict=True):
        network = fastbp.Network((2, 16, 3), cost="cross_entropy", seed=1)
        network.fit(x[train], labels[train], epochs=100, optimizer=fastbp.Adam(1e-2), sample_weight=weight)
        found = ", ".join(f"{recall:.0%}" for recall in recalls(network, x[test], labels[test]))
        print(f"weights: {name:<15} recall of the three classes: {found}")
        fastbp.plots.DecisionRegionDisplay.from_network(network, x[test], labels[test], ax=ax)
        ax.set_title(f"weights: {name}")
    plt.show()


if __name__ == "__main__":
    main()
