"""Training on derivatives
=======================

A sine from nine points, with and without its slopes there.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastbp

BETWEEN = np.linspace(-6, 6.5, 1000)[:, None]


def fit(points, *, slopes):
    """Fit a network to so many points of sin(x); return what it says between them, and the root mean square error."""
    X = np.linspace(-6, 6.5, points)[:, None]
    net = fastbp.Network((1, 32, 1), dtype="float64", seed=0)
    net.fit(X, np.sin(X), epochs=3000, batch_size=points, optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.01, 3000)),
            target_jacobian=np.cos(X) if slopes else None)
    predicted = net.predict(BETWEEN)
    return predicted, np.sqrt(np.mean((predicted - np.sin(BETWEEN)) ** 2))


def main():
    """Compare the same points with more of them, and with their slopes."""
    _, ax = plt.subplots()
    ax.plot(BETWEEN, np.sin(BETWEEN), color="0.7", linewidth=4, label="sin(x)")
    for points, slopes, name in ((9, False, "9 points, values"), (18, False, "18 points, values"),
                                 (9, True, "9 points, values and slopes")):
        predicted, error = fit(points, slopes=slopes)
        print(f"{name + ':':<29} error {error:.4f}")
        ax.plot(BETWEEN, predicted, label=name)
    ax.plot(np.linspace(-6, 6.5, 9), np.sin(np.linspace(-6, 6.5, 9)), "ko", markersize=4)
    ax.set(xlabel="x", title="What nine points know with their slopes")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
