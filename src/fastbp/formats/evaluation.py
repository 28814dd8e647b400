"""Predictions in plain NumPy, layer by layer: what others are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoders import Embedding, Encoder, Identity, OneHot, Periodic, PiecewiseLinear
from . import numpy_functions as functions
from .chain import Chain, Layer
from .predictor import Predictor

Array = npt.NDArray[Any]

KNOWN = frozenset({"identity", *functions.ACTIVATIONS, *functions.OF_NUMPY})
ENCODERS = (Identity, OneHot, Embedding, Periodic, PiecewiseLinear)


def evaluate(predictor: Predictor, X: Array, dtype: npt.DTypeLike) -> Array:
    """Return the outputs of rows, computed in a dtype.

    Raises
    ------
    ValueError
        If a number is not finite in this dtype, or a function is not known here.
    """
    predictor.check(KNOWN, ENCODERS, "plain NumPy")
    predictor = predictor.in_dtype(dtype)
    with np.errstate(all="ignore"):
        if (scaler := predictor.inputs) is not None:
            X = (X.astype(np.float64) - scaler.mean) / scaler.scale
        rows: Array = X.astype(dtype)
        o = _outputs(predictor.chain, rows)
        for member in predictor.members:
            o = o + _outputs(member, rows)
        o = o / len(predictor.chains)
        if (scaler := predictor.targets) is not None:
            o = o.astype(np.float64) * scaler.scale + scaler.mean
    return o


def _outputs(chain: Chain, o: Array) -> Array:
    if chain.encoders:
        o = np.column_stack([_encoded(encoder, learned, o) for encoder, learned in
                             zip(chain.encoders, chain.encoded, strict=True)])
        o = o if chain.factors is None else o * chain.factors
    for layer in chain.layers:
        o = _forward(layer, o)
    return o


def _encoded(encoder: Encoder, learned: dict[str, Array], o: Array) -> Array:
    columns = [o[:, k] for k in encoder.reads]
    if isinstance(encoder, Identity):
        return np.column_stack(columns)
    if isinstance(encoder, OneHot):
        return functions.one_hot(columns[0], encoder.categories)
    if isinstance(encoder, Embedding):
        return functions.embedding(columns[0], learned["table"])
    if isinstance(encoder, PiecewiseLinear):
        return np.column_stack([functions.pieces(x, np.array(edges)) for x, edges in
                                zip(columns, encoder.edges, strict=True)])
    assert isinstance(encoder, Periodic)
    parts = zip(columns, *(learned[name] for name in ("frequencies", "phases", "weights", "biases")), strict=True)
    return np.column_stack([functions.periodic(*part) for part in parts])


def _forward(layer: Layer, o: Array) -> Array:
    x = o @ layer.weights.T
    x = x if layer.biases is None else x + layer.biases
    name = layer.activation.name
    if name == "identity":
        return x
    out: Array = (functions.ACTIVATIONS | functions.OF_NUMPY)[name](x)
    return out if layer.alphas is None else x + layer.alphas * (out - x)
