"""Calls everything public with odd arguments, and tells what crashed, hung, changed its input or failed by accident.

    python tests/fuzz/calls.py --calls 20000            # exit status 1 where anything was found
    python tests/fuzz/calls.py --seed 4711 --calls 1 -v # one call again, with its traceback

Call number i of a seed is the same in every run. Calls are made in subprocesses, some hundred in each, under a limit of
memory and time; arrays are handed over inside larger ones, whose other bytes must stay what they were.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import faulthandler
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

ALLOWED = (ValueError, TypeError, RuntimeError, OSError, ImportError, AttributeError)
"""What a public call may raise beside `DivergenceError`, and only by a ``raise`` of its own: see `deliberate`."""

CALL_SECONDS, MEMORY = 60, 8 * 2**30

LAYERS = [(2, 3, 1), (1, 1), (3, 5, 2), (4, 8, 6, 3), (5, 33, 2), (2, 1, 1)]
DTYPES = [np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, np.float32, np.float64, np.longdouble,
          np.complex64, object, "U5", "S3", "M8[s]", "m8[D]", ">f4", ">f8", ">i2", "V8", "f4,f4"]
NUMBERS: list[Any] = [0, 1, -1, 2, 3, 7, 2**31, 2**63, 2**70, -(2**63), 0.0, -0.0, 0.5, 1e-320, 1e308, -1.5,
                      float("nan"), float("inf"), -float("inf"), True, False, None, "", "1", "adam", b"x", 1j,
                      Fraction(1, 3), Decimal("0.1"), np.float16(0.5), np.float32(0.1), np.int8(3), np.uint64(2**63),
                      np.bool_(True), np.float64("nan"), np.array(1), np.array([1.0]), [], (), {}, [1, 2], object(),
                      int, lambda x: x, np.ma.masked, Ellipsis]
NAMES: list[Any] = ["tanh", "relu", "Sigmoid", "softmax", "", "x" * 10_000, "\0", "é", 3, None, b"tanh", ["tanh"],
                    ("tanh",) * 3, {"tanh": 1}, np.str_("tanh"), np.array(["tanh"]), ["tanh", None], "cross_entropy",
                    "squared_error", "lbfgs", "levenbergmarquardt", "adam", "sgd", "he_normal"]


class Odd:
    """A source of odd values."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.handed: list[tuple[np.ndarray, bytes]] = []

    def pick(self, values: list[Any]) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def numbers(self, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        values = self.rng.normal(size=shape) * scale
        if self.chance(0.1) and values.size:
            values.flat[int(self.rng.integers(values.size))] = self.pick([np.nan, np.inf, -np.inf, 1e300, 1e-310,
                                                                          -1e30])
        return values

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape near the right one."""
        found = list(shape)
        kind = int(self.rng.integers(6))
        if kind == 0 and found:
            found[int(self.rng.integers(len(found)))] = 0
        elif kind == 1 and found:
            found[int(self.rng.integers(len(found)))] += int(self.pick([1, -1, 17]))
        elif kind == 2:
            found.append(1)
        elif kind == 3:
            found = found[1:]
        elif kind == 4:
            found = found[::-1]
        return tuple(max(n, 0) for n in found)

    def guarded(self, array: np.ndarray) -> np.ndarray:
        """Return a copy inside a larger array, both remembered, so that a change of either is seen."""
        if array.dtype.hasobject or not array.dtype.itemsize:
            return array
        raw = np.full(array.nbytes + 512, 0xA5, np.uint8)
        inner = raw[256 : 256 + array.nbytes].view(array.dtype).reshape(array.shape)
        inner[...] = array
        self.handed.append((raw, raw.tobytes()))
        return inner

    def dress(self, array: np.ndarray) -> Any:
        """Return the same numbers as another kind of array."""
        kind = int(self.rng.integers(16))
        if kind == 0:
            return np.asfortranarray(array)
        if kind == 1 and array.ndim:
            return np.repeat(array, 2, axis=0)[::2]
        if kind == 2 and array.ndim:
            return array[::-1].copy()[::-1]
        if kind == 3:
            mask = self.rng.random(array.shape) < self.pick([0.0, 0.2])
            return np.ma.array(array, mask=mask)
        if kind == 4:
            found = self.guarded(array)
            found.flags.writeable = False
            return found
        if kind == 5:
            return array.view(type("Mine", (np.ndarray,), {}))
        if kind == 6 and array.ndim == 2:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.matrix(array) if array.dtype.kind in "fiub" else array
        if kind == 7:
            return array.tolist()
        if kind == 8 and array.size and not array.dtype.hasobject:
            file = tempfile.TemporaryFile()
            file.write(array.tobytes())
            file.flush()
            return np.memmap(file, array.dtype, self.pick(["r", "r+", "c"]), shape=array.shape)
        if kind == 9 and not array.dtype.hasobject and array.size:
            raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
            found = raw.view(array.dtype).reshape(array.shape)
            found[...] = array
            return found
        if kind == 10 and array.ndim == 2 and array.dtype.kind in "fiub" and array.dtype.isnative:
            return self.sparse(array)
        if kind == 11 and array.ndim == 2:
            import pandas

            return pandas.DataFrame(array) if array.dtype.kind in "fiubO" and array.dtype.isnative else array
        if kind == 12 and array.ndim:
            return np.broadcast_to(array[:1], array.shape)
        if kind == 13 and array.dtype.kind == "O":
            return array
        return self.guarded(array)

    def sparse(self, array: np.ndarray) -> Any:
        """Return a sparse matrix, sometimes one that is damaged."""
        import scipy.sparse

        if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
            array = array.astype(np.float64)
        kinds = ["csr_matrix", "csc_matrix", "coo_matrix", "csr_array", "lil_matrix", "dok_matrix", "bsr_matrix",
                 "dia_matrix"]
        found = getattr(scipy.sparse, self.pick(kinds))(np.where(np.abs(array) > 0.5, array, 0))
        if found.format in ("csr", "csc") and self.chance(0.7):
            part = getattr(found, self.pick(["indices", "indptr"]))
            if part.size:
                part[int(self.rng.integers(part.size))] = self.pick([-1, 0, 1, 10**6, 2**31 - 1, -(2**31),
                                                                     array.shape[1]])
        return found

    def array(self, shape: tuple[int, ...], scale: float = 1.0) -> Any:
        """Return an array of about this shape, most often odd in one way."""
        if self.chance(0.04):
            return self.pick(NUMBERS)
        if self.chance(0.15):
            shape = self.shape(shape)
        values = self.numbers(shape, scale)
        if self.chance(0.35):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    values = values.astype(self.pick(DTYPES))
                except (TypeError, ValueError):
                    values = values.astype(object)
        else:
            values = values.astype(self.pick([np.float32, np.float64]))
        return self.dress(values)

    def labels(self, n: int, classes: int) -> Any:
        values = self.rng.integers(0, classes, n)
        if self.chance(0.2) and n:
            values[int(self.rng.integers(n))] = self.pick([-1, classes, 10**7, -(2**63)])
        return self.dress(values.astype(self.pick([np.int64, np.int8, np.float32, np.float64, np.uint16])))

    def rows(self) -> Any:
        """Return rows of some samples, sometimes of none."""
        found = self.rng.integers(0, 5, int(self.pick([1, 3, 9])))
        if self.chance(0.1):
            found[0] = self.pick([-1, 5, 70, 2**62])
        return self.pick([found, found, found.tolist(), found.astype(np.uint8), range(3), None, self.number()])

    def number(self) -> Any:
        return self.pick(NUMBERS)

    def out(self, shape: tuple[int, ...], dtype: Any) -> Any:
        if self.chance(0.3):
            shape = self.shape(shape)
        if self.chance(0.2):
            dtype = self.pick([np.float32, np.float64, np.int64])
        found = np.zeros(shape, dtype)
        if self.chance(0.2) and found.ndim:
            found = np.zeros((*shape, 2), dtype)[..., 0]
        if self.chance(0.1):
            found.flags.writeable = False
        return found


class Calls:
    """What is called, with arguments that are right but for what `Odd` makes of them."""

    def __init__(self, odd: Odd) -> None:
        self.odd, self.said = odd, ""

    # -------------------------------------------------------------------------------------------------- networks

    def network(self) -> Any:
        import fastbp
        from fastbp import activations

        odd = self.odd
        layers = odd.pick(LAYERS)
        cost = odd.pick(["squared_error", "squared_error", "absolute_error", "cross_entropy", "binary_cross_entropy",
                         "poisson", "huber", "quantile", "log_cosh", "gaussian_nll"])
        if cost == "cross_entropy" and layers[-1] == 1 or cost == "gaussian_nll" and layers[-1] % 2:
            cost = "squared_error"
        activation = odd.pick(sorted(set(activations.ACTIVATIONS) - {"softmax"}))
        if odd.chance(0.15) and activation != "identity":
            activation = fastbp.parametric(activation, odd.pick([1.0, 0.0, -2]))
        return fastbp.Network(layers, activation, cost=cost, bias=odd.chance(0.8), seed=int(odd.rng.integers(100)),
                              dtype=odd.pick(["float32", "float64"]), scaling=odd.chance(0.1),
                              encoders=self.encoders(layers[0]) if odd.chance(0.2) else None)

    def encoders(self, n_in: int) -> list[Any]:
        """Return some that read all columns."""
        from fastbp import encoders

        odd = self.odd
        found = [odd.pick([lambda k: encoders.Identity(k), lambda k: encoders.OneHot(k, odd.pick([1, 3])),
                           lambda k: encoders.Embedding(k, odd.pick([1, 4]), odd.pick([1, 5, 17])),
                           lambda k: encoders.Periodic(k, odd.pick([1, 5, 16]), odd.pick([2, 4, 7])),
                           lambda k: encoders.PiecewiseLinear(k, [-1, 0.5, 2])])(k) for k in range(n_in)]
        return found + ([encoders.Periodic(range(n_in))] if odd.chance(0.1) else [])

    def encoder(self) -> Any:
        """A constructor of fastbp.encoders."""
        import fastbp
        from fastbp import encoders

        odd = self.odd
        kind = odd.pick(list(encoders.ENCODERS.values()))
        right = {"columns": [0, 1], "column": 1, "categories": 3, "size": 4, "frequencies": 5, "scale": 0.1,
                 "edges": [[0, 1], [0, 1, 2]]}
        given = {field.name: right[field.name] for field in dataclasses.fields(kind)}
        name = odd.pick(list(given))
        given[name] = odd.pick([odd.number(), odd.array((2,)), odd.array((2, 3)), [odd.number()], 2**40, "ab",
                                [[0, 1], odd.number()], range(3), [-1, 0], [1e30, 2e30], [0, 1e-320]])
        made = kind(**given)
        net = fastbp.Network((2, 3, 1), encoders=[made, encoders.Identity([0, 1])])
        if net.n_parameters < 10_000:
            net.predict(odd.array((3, 2)))
        return made

    def samples(self, net: Any, n: int | None = None) -> tuple[Any, Any]:
        odd = self.odd
        n = int(odd.pick([1, 2, 5, 33, 70])) if n is None else n
        n_in, n_out = net.layers[0], net._architecture.n_targets
        if odd.chance(0.75):
            X, Y = odd.guarded(odd.rng.normal(size=(n, n_in)).astype(net.dtype)), None
        else:
            X = odd.array((n, n_in))
        if net.encoders and isinstance(X, np.ndarray) and X.dtype.kind in "fiu" and X.ndim == 2 and odd.chance(0.8):
            X = self.with_codes(net, X)
        target = net.cost_function.name
        if target == "cross_entropy" and odd.chance(0.5):
            Y = odd.labels(n, n_out)
        elif odd.chance(0.3):
            Y = odd.array((n, n_out))
        elif target in ("cross_entropy", "binary_cross_entropy", "poisson"):
            Y = odd.guarded(odd.rng.dirichlet(np.ones(max(n_out, 1)), n).astype(net.dtype))
        else:
            Y = odd.guarded(odd.rng.normal(size=(n, n_out)).astype(net.dtype))
        return X, Y

    def with_codes(self, net: Any, X: Any) -> Any:
        """Return X with codes where encoders read codes, most of them right."""
        odd, X = self.odd, np.array(X)
        for k in {encoder.column for encoder in net.encoders if encoder.reads_codes and encoder.column < X.shape[1]}:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                X[:, k] = odd.rng.integers(0, 5, len(X))
                if odd.chance(0.3) and len(X) and X.dtype.kind == "f":
                    X[int(odd.rng.integers(len(X))), k] = odd.pick([-1, np.nan, 1e9, 2**24, 2**53, np.inf, -2, 0.5])
        return odd.guarded(X)

    def say(self, text: str) -> None:
        self.said = text

    def overwrite(self, array: Any, value: float) -> None:
        """Overwrite an array of the caller's, as a callback may."""
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable:
            array.fill(value)
            self.odd.handed = [(raw, raw.tobytes()) for raw, _ in self.odd.handed]

    def build(self) -> Any:
        """Network(...)."""
        import fastbp

        odd = self.odd
        arguments: dict[str, Any] = {"layers": odd.pick(LAYERS), "activation": "tanh", "output": None,
                                     "cost": "squared_error", "bias": True, "dtype": "float32", "init": "auto",
                                     "seed": 0, "encoders": None, "scaling": False}
        name = odd.pick(list(arguments))
        odds = {"activation": lambda: odd.pick([*NAMES, odd.number(), "parametric(mish)", "parametric(softmax)",
                                                "parametric(parametric(mish))", "parametric(mish, alpha=x)",
                                                fastbp.parametric("selu"), [fastbp.parametric("sin", 0.5)]]),
                "output": lambda: odd.pick([*NAMES, odd.number(), fastbp.parametric("tanh")]),
                "layers": lambda: odd.pick([(), (1,), (0, 1), (2, -1), (2.5, 1), "23", {2, 1}, np.array([2, 1]),
                                            np.array([2.0, 1.0]), (2**40, 2**40), (2**62, 4), (2, 3, True),
                                            [np.int8(2), np.uint64(1)], (2, 2**31), range(1, 4), odd.number()]),
                "init": lambda: odd.pick([odd.array((3, 2)), [odd.array((3, 2)), odd.array((1, 3))], "orthogonal",
                                          [("zeros", "zeros")], odd.number(), odd.pick(NAMES)]),
                "dtype": lambda: odd.pick([*DTYPES, *NAMES]), "seed": odd.number, "bias": odd.number,
                "scaling": odd.number, "encoders": lambda: odd.pick([odd.number(), [odd.number()], self.encoders(2),
                                                                self.encoders(4), tuple(self.encoders(2)), {}])}
        arguments[name] = odds.get(name, lambda: odd.pick([*NAMES, odd.number()]))()
        net = fastbp.Network(arguments.pop("layers"), **arguments)
        if net.n_parameters < 10_000:
            net.predict(np.zeros((3, net.layers[0])))
        repr(net)
        return net

    def optimizer(self) -> Any:
        import fastbp

        odd = self.odd
        if odd.chance(0.5):
            return odd.pick(list(fastbp.optimizers.OPTIMIZERS))
        if odd.chance(0.05):
            return odd.pick(NAMES)
        kind = odd.pick(list(fastbp.optimizers.OPTIMIZERS.values()))
        names = [field.name for field in dataclasses.fields(kind) if odd.chance(0.1)]
        settings = {name: odd.number() if odd.chance(0.3) else odd.pick([0.5, 0.1, 2, 1e-3, True]) for name in names}
        if hasattr(kind, "rule") and odd.chance(0.2):
            s = fastbp.schedules
            settings["learning_rate"] = odd.pick([
                lambda t: 0.01 / (t + 1), lambda t: float("nan"), lambda t: -1, lambda t: "x", s.Cosine(0.1, 3),
                s.ReduceOnPlateau(0.1, patience=1), s.ReduceOnPlateau(0.1, metric="r2"), s.OneCycle(0.1, 4),
                s.WarmUp(0.1, 2), s.Step(0.1, 1), s.Cosine, self.curve()])
        if "weight_decay" in getattr(kind, "settings", {}) and odd.chance(0.2):
            settings["weight_decay"] = self.curve()
        if hasattr(kind, "rule") and odd.chance(0.2):
            settings[odd.pick(["rate_factors", "decay_factors"])] = odd.pick([
                {"biases": 0.5}, {"weights[0]": 2.0, "layers[-1]": 0}, {"weights[9]": 1}, {"layers": 3},
                {"weights[0]": odd.number()}, {odd.pick(["", "biases[", "weights[-2]", "x[99999999999]", "é"]): 0.5}])
        return kind(**settings)

    def curve(self) -> Any:
        """A schedule that changes from update to update."""
        import fastbp

        odd, s = self.odd, fastbp.schedules
        value = odd.number() if odd.chance(0.2) else odd.pick([0.1, 0.01, 2.0])
        return odd.pick([
            lambda: s.CosLog(value), lambda: s.Cosine(value, flat=0.5, per="update"), lambda: lambda t: value,
            lambda: s.WarmUp(s.OneCycle(value), 0.7, per="update"), lambda: s.Chain([value, s.CosLog(0.1)], [1]),
            lambda: s.Function(lambda done, total: value), lambda: s.Function(lambda done, total: value - done)])()

    def regularization(self) -> Any:
        import fastbp

        odd = self.odd
        names = [field.name for field in dataclasses.fields(fastbp.Regularization) if odd.chance(0.1)]
        return fastbp.Regularization(**{name: self.curve() if odd.chance(0.1) else odd.pick([
            odd.number(), 0.1, 0.1, 0.01, 0.01, True, [0.1, 0.2]]) for name in names})

    def metrics(self) -> Any:
        """What a fit records beside the cost."""
        odd = self.odd
        if odd.chance(0.4):
            return odd.pick([["r2"], ["mae", "mse", "rmse"], ["accuracy", "auc", "log_loss"], ["accuracy"],
                             ["training_r2", "r2"]])
        if odd.chance(0.1):
            return odd.pick([odd.number(), "r2", {"r2": 1}, len, np.array(["r2"])])
        own = [lambda y, p: 0.5, lambda y, p: odd.number(), lambda y, p, sample_weight: sample_weight,
               lambda y, p: p.resize(0, refcheck=False), lambda y, p: y.setflags(write=True), lambda y, p: p.fill(0),
               lambda y: 1]
        return [odd.pick(["mse", "training_mse", odd.pick(NAMES), odd.number(), (odd.pick(["own", *NAMES]),
                                                                                  odd.pick(own))])
                for _ in range(int(odd.rng.integers(4)))]

    def fit(self) -> Any:
        """Network.fit."""
        import fastbp

        odd, net = self.odd, self.network()
        X, Y = self.samples(net)
        options: dict[str, Any] = {"epochs": int(odd.rng.integers(1, 4))}
        if odd.chance(0.8):
            options["optimizer"] = self.optimizer()
        if odd.chance(0.3):
            options["batch_size"] = odd.pick([1, 2, 32, 1000, 2**62])
        if odd.chance(0.2):
            options["sample_weight"] = odd.array((len(X) if hasattr(X, "__len__") and not hasattr(X, "tocsr") else 5,))
        if odd.chance(0.3):
            options["validation"] = odd.pick([0.3, 0.5, self.samples(net), self.samples(net), odd.number()])
        if odd.chance(0.3):
            options["callbacks"] = odd.pick([[fastbp.EarlyStopping(1)], [fastbp.TargetCost(0.1)],
                                             [fastbp.EarlyStopping(1, metric=odd.pick(["r2", "accuracy", "mse"]),
                                                                   best="last")],
                                             [fastbp.GradientNorm(0.1)], [fastbp.TimeLimit(0.5)],
                                             [fastbp.MaxUpdates(3)],
                                             [lambda record: record.network.parameters.fill(np.nan)],
                                             [lambda r: r.network.fit(X, Y)],
                                             [lambda record: record.network.parameters.resize(1, refcheck=False)],
                                             [lambda record: True], [lambda record: self.overwrite(X, np.nan)],
                                             [lambda record: self.overwrite(Y, -5)], odd.number()])
        if odd.chance(0.3):
            options["metrics"] = self.metrics()
        if odd.chance(0.15):
            options["shuffle"] = odd.pick([False, lambda order: order.fill(-1), lambda order: order.fill(10**9),
                                           lambda order: order.sort(), lambda order: order.resize(0, refcheck=False),
                                           odd.number()])
        if odd.chance(0.3):
            options["threads"] = odd.pick([1, 2, 2, 3])
        if odd.chance(0.2):
            options["regularization"] = self.regularization()
        if odd.chance(0.05):
            options[odd.pick(["threads", "batch_size", "regularization", "optimizer", "sample_weight", "profile",
                              "progress", "resume"])] = odd.number()
        if odd.chance(0.1):
            options["target_jacobian"] = odd.array((5, net._architecture.n_targets, net.layers[0]))
            options["jacobian_weight"] = odd.number()
        if odd.chance(0.1):
            options["profile"] = True
        if odd.chance(0.05):
            options["epochs"] = odd.pick([0, -1, 2.5, None, "3", np.int8(2), True, np.array(2)])
        self.say(f"{net!r}.fit({options})")
        net.fit(X, Y, **options)
        if odd.chance(0.5):
            options.pop("optimizer", None)
            net.fit(X, Y, **(options | {"resume": True}))
        return net.predict(np.zeros((3, net.layers[0])))

    def use(self) -> Any:
        """Every other method of Network that takes arrays."""
        odd, net = self.odd, self.network()
        X, Y = self.samples(net)
        n_in, n_out, size = net.layers[0], net.layers[-1], net.n_parameters
        rows = 5
        name = odd.pick(["predict", "predict", "predict_out", "cost", "cost_and_gradient", "gradient", "trace",
                         "layer_outputs", "mean_abs_delta", "input_gradient", "vjp", "jvp",
                         "jacobian", "per_sample_gradient", "gradient_norms", "parameter_jacobian",
                         "hessian_vector_product", "gauss_newton_vector_product", "hessian", "hessian_diagonal",
                         "posterior", "leverage", "predict_interval", "summary", "compiled", "cfunc", "to_c",
                         "to_numpy", "copy",
                         "reset", "initialize", "parameters", "weights", "assign", "save", "load", "pickle",
                         "architecture", "repr"])
        self.say(f"{net!r}.{name}")
        method = getattr(net, name, None)
        if name == "predict":
            return net.predict(X)
        if name == "predict_out":
            out = odd.pick([odd.out((rows, n_out), net.dtype), odd.number(), X])
            found = net.predict(X, out=out)
            odd.handed = odd.handed if out is not X else []  # overwritten, as was asked for
            return found
        if name in ("cost", "cost_and_gradient", "gradient", "mean_abs_delta"):
            weights = odd.pick([None, odd.array((rows,)), odd.number()])
            return method(X, Y, weights)
        if name in ("trace", "input_gradient", "per_sample_gradient", "gradient_norms", "hessian", "hessian_diagonal"):
            return method(X, Y)
        if name == "layer_outputs":
            return method(X, odd.pick([1, -1, 0, 99, odd.number()]))
        if name in ("vjp", "jvp"):
            return method(X, odd.array((rows, n_out if name == "vjp" else n_in)))
        if name in ("jacobian", "parameter_jacobian"):
            return method(X)
        if name in ("hessian_vector_product", "gauss_newton_vector_product"):
            return method(X, Y, odd.array((size,)))
        if name in ("posterior", "leverage", "predict_interval"):
            posterior = net.posterior(X, Y)
            if name == "posterior":
                return posterior.covariance, posterior.effective_parameters, posterior.degrees_of_freedom
            new = odd.pick([X, self.samples(net)[0]])
            return posterior.leverage(new) if name == "leverage" else posterior.predict_interval(new, odd.number())
        if name == "compiled":
            return net.compiled(odd.pick([1, 7, odd.number()]))
        if name == "cfunc":
            return net.cfunc(odd.pick(["arrays", "quad", "filter", odd.number()]))
        if name in ("to_c", "to_numpy"):
            options = {"dtype": odd.pick([None, "float32", "float64", odd.number()]),
                       "classes": odd.pick([None, None, list("abc")[:n_out], odd.array((n_out,)), odd.number()])}
            if name == "to_c":
                options |= {"prefix": odd.pick(["net", "a_b", *NAMES]), "libm": odd.pick([True, False, odd.number()]),
                            "workspace": odd.pick(["static", "caller", odd.number()]),
                            "selftest": odd.pick([0, 8, odd.number(), odd.array((3, n_in))])}
            return method(**{key: options[key] for key in options if odd.chance(0.4)})
        if name == "reset":
            return net.reset(odd.number())
        if name == "initialize":
            options = {"rows": odd.pick([7, odd.number()])} if odd.chance(0.3) else {}
            net.initialize(X, odd.pick(["realmlp", "lsuv", "lsuv", *NAMES]), **options)
            return net.predict(np.zeros((2, n_in)))
        if name == "parameters":
            net.parameters = odd.array((size,))
            return net.predict(np.zeros((2, n_in)))
        if name == "weights":
            net.weights[0][:] = odd.array((net.layers[1], n_in))
            return net.predict(np.zeros((2, n_in)))
        if name == "assign":
            attribute = odd.pick([*vars(net), "parameters", "weights", "biases", "layers", "dtype", "bias",
                                  "activations", "cost_function", "init", "n_parameters", "seed", "generator",
                                  "history", "x"])
            if attribute.startswith("_"):
                return None  # private: at one's own risk
            setattr(net, attribute, odd.pick([odd.number(), (9, 9), np.dtype("float64"), odd.array((size,))]))
            Y = np.zeros((2, net._architecture.n_targets))
            return net.predict(np.zeros((2, n_in))), repr(net), net.fit(np.zeros((2, n_in)), Y, epochs=1)
        if name == "save":
            return net.save(odd.pick([odd.number(), "/nowhere/x", "", "/", "\0", b"x", "x" * 300]))
        if name == "load":
            return type(net).load(odd.pick([odd.number(), "/nowhere/x", "", "/", "\0", b"x", os.devnull]))
        if name == "pickle":
            twin = odd.pick([lambda: pickle.loads(pickle.dumps(net, int(odd.rng.integers(2, 6)))),
                             lambda: copy.copy(net), lambda: copy.deepcopy(net)])()
            return twin.fit(X, Y, epochs=1)
        if name == "repr":
            return repr(net)
        return method and method()

    # ----------------------------------------------------------------------------------------- in compiled code

    def compiled(self) -> Any:
        """Functions of fastbp.jit, called from Python."""
        from fastbp import jit

        odd, net = self.odd, self.network()
        other = self.network()
        model = net.compiled(int(odd.pick([1, 8, 256])))
        if odd.chance(0.3):
            model = model._replace(parameters=odd.pick([other.parameters, net.parameters[:-1], net.parameters[::2],
                                                        np.zeros(1, net.dtype), np.zeros(10**4, "float64"),
                                                        odd.out((net.n_parameters,), net.dtype)]))
        state = jit.state(odd.pick([model, other.compiled()]), odd.pick(["adam", "sgd", "lion", "adadelta"]))
        if odd.chance(0.3):
            part = odd.pick(["gradient", "slots", "hyper"])
            array = getattr(state, part)
            state = state._replace(**{part: odd.pick([array[:0], array[:-1], array[::2], np.zeros(1, array.dtype),
                                                      array.astype("float32"), array.astype("float64")])})
        try:
            work = odd.pick([jit.workspace(model), jit.workspace(other.compiled()), np.zeros(3, net.dtype)])
            n, n_in, n_out = 5, net.layers[0], net.layers[-1]
            x, y = odd.out((n_in,), net.dtype), odd.out((n_out,), net.dtype)
            X, Y = odd.out((n, n_in), net.dtype), odd.out((n, n_out), net.dtype)
            gradient = odd.out((net.n_parameters,), net.dtype)
            name = odd.pick(["forward", "forward_batch", "cost_and_gradient", "cost_and_gradient_batch",
                             "input_gradient", "vjp", "train_one", "train_batch", "update", "check"])
            self.say(f"jit.{name} of {net!r} with state {[getattr(a, 'shape', a) for a in state]}, parameters "
                     f"{model.parameters.shape} {model.parameters.flags.writeable}")
            arguments = {"forward": (model, x, y, work), "forward_batch": (model, X, Y, work),
                         "cost_and_gradient": (model, x, y, gradient, work),
                         "cost_and_gradient_batch": (model, X, Y, gradient, work),
                         "input_gradient": (model, x, y, odd.out((n_in,), net.dtype), work),
                         "vjp": (model, x, y, odd.out((n_in,), net.dtype), work),
                         "train_one": (model, state, x, y, work),
                         "train_batch": (model, state, X, Y, work), "update": (model, state), "check": (model,),}[name]
            return getattr(jit.functions, name)(*arguments)  # as compiled code calls them
        except Exception as error:
            import numba

            if isinstance(error, numba.core.errors.NumbaError):
                return None  # types that do not fit, told when the caller is compiled: documented
            raise

    # --------------------------------------------------------------------------------------------------- fit_many

    def many(self) -> Any:
        """fit_many: networks alike, of which there are stacks, and others, on arrays that they share or have each."""
        import fastbp
        from fastbp.training import many

        odd, net = self.odd, self.network()
        many.STACK_STEPS = odd.pick([0, 100_000])
        X, Y = self.samples(net)
        networks = odd.pick([[net.copy() for _ in range(9)], [net, net.copy()], [net, self.network()],
                             [net, odd.number()], odd.number()])
        count = max(len(networks), 1) if isinstance(networks, list) else 1
        options: dict[str, Any] = {"epochs": int(odd.rng.integers(1, 4)), "on_error": odd.pick(["raise", "keep"])}
        for name in ("rows", "validation_rows"):
            if odd.chance(0.4):
                own = [odd.rows() for _ in range(count)]
                options[name] = odd.pick([own, own[0], own[1:], np.arange(4 * count).reshape(count, 4) % 5])
        for name, value in (("optimizer", self.optimizer), ("regularization", self.regularization),
                            ("batch_size", lambda: odd.pick([1, 2, 8, 8, 2**62])),
                            ("shuffle", lambda: odd.pick([False, lambda order: order.fill(10**9)]))):
            if odd.chance(0.3):
                options[name] = odd.pick([[value() for _ in range(count)], value()])
        if odd.chance(0.2):
            options["sample_weight"] = odd.array((len(X) if isinstance(X, np.ndarray) and X.ndim else 5,))
        if odd.chance(0.3):
            given = options.get("rows")
            options["callbacks"] = odd.pick([
                lambda i: [], lambda i: [fastbp.EarlyStopping(1)], lambda i: [lambda record: self.overwrite(X, np.nan)],
                lambda i: [lambda record: [part.fill(99) for part in given if isinstance(part, np.ndarray)]],
                lambda i: odd.number(), odd.number()])
        if odd.chance(0.2):
            options[odd.pick(["threads", "resume", "progress", "epochs", "batch_size", "shuffle", "on_error",
                              "rows"])] = odd.number()
        X = odd.pick([X, X, X, [X] * count, [X, self.samples(net)[0]]])
        Y = odd.pick([Y, Y, Y, [Y] * count, [Y, self.samples(net)[1]]])
        self.say(f"fit_many({networks}, {options})")
        return fastbp.fit_many(networks, X, Y, **options)

    # -------------------------------------------------------------------------------------------------- ensembles

    def ensemble(self) -> Any:
        """Ensemble, its constructors, and all that it can be asked for."""
        import fastbp

        odd, net = self.odd, self.network()
        X, Y = self.samples(net)
        settings: dict[str, Any] = {"epochs": int(odd.rng.integers(1, 3)), "seed": odd.pick([0, 0, 0, odd.number()])}
        if odd.chance(0.2):
            settings["sample_weight"] = odd.array((5,))
        if odd.chance(0.2):
            settings[odd.pick(["optimizer", "threads", "batch_size", "regularization", "callbacks", "shuffle",
                               "rows"])] = odd.number()
        made = odd.pick(["networks", "bootstrap", "folds"])
        if made == "networks":
            settings = {"networks": odd.pick([[net, net.copy()], [net, self.network()], odd.number(),
                                              [net, odd.number()]])}
        else:
            settings["n" if made == "bootstrap" else "k"] = odd.pick([2, 3, odd.number()])
            if made == "folds" and odd.chance(0.3):
                settings["stratify"] = odd.pick([True, odd.number()])
        level = odd.pick([0.9, 0.6, odd.number()])
        method = odd.pick([None, "split", "cv+", "lac", "aps", odd.number()])
        name = odd.pick(["predict", "predict_all", "std", "uncertainty", "quantiles", "predict_interval",
                         "predict_set", "calibrate", "oob_score", "oob_predictions", "unseen", "save", "load",
                         "compiled", "copy", "index", "pickle"])
        self.say(f"Ensemble of {net!r} by {made} {settings}, then {name} {level!r} {method!r}")
        ensemble = fastbp.Ensemble(**settings) if made == "networks" else getattr(fastbp.Ensemble, made)(
            net, X, Y, **settings)
        if odd.chance(0.3):
            ensemble.calibrate(*self.samples(net))
        new = odd.pick([X, self.samples(net)[0]])
        if name in ("predict", "predict_all", "std", "uncertainty"):
            return getattr(ensemble, name)(new)
        if name == "quantiles":
            return ensemble.quantiles(new, odd.pick([0.5, [0.1, 0.9], odd.array((2,)), odd.number()]))
        if name in ("predict_interval", "predict_set"):
            if method in ("lac", "aps") and name == "predict_interval":
                method = None
            return getattr(ensemble, name)(new, level, *([] if method is None else [method]))
        if name == "calibrate":
            return ensemble.calibrate(*self.samples(net))
        if name == "index":
            return ensemble[odd.pick([0, -1, slice(1), slice(9, 10), odd.number()])]
        if name == "pickle":
            return pickle.loads(pickle.dumps(ensemble, int(odd.rng.integers(2, 6)))).predict(X)
        if name == "save":
            return ensemble.save(odd.pick([odd.number(), "/nowhere/x", "", "/", "\0", b"x", "x" * 300]))
        if name == "load":
            return fastbp.Ensemble.load(odd.pick([odd.number(), "/nowhere/x", "", "/", "\0", b"x", os.devnull]))
        found = getattr(ensemble, name)
        return found() if callable(found) else found

    # ------------------------------------------------------------------------------------------------- estimators

    def estimator(self) -> Any:
        """MLPClassifier and MLPRegressor."""
        import fastbp

        odd = self.odd
        regressor = odd.chance(0.5)
        kind = fastbp.MLPRegressor if regressor else fastbp.MLPClassifier
        settings: dict[str, Any] = {"max_iter": 3, "hidden_layer_sizes": odd.pick([(4,), (3, 3), (), 5]),
                                    "solver": odd.pick(["adam", "sgd", "lbfgs"]), "random_state": 0}
        for name in kind().get_params():
            if odd.chance(0.01) and name != "max_iter":
                settings[name] = odd.pick([odd.number(), True, 0.2, "auto", "adaptive"])
        n = int(odd.pick([1, 3, 12, 40]))
        X = odd.array((n, 3)) if odd.chance(0.5) else odd.numbers((n, 3))
        y = odd.numbers((n,)) if odd.chance(0.5) else odd.array((n,)) if regressor else odd.pick([odd.labels(n, 3),
                                                                                                  np.array(list("abc")
                                                                                                           * 40)[:n],
                                                                                                  odd.array((n,))])
        self.say(f"{kind.__name__}({settings})")
        model = kind(**settings)
        steps = odd.pick([["fit", "predict"], ["partial_fit", "partial_fit"], ["fit", "score"], ["fit", "pickle"],
                          ["fit", "fit"], ["fit", "partial_fit"]])
        for step in steps:
            if step == "fit":
                model.fit(X, y)
            elif step == "partial_fit":
                model.partial_fit(X, y, *([] if regressor else [odd.pick([np.unique([0, 1, 2]), ["a", "b", "c"],
                                                                          None])]))
            elif step == "predict":
                model.predict(odd.array((4, 3)))
            elif step == "score":
                model.score(X, y)
            else:
                pickle.loads(pickle.dumps(model)).predict(np.zeros((2, 3)))
        return model

    # -------------------------------------------------------------------------------------------------------- ONNX

    def onnx(self) -> Any:
        """Networks to ONNX and back."""
        import fastbp

        odd, options = self.odd, {}
        wild = ["", "/", "/nowhere/x", "\0", "x" * 300, os.devnull, odd.number()]
        if odd.chance(0.3):
            options["opset"] = odd.pick([13, 18, 28, np.int8(20), odd.number()])
        if odd.chance(0.3):
            options["dtype"] = odd.pick(["float64", "f4", odd.number(), np.int8])
        net = self.build()
        self.say(f"to_onnx {options}")
        content = net.to_onnx(odd.pick([*[None] * 8, *wild]), **options)
        if content is None:
            return net
        options = {}
        if odd.chance(0.2):
            options["dtype"] = odd.pick(["float64", "f4", odd.number(), np.int8])
        if odd.chance(0.2):
            options["cost"] = odd.pick(["squared_error", "cross_entropy", "gaussian_nll", fastbp.huber(0.5),
                                        odd.number()])
        self.say(f"from_onnx {options}")
        return fastbp.from_onnx(odd.pick([*[content] * 8, memoryview(content), content[:-1], b"x", *wild]), **options)

    # ----------------------------------------------------------------------------------------------------- formats

    def formats(self) -> Any:
        """Networks from other libraries' arrays, objects and files, and to them."""
        import types

        import fastbp

        odd = self.odd
        wild = ["", "/", "/nowhere/x", "\0", b"x", "x" * 300, os.devnull, odd.number()]
        name = odd.pick(["from_torch", "from_torch", "from_sklearn", "from_matlab", "from_matlab", "from_fann",
                         "from_keras", "read_fann_data", "to_fann", "to_sklearn"])
        options = {}
        if odd.chance(0.2):
            options["dtype"] = odd.pick(["float64", "f4", odd.number(), np.int8])
        if odd.chance(0.2):
            options["cost"] = odd.pick(["squared_error", "cross_entropy", "gaussian_nll", fastbp.huber(0.5),
                                        odd.number()])
        self.say(f"{name} {options}")
        if name == "from_torch":
            state: Any = {"0.weight": odd.array((4, 3)), "0.bias": odd.array((4,)), "2.weight": odd.array((2, 4))}
            if odd.chance(0.2):
                state[odd.pick(["1.weight", "2.bias", "0.weight_g", "weight", 3, "é.weight"])] = odd.array((4,))
            if odd.chance(0.1):
                options["layers"] = odd.pick([["0"], ["0", "2"], ["x"], [], "02", [3], odd.number()])
            return fastbp.from_torch(odd.pick([state, state, state, state, odd.pick(wild)]), odd.pick(
                ["tanh", "tanh", "relu", None, ["tanh"], fastbp.parametric("relu"), odd.number()]), **options)
        if name == "from_sklearn":
            mlp = types.SimpleNamespace(coefs_=[odd.array((3, 4)), odd.array((4, 2))],
                                        intercepts_=[odd.array((4,)), odd.array((2,))], activation="tanh",
                                        out_activation_="identity")
            if odd.chance(0.3):
                setattr(mlp, odd.pick(list(vars(mlp))), odd.pick([odd.number(), [odd.number()], odd.array((3, 4))]))
            return fastbp.from_sklearn(mlp, **options)
        if name == "from_matlab":
            parts = {"IW": [odd.array((4, 3)), []], "LW": [[[], []], [odd.array((2, 4)), []]],
                     "b": [odd.array((4, 1)), odd.array((2, 1))], "transferFcn": ["tansig", "purelin"],
                     "inputSettings": [{"keep": odd.array((3,)), "xrows": odd.number()},
                                       {"xoffset": odd.array((3,)), "gain": odd.array((3, 1)), "ymin": odd.number()}],
                     "outputSettings": [{"xoffset": odd.array((2,)), "gain": odd.array((2,)), "ymean": 0}]}
            for part in list(parts):
                if odd.chance(0.5 if "Settings" in part else 0.05):
                    parts[part] = odd.pick([[], odd.number(), [odd.number()], odd.array((2,))])
            return fastbp.from_matlab(odd.pick([parts, parts, parts, odd.pick(wild)]), **options)
        if name.startswith("to_"):
            net = self.build()
            if name == "to_sklearn":
                return net.to_sklearn(odd.pick([None, None, list("ab"), [0, 1, 2], odd.number(), odd.array((2,))]))
            options = {"relu": odd.pick([True, False, odd.number()]),
                       "linear_steepness": odd.pick([1, 0.5, odd.number()])}
            with tempfile.TemporaryDirectory() as folder:
                return net.to_fann(odd.pick([os.path.join(folder, "x.net")] * 8 + wild), **options)
        if name == "read_fann_data":
            return fastbp.read_fann_data(odd.pick(wild))
        return getattr(fastbp, name)(odd.pick(wild), **options)

    # ------------------------------------------------------------------------------------------------------- parts

    def parts(self) -> Any:
        """Constructors of optimizers, schedules, callbacks, settings."""
        import inspect

        import fastbp

        odd = self.odd
        kinds = [getattr(fastbp, name) for name in fastbp.__all__ if inspect.isclass(getattr(fastbp, name))]
        kinds += [*fastbp.schedules.SCHEDULES.values(), fastbp.initializers.Constant, fastbp.huber, fastbp.quantile,
                  fastbp.gaussian_nll]
        kind = odd.pick([k for k in kinds if k.__name__ not in (
            "Network", "CFunction", "Summary", "LayerSummary", "LayerGradient", "Trace", "Record", "History",
            "ProgressBar", "DivergenceError", "Cost", "Optimizer")])
        names = list(inspect.signature(kind).parameters)
        needed = inspect.signature(kind).parameters
        arguments = {name: odd.pick([odd.number(), 0.1, 3]) for name in names
                     if odd.chance(0.3) or needed[name].default is inspect.Parameter.empty}
        self.say(f"{kind.__name__}({arguments})")
        found = kind(**arguments)
        repr(found)
        return found

    def one(self) -> Any:
        """Call something."""
        return self.odd.pick([self.build, self.encoder, self.fit, self.fit, self.fit, self.use, self.use, self.use,
                              self.compiled, self.compiled, self.ensemble, self.ensemble, self.many, self.many,
                              self.estimator, self.estimator, self.onnx, self.formats, self.parts])()


def deliberate(error: BaseException) -> bool:
    """Return whether an error was raised on purpose: by a ``raise`` of fastbp's or scikit-learn's, or for a signature.

    What arises where nobody thought of it ends in an expression, or inside NumPy: "'<' not supported between ...".
    """
    trace = traceback.extract_tb(error.__traceback__)
    last = trace[-1]
    if last.filename == __file__ or isinstance(error, OSError):  # arguments that no signature has; the system's own
        return True
    if any("Path(" in (frame.line or "") or ".open(" in (frame.line or "") for frame in trace):  # no name of a file
        return True
    ours = "fastbp" in last.filename or "sklearn" in last.filename
    return ours and (last.line or "").startswith("raise") or "sklearn" in last.filename


def call(seed: int) -> str | None:
    """Make one call; return what is wrong, or None."""
    from fastbp import DivergenceError

    odd = Odd(seed)
    calls = Calls(odd)
    trouble = None
    try:
        with warnings.catch_warnings(), np.errstate(all=odd.pick(["warn", "ignore"])):
            warnings.simplefilter("ignore")
            calls.one()
    except DivergenceError:
        pass
    except BaseException as error:
        if not (isinstance(error, ALLOWED) and deliberate(error)):
            where = traceback.extract_tb(error.__traceback__)[-1]
            trouble = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        if VERBOSE:
            traceback.print_exc()
    for raw, before in odd.handed:
        if raw.tobytes() != before:
            trouble = f"an array of the caller's was changed; {trouble}"
    return None if trouble is None else f"{calls.said[:300]}: {trouble[:300]}"


VERBOSE = False


def work(first: int, count: int) -> None:
    """Make calls ``first`` up to ``first + count``, each announced before it is made."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # not on this system
        pass
    sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), line_buffering=True)
    for seed in range(first, first + count):
        print(json.dumps({"call": seed}), flush=True)
        faulthandler.dump_traceback_later(CALL_SECONDS, exit=True)
        found = call(seed)
        faulthandler.cancel_dump_traceback_later()
        if found:
            print(json.dumps({"call": seed, "trouble": found}), flush=True)


def supervise(first: int, count: int) -> list[tuple[int, str]]:
    """Have calls made in a subprocess, another one after each crash; return number and trouble of each that failed."""
    found, at, end = [], first, first + count
    while at < end:
        done = subprocess.run([sys.executable, __file__, "--work", str(at), str(end - at)], capture_output=True,
                              text=True, check=False, cwd=tempfile.gettempdir())
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found += [(line["call"], line["trouble"]) for line in lines if "trouble" in line]
        if done.returncode == 0:
            break
        last = max((line["call"] for line in lines), default=at)
        why = [line for line in done.stderr.splitlines() if line.strip()]
        found.append((last, f"exit status {done.returncode}: {' | '.join(why[:1] + why[-6:])[:600]}"))
        at = last + 1
    return found


def run(calls: int, seed: int, each: int = 250, workers: int = 1) -> list[tuple[int, str]]:
    """Make so many calls from a seed on; return number and trouble of each that failed."""
    from concurrent.futures import ThreadPoolExecutor

    parts = [(at, min(each, seed + calls - at)) for at in range(seed, seed + calls, each)]
    with ThreadPoolExecutor(workers) as pool:
        return [trouble for part in pool.map(lambda part: supervise(*part), parts) for trouble in part]


def main() -> int:
    """Make calls as the command line says."""
    global VERBOSE
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true", help="in this process, with tracebacks")
    parser.add_argument("--work", nargs=2, type=int, metavar=("FIRST", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return 0
    if options.verbose:
        VERBOSE = True
        found = [(seed, trouble) for seed in range(options.seed, options.seed + options.calls)
                 if (trouble := call(seed))]
    else:
        found = run(options.calls, options.seed, workers=options.workers)
    for number, trouble in found:
        print(f"{number}: {trouble}")
    print(f"{options.calls} calls from {options.seed} on: {len(found)} crashed, hung or failed in an undocumented way")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
