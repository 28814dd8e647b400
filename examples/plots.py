"""Pictures of a network
=====================

Cost curves, decision regions, a network with its deltas: the pictures of docs/how-to/plots.md.

Run it as ``python examples/plots.py [folder]`` to have them written.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastbp


def spirals(n, generator):
    """Return points of three spiral arms, and which arm each is of."""
    arm = np.arange(n) % 3
    along = generator.uniform(0.2, 1, n)
    angle = 4 * along + arm * 2 * np.pi / 3 + generator.normal(0, 0.45, n)
    return np.column_stack([along * np.cos(angle), along * np.sin(angle)]), arm


def main():
    """Fit a classifier of three spirals, and draw it."""
    X, arm = spirals(600, np.random.default_rng(0))
    net = fastbp.Network((2, 10, 8, 3), cost="cross_entropy", seed=0)
    net.fit(X, arm, epochs=60, optimizer=fastbp.Adam(0.01), validation=0.2)
    wrong = int(np.argmin(net.predict(X)[np.arange(len(X)), arm]))
    pictures = {
        "cost": fastbp.plots.CostCurveDisplay.from_network(net, name="three spirals"),
        "regions": fastbp.plots.DecisionRegionDisplay.from_network(net, X, arm),
        "network": fastbp.plots.NetworkDisplay.from_network(net, X[wrong], arm[wrong]),
    }
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for name, display in pictures.items():
            display.figure_.savefig(folder / f"plot-{name}.png", dpi=110)
    accuracy = (net.predict(X).argmax(axis=1) == arm).mean()
    print(f"accuracy {accuracy:.3f}; the network is drawn for sample {wrong}, the one it is most wrong about")
    plt.show()


if __name__ == "__main__":
    main()
