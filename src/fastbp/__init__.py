"""fastbp: feed-forward networks trained by backpropagation, every loop over weights compiled by Numba."""

from . import jit
from .callbacks import ProgressBar
from .costs import Cost, huber, quantile
from .custom import activation, cost
from .history import History, Record
from .network import Network
from .optimizers import SGD, Adam, Optimizer
from .tracing import LayerGradient, Trace
from .training import DivergenceError

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "Cost",
    "DivergenceError",
    "History",
    "LayerGradient",
    "Network",
    "Optimizer",
    "ProgressBar",
    "Record",
    "Trace",
    "__version__",
    "activation",
    "cost",
    "huber",
    "jit",
    "quantile",
]
