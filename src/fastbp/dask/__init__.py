"""Training and prediction on a Dask cluster: `fit`, `predict`, `fit_many`, and estimators.

`DaskMLPClassifier` and `DaskMLPRegressor` need scikit-learn beside ``pip install fastbp[dask]``. docs/how-to/scaling.md
says what to use when. Nothing of Dask or scikit-learn is loaded before one of these is asked for.
"""

from typing import TYPE_CHECKING, Any

from ..util import optional
from .many import fit_many
from .prediction import predict
from .training import fit

if TYPE_CHECKING:
    from .estimators import DaskMLPClassifier as DaskMLPClassifier
    from .estimators import DaskMLPRegressor as DaskMLPRegressor

__all__ = ["fit", "fit_many", "predict"]

_LAZY = "DaskMLPClassifier", "DaskMLPRegressor"
"""Not in `__all__`, since ``from fastbp.dask import *`` would load scikit-learn, or fail without it."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    optional.require("sklearn", "sklearn")
    from . import estimators

    return getattr(estimators, name)


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(_LAZY))
