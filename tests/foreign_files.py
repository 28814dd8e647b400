"""Files that other libraries have made, in tests/formats/files, and what these compute of the same rows."""

import gzip
import json
from pathlib import Path

import numpy as np

FILES = Path(__file__).parent / "formats" / "files"
OUTPUTS = {name: np.array(values) for name, values in json.loads((FILES / "outputs.json").read_text()).items()}
X = OUTPUTS["X"]


def path_of(name, folder):
    """Return the path of a file; one that is compressed is unpacked into a folder first."""
    packed = FILES / f"{name}.gz"
    if not packed.exists():
        return FILES / name
    path = folder / name
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path
