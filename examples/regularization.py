"""What penalties, dropout and noise do for a network with far more weights than samples."""

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
    for name, settings in SETTINGS.items():
        network = fastbp.Network((10, 64, 64, 2), "relu", cost="cross_entropy", seed=1)
        network.fit(*train, epochs=300, optimizer=fastbp.Adam(3e-3), regularization=settings)
        accuracy = (network.predict(test[0]).argmax(axis=1) == test[1]).mean()
        W = abs(network.weights[0])
        print(f"{name:8s} training cost {network.history.cost[-1]:.4f}, test cost {network.cost(*test):.3f}, "
              f"test accuracy {accuracy:.1%}, weights above 0.01: {(W > 0.01).mean():.0%}")


if __name__ == "__main__":
    main()
