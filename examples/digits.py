"""Handwritten digits
==================

Train a classifier, stop at its best validation cost, look at what it gets wrong.

The images come with scikit-learn (1797 of 8 x 8 pixels). Run it with ``make demo``, or
``python examples/digits.py --output demo-output`` after ``pip install fastbp[all]``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp

LAYERS = (64, 512, 10)  # of 128, 256, 512 and 128-64 hidden neurons this had the lowest validation cost
PATIENCE = 20


class Best:
    """A callback that keeps the parameters of the best validation cost."""

    def __init__(self):
        self.cost, self.epoch, self.parameters = np.inf, 0, None

    def __call__(self, record):
        """Compare; True, which stops the training, after PATIENCE epochs without a better cost."""
        if record.validation_cost < self.cost:
            self.cost, self.epoch = record.validation_cost, record.epoch
            self.parameters = record.network.parameters.copy()
        return record.epoch - self.epoch >= PATIENCE


def split(seed):
    """Return three pairs (inputs, labels): 60 % to train on, 20 % to decide when to stop, 20 % to judge by."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)  # pixels are 0 to 16
    rest, test, rest_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed)
    train, valid, train_labels, valid_labels = train_test_split(
        rest, rest_labels, test_size=0.25, stratify=rest_labels, random_state=seed)
    return (train, train_labels), (valid, valid_labels), (test, test_labels)


def new_network(seed):
    """Return an untrained classifier with one hidden layer."""
    return fastbp.Network(LAYERS, activation="relu", cost="cross_entropy", seed=seed)


def draw_curves(history, best):
    """Draw training and validation cost, with the epoch that was kept."""
    figure = plt.figure(figsize=(7, 4.2), layout="constrained")
    ax = history.plot(figure.subplots())
    ax.axvline(best.epoch, color="0.6", linestyle="--", linewidth=1)
    ax.annotate(f"kept: epoch {best.epoch}", (best.epoch, 1), xycoords=("data", "axes fraction"), xytext=(-5, -5),
                textcoords="offset points", rotation=90, ha="right", va="top", color="0.4")
    ax.set_title("Digits, {}-{}-{}: cross-entropy".format(*LAYERS))
    ax.grid(alpha=0.3, which="both")
    return figure


def draw_digits(images, labels, predicted, rows=4, columns=10):
    """Draw test images under what was predicted: first the mistakes, in red, then others as they come."""
    wrong = np.flatnonzero(predicted != labels)
    right = np.flatnonzero(predicted == labels)
    chosen = np.concatenate([wrong, right])[: rows * columns]
    figure = plt.figure(figsize=(columns * 0.95, rows * 1.25 + 0.5), layout="constrained")
    for ax, i in zip(figure.subplots(rows, columns).flat, chosen, strict=True):
        mistake = predicted[i] != labels[i]
        color = "crimson" if mistake else "black"
        ax.imshow(images[i].reshape(8, 8), cmap="gray_r", interpolation="nearest")
        ax.set_title(f"{predicted[i]}, not {labels[i]}" if mistake else str(predicted[i]), fontsize=11, color=color,
                     fontweight="bold" if mistake else "normal")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=color if mistake else "0.8", linewidth=2.5 if mistake else 0.8)
    figure.suptitle(f"What was predicted: the {len(wrong)} mistakes in {len(labels)} test digits first, in red",
                    fontsize=11)
    return figure


def main():
    """Train, judge on the test digits, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the pictures, which are shown without one")
    parser.add_argument("--epochs", type=int, default=200, help="at most so many epochs")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the network")
    options = parser.parse_args()

    train, valid, test = split(options.seed)
    print(f"{len(train[0])} digits to train on, {len(valid[0])} to validate, {len(test[0])} to test")

    start = time.perf_counter()
    new_network(0).fit(train[0][:32], train[1][:32], epochs=1)
    print(f"compiling, or loading what was compiled before: {time.perf_counter() - start:.2f} s")

    network, best = new_network(options.seed), Best()
    start = time.perf_counter()
    network.fit(*train, epochs=options.epochs, batch_size=32, validation=valid, callbacks=[best],
                progress=options.output is not None)
    seconds = time.perf_counter() - start
    network.parameters[:] = best.parameters
    print(f"trained {network!r}: {len(network.history)} epochs in {seconds:.2f} s, kept epoch {best.epoch}")

    predicted = network.predict(test[0]).argmax(axis=1)
    right = int((predicted == test[1]).sum())
    print(f"test accuracy: {right / len(predicted):.2%} ({right} of {len(predicted)} digits)")

    pictures = {"cost.png": draw_curves(network.history, best), "digits.png": draw_digits(*test, predicted)}
    if options.output is None:
        plt.show()
    else:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, figure in pictures.items():
            figure.savefig(options.output / name, dpi=130)
        print("pictures: " + ", ".join(str(options.output / name) for name in pictures))


if __name__ == "__main__":
    main()
