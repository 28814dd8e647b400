"""A small regression
==================

Fit sin(x)/x with a small network, in float64.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import fastbp


def main():
    """Train on noisy points, judge on the function itself."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-10, 10, (2000, 1))
    y = np.sinc(x / np.pi) + 0.02 * generator.standard_normal(x.shape)
    grid = np.linspace(-10, 10, 501)[:, None]

    network = fastbp.Network((1, 20, 20, 1), dtype="float64", seed=1)
    start = time.perf_counter()
    for learning_rate in (1e-2, 1e-3):  # a coarse fit, then a fine one
        network.fit(x / 5, y, epochs=300, batch_size=64, optimizer=fastbp.Adam(learning_rate))
    print(f"{len(x)} points, 600 epochs in {time.perf_counter() - start:.2f} s, first compilation included")

    error = network.predict(grid / 5) - np.sinc(grid / np.pi)
    print(f"root mean square error against sin(x)/x: {np.sqrt(np.mean(error**2)):.4f} (noise in the points: 0.02)")

    _, ax = plt.subplots()
    ax.plot(x, y, ".", markersize=2, color="0.7", label="noisy points")
    ax.plot(grid, network.predict(grid / 5), label="network 1-20-20-1")
    ax.plot(grid, np.sinc(grid / np.pi), "--", label="sin(x)/x")
    ax.set(xlabel="x", title="A fit in float64")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
