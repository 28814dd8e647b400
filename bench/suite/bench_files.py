"""Saving and loading networks and checkpoints."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import fastbp

from .common import best_in_turns, needs, seconds_per_epoch

NETWORKS = {"2-8-1": (2, 8, 1), "784-512-512-10": (784, 512, 512, 10)}


def trained(layers: tuple[int, ...], epochs: int = 1) -> fastbp.Network:
    """Return a network with the state of a fit: Adam's means, the order, the history."""
    X, Y = np.ones((4, layers[0]), np.float32), np.ones((4, layers[-1]), np.float32)
    return fastbp.Network(layers, seed=1).fit(X, Y, epochs=epochs, batch_size=4)


class Files:
    """Files on the disk that holds temporary ones: most of a small one's time is waiting until it lies there safely."""

    version = "1"
    params = list(NETWORKS)
    param_names = ["network"]

    def setup(self, name: str) -> None:
        """Train, and write what is to be loaded."""
        needs("Network.save(training)")
        self.net = trained(NETWORKS[name])
        self.folder = tempfile.TemporaryDirectory()
        self.path, self.checkpoint = (Path(self.folder.name, name) for name in ("net", "checkpoint"))
        self.net.save(self.path)
        self.net.save(self.checkpoint, training=True)

    def teardown(self, name: str) -> None:
        """Remove the files."""
        self.folder.cleanup()

    def time_save(self, name: str) -> None:
        """Save the network."""
        self.net.save(self.path)

    def time_save_checkpoint(self, name: str) -> None:
        """Save it with all that a fit needs to go on."""
        self.net.save(self.checkpoint, training=True)

    def time_load(self, name: str) -> None:
        """Load the network."""
        fastbp.Network.load(self.path)

    def time_load_checkpoint(self, name: str) -> None:
        """Load it with what a fit needs to go on."""
        fastbp.Network.load(self.checkpoint)


class LongHistory:
    """A checkpoint after many epochs."""

    version = "1"

    def setup(self) -> None:
        """Train for one epoch, and for 5,000."""
        needs("Network.save(training)")
        self.nets = [trained((2, 8, 1), epochs) for epochs in (1, 5000)]

    def track_after_5000_epochs(self) -> float:
        """Divide the time of a checkpoint then by that after the first epoch."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "checkpoint")
            first, late = best_in_turns(*(
                lambda net=net: seconds_per_epoch(lambda times: [net.save(path, training=True) for _ in range(times)])
                for net in self.nets))
        return late / first

    track_after_5000_epochs.unit = "first checkpoints"  # type: ignore[attr-defined]
