"""fastbp: feed-forward networks trained by backpropagation, every loop over weights compiled by Numba."""

from . import jit, schedules
from .batch_methods import LBFGS, ConjugateGradient, Rprop, ScaledConjugateGradient
from .callbacks import Checkpoint, EarlyStopping, MaxUpdates, ProgressBar, TargetCost, TimeLimit
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
    "Checkpoint",
    "ConjugateGradient",
    "Cost",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "LBFGS",
    "LayerGradient",
    "LevenbergMarquardt",
    "Lion",
    "MaxUpdates",
    "NAdam",
    "Network",
    "Optimizer",
    "ProgressBar",
    "RAdam",
    "RMSprop",
    "Record",
    "Rprop",
    "SGD",
    "ScaledConjugateGradient",
    "TargetCost",
    "TimeLimit",
    "Trace",
    "__version__",
    "activation",
    "cost",
    "huber",
    "jit",
    "quantile",
    "schedules",
]
