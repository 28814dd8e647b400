"""Against overfitting
===================

What penalties, dropout and noise do for a network with far more weights than samples.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastbp
from fastbp import Regularization

SETTINGS = {
    "none": None,
    "l2": Regularization(l2=1e-2),
    "dropout": Regularization(dropout=0.5),
    "noise": Regularization(input_noise=0.5),
    "l1": Regularization(l1=3e-3),
}


def samples(generator, n):
    """Return points of a plane with eight inputs that do not matter, and a noisy class of each."""
    x = generator.standard_normal((n, 10))
    return x, (x[:, 0] * x[:, 1] + 0.5 * generator.standard_normal(n) > 0).astype(int)


def main():
    """Train on 200 samples, judge by 5000; count the weights of the first layer that matter."""
    generator = np.random.default_rng(0)
    train, test = samples(generator, 200), samples(generator, 5000)
    costs = {}
    for name, settings in SETTINGS.items():
        network = fastbp.Network((10, 64, 64, 2), "relu", cost="cross_entropy", seed=1)
        network.fit(*train, epochs=300, optimizer=fastbp.Adam(3e-3), regularization=settings)
        accuracy = (network.predict(test[0]).argmax(axis=1) == test[1]).mean()
        W = abs(network.weights[0])
        costs[name] = network.history.cost[-1], network.cost(*test)
        print(f"{name:8s} training cost {network.history.cost[-1]:.4f}, test cost {network.cost(*test):.3f}, "
              f"test accuracy {accuracy:.1%}, weights above 0.01: {(W > 0.01).mean():.0%}")

    _, ax = plt.subplots()
    place = np.arange(len(costs))
    for i, label in enumerate(("training cost", "test cost")):
        ax.bar(place + 0.4 * i - 0.2, [pair[i] for pair in costs.values()], 0.4, label=label)
    ax.set(xticks=place, xticklabels=list(costs), title="200 samples, 4,994 weights")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
