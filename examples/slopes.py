"""Training on derivatives: a sine from nine points, with and without its slopes there."""

import numpy as np

import fastbp


def error(points, *, slopes):
    """Fit a network to so many points of sin(x); give the root mean square error between them."""
    X = np.linspace(-6, 6.5, points)[:, None]
    net = fastbp.Network((1, 32, 1), dtype="float64", seed=0)
    net.fit(X, np.sin(X), epochs=3000, batch_size=points, optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.01, 3000)),
            target_jacobian=np.cos(X) if slopes else None)
    between = np.linspace(-6, 6.5, 1000)[:, None]
    return np.sqrt(np.mean((net.predict(between) - np.sin(between)) ** 2))


def main():
    """Compare the same points with more of them, and with their slopes."""
    print(f"9 points, values:             error {error(9, slopes=False):.4f}")
    print(f"18 points, values:            error {error(18, slopes=False):.4f}")
    print(f"9 points, values and slopes:  error {error(9, slopes=True):.4f}")


if __name__ == "__main__":
    main()
