"""Peak memory of a process that fits, imports and compiler included."""

from __future__ import annotations

import numpy as np

import fastbp


class Memory:
    """Compare the sizes: what `fit` allocates must not grow with the number of samples (the permutation apart)."""

    version = "1"
    params = ["1,000 samples", "100,000 samples", "10 million parameters"]
    param_names = ["size"]

    def setup(self, size: str) -> None:
        """Make the data, which counts too."""
        layers = (1024, 2048, 2048, 1024) if size.endswith("parameters") else (64, 100, 10)
        samples = 100_000 if size.startswith("100,000") else 1000
        self.X, self.Y = np.ones((samples, layers[0]), np.float32), np.ones((samples, layers[-1]), np.float32)
        self.net = fastbp.Network(layers, "relu", seed=1)

    def peakmem_fit(self, size: str) -> None:
        """Fit for an epoch."""
        self.net.fit(self.X, self.Y, epochs=1, batch_size=500)

    def peakmem_before(self, size: str) -> None:
        """Stop before the fit: what data, parameters and imports take."""
