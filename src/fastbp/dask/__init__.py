"""Training and prediction on a Dask cluster: `fit`, `predict`, `fit_many`; needs ``pip install fastbp[dask]``.

docs/scaling.md says what to use when. Nothing of Dask is loaded before one of these is called.
"""

from .many import fit_many
from .prediction import predict
from .training import fit

__all__ = ["fit", "fit_many", "predict"]
