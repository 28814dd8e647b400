"""fastbp: feed-forward networks trained by backpropagation, every loop over weights compiled by Numba."""

import importlib
import sys
import typing

from . import data, encoders, initializers, jit, plots, schedules
from .activations import parametric
from .cfunctions import CFunction
from .core.summary import LayerSummary, Summary
from .costs import Cost, gaussian_nll, huber, quantile
from .custom import register_activation, register_cost, whole_cost
from .derivatives.trace import LayerGradient, Trace
from .derivatives.uncertainty import Posterior
from .ensembles.ensemble import Ensemble
from .ensembles.predictions import Uncertainty
from .network import Network
from .optimizers import Optimizer
from .optimizers.bayesian import BayesianRegularization
from .optimizers.levenberg_marquardt import LevenbergMarquardt
from .optimizers.line_search import LBFGS, ConjugateGradient
from .optimizers.scaled_conjugate_gradient import ScaledConjugateGradient
from .optimizers.sign_steps import Quickprop, Rprop
from .optimizers.update_rules import (
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
from .persistence import Checkpoint
from .readers import from_fann, from_keras, from_matlab, from_onnx, from_sklearn, from_torch, read_fann_data
from .regularization import Regularization
from .training.callbacks import EarlyStopping, GradientNorm, MaxUpdates, ProgressBar, TargetCost, TimeLimit
from .training.errors import DivergenceError
from .training.history import History, Record
from .training.many import fit_many
from .util import optional
from .warm import warm_up

if typing.TYPE_CHECKING:
    from .estimators import MLPClassifier as MLPClassifier
    from .estimators import MLPRegressor as MLPRegressor
    from .estimators.search import SearchResult as SearchResult
    from .estimators.search import search as search
    from .tables import TabularClassifier as TabularClassifier
    from .tables import TabularRegressor as TabularRegressor

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
    "Ensemble",
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
    "Posterior",
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
    "Uncertainty",
    "__version__",
    "data",
    "encoders",
    "fit_many",
    "from_fann",
    "from_keras",
    "from_matlab",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "gaussian_nll",
    "huber",
    "initializers",
    "jit",
    "parametric",
    "plots",
    "quantile",
    "read_fann_data",
    "register_activation",
    "register_cost",
    "schedules",
    "warm_up",
    "whole_cost",
]

_LAZY = dict.fromkeys(("MLPClassifier", "MLPRegressor", "SearchResult", "search"), ("estimators", "sklearn")) \
    | dict.fromkeys(("TabularClassifier", "TabularRegressor"), ("tables", "table"))
"""Public name -> its module, which needs scikit-learn, and the pip extra that has this: loaded when the name is asked
for.

They are not in `__all__`, since ``from fastbp import *`` would load the library, or fail without it."""


def __getattr__(name: str) -> typing.Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LAZY[name]
    try:
        optional.require("sklearn", extra)
    except ImportError as error:
        # `from fastbp import …` asks there. Others may only ask whether there is such a name: hasattr, inspect, pydoc.
        # No exception can be both, since the two differ in layout.
        if sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise
        raise AttributeError(str(error)) from error
    return getattr(importlib.import_module(f".{module}", __name__), name)


def __dir__() -> list[str]:
    return sorted(globals().keys() | _LAZY.keys())
