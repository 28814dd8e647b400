"""Data beyond memory: sources that `Network.fit`, ``cost``, ``gradient`` and ``predict`` read by blocks.

`rows` takes whatever has ``.shape`` and ``[a:b]`` (arrays, memory maps, h5py datasets, zarr arrays) and lists of such;
`npy` files and directories; `parquet` columns by name; `Stream` a function that makes iterators of blocks.
`standardizer` computes means and deviations in one pass. docs/how-to/scaling.md says what to use when.
"""

from .base import Rows
from .files import npy
from .parquet import parquet
from .source import rows
from .standardize import Standardizer, standardizer
from .stream import Stream

__all__ = ["Rows", "Standardizer", "Stream", "npy", "parquet", "rows", "standardizer"]
