"""Metrics, sample by sample and pair by pair: targets are rows, or class indices where each sample has one class."""

from __future__ import annotations

import math

import numpy as np


def weighted_mean(values, weights):
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def columns(y, o):
    return list(zip(np.asarray(y, float).T, np.asarray(o, float).T, strict=True))


def label(row):
    return int(row) if np.ndim(row) == 0 else max(range(len(row)), key=lambda c: (row[c], -c))


def accuracy(y, o, weights, exclusive):
    def right(target, output):
        if exclusive:
            return label(target) == label(output)
        return all((a > 0.5) == (b > 0.5) for a, b in zip(target, output, strict=True))

    return weighted_mean([float(right(*pair)) for pair in zip(y, o, strict=True)], weights)


def area(positive, scores, weights):
    """Of all pairs of a positive sample and another, the share that is in order."""
    won = pairs = 0.0
    for i in range(len(scores)):
        for j in range(len(scores)):
            if positive[i] and not positive[j]:
                pairs += weights[i] * weights[j]
                won += weights[i] * weights[j] * (1.0 if scores[i] > scores[j] else 0.5 * (scores[i] == scores[j]))
    return won / pairs if pairs else math.nan


def auc(y, o, weights, exclusive):
    if exclusive:
        labels = [label(row) for row in y]
        classes = [1] if o.shape[1] == 2 else range(o.shape[1])
        areas = [area([found == c for found in labels], o[:, c], weights) for c in classes]
    else:
        areas = [area(target > 0.5, output, weights) for target, output in columns(y, o)]
    areas = [found for found in areas if not math.isnan(found)]
    return sum(areas) / len(areas) if areas else math.nan


def cross_entropy(y, o, weights, exclusive):
    if exclusive:
        rows = np.eye(o.shape[1])[y] if np.ndim(y) == 1 else y
        return weighted_mean([-sum(a * math.log(b) for a, b in zip(*pair, strict=True))
                              for pair in zip(rows, o, strict=True)], weights)
    return np.mean([weighted_mean([-a * math.log(b) - (1 - a) * math.log(1 - b)
                                   for a, b in zip(target, output, strict=True)], weights)
                    for target, output in columns(y, o)])


def r2(y, o, weights, exclusive):
    found = []
    for target, output in columns(y, o):
        mean = weighted_mean(target, weights)
        around = weighted_mean((target - mean) ** 2, weights)
        missed = weighted_mean((target - output) ** 2, weights)
        found.append(1 - missed / around if around else float(not missed))
    return np.mean(found)


def mae(y, o, weights, exclusive):
    return np.mean([weighted_mean(abs(target - output), weights) for target, output in columns(y, o)])


def mse(y, o, weights, exclusive):
    return np.mean([weighted_mean((target - output) ** 2, weights) for target, output in columns(y, o)])


def rmse(y, o, weights, exclusive):
    return np.mean([math.sqrt(weighted_mean((target - output) ** 2, weights)) for target, output in columns(y, o)])


METRICS = {function.__name__: function for function in (accuracy, auc, cross_entropy, r2, mae, mse, rmse)}
