"""fastbp: feed-forward networks trained by backpropagation, every loop over weights compiled by Numba."""

import importlib
from typing import Any

from . import initializers, jit, schedules
from .batch_methods import LBFGS, ConjugateGradient, Quickprop, Rprop, ScaledConjugateGradient
from .callbacks import Checkpoint, EarlyStopping, GradientNorm, MaxUpdates, ProgressBar, TargetCost, TimeLimit
from .cfunctions import CFunction
from .costs import Cost, huber, quantile
from .custom import activation, cost
from .history import History, Record
from .levenberg_marquardt import BayesianRegularization, LevenbergMarquardt
from .method import Optimizer
from .network import Network
from .optimizers import (
    SGD,
    AdaBelief,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
)
from .optional import require
from .regularization import Regularization
from .summary import LayerSummary, Summary
from .tracing import LayerGradient, Trace
from .training import DivergenceError

__version__ = "0.1.0"

__all__ = [
    "AMSGrad",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "CFunction",
    "Checkpoint",
    "ConjugateGradient",
    "Cost",
    "DivergenceError",
    "EarlyStopping",
    "GradientNorm",
    "History",
    "LBFGS",
    "LayerGradient",
    "LayerSummary",
    "LevenbergMarquardt",
    "Lion",
    "MaxUpdates",
    "NAdam",
    "Network",
    "Optimizer",
    "ProgressBar",
    "Quickprop",
    "RAdam",
    "RMSprop",
    "Record",
    "Regularization",
    "Rprop",
    "SGD",
    "ScaledConjugateGradient",
    "Summary",
    "TargetCost",
    "TimeLimit",
    "Trace",
    "__version__",
    "activation",
    "cost",
    "huber",
    "initializers",
    "jit",
    "quantile",
    "schedules",
]

LAZY = {"MLPClassifier": ("estimators", "sklearn"), "MLPRegressor": ("estimators", "sklearn")}
"""Public names whose modules need an optional library, which they name, and are loaded when they are first asked for.

They are not in `__all__`, since ``from fastbp import *`` would load the library, or fail without it."""


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = LAZY[name]
    require(extra, extra)
    globals()[name] = found = getattr(importlib.import_module(f".{module}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted(globals().keys() | LAZY.keys())
