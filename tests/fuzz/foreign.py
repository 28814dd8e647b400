"""Damaged files of other libraries, read: only ValueError and OSError may come out, soon, and in little memory.

    python tests/fuzz/foreign.py --count 10000          # of each format; exit status 1 where anything was found
    python tests/fuzz/foreign.py --format keras --only 17

Each file is one of tests/formats/files with bytes changed, repeated, moved or cut off, numbers in its text changed, or
its JSON by type and by value; of an archive also what is inside, with checksums that are right. A case is a function of
its format and number.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import io
import json
import re
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

import numpy as np

import fastbp

HERE = Path(__file__).resolve().parent
SECONDS, MEMORY = 10, 2 * 2**30
"""Of the processor, and bytes of addresses."""


def load(path):
    spec = importlib.util.spec_from_file_location(f"fuzz_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shared, foreign = load(HERE / "files.py"), load(HERE.parent / "foreign_files.py")

FORMATS = {
    "torch": (["sequential.pt", "checkpoint.pt", "strides.pt", "prelu.pt", "half.pt", "protocol4.pt", "batchnorm.pt"],
              lambda path: fastbp.from_torch(path, fastbp.parametric("relu") if "prelu" in path.stem else "tanh")),
    "safetensors": (["sequential.safetensors", "bfloat16.safetensors", "nested.safetensors"],
                    lambda path: fastbp.from_torch(path, "tanh",
                                                   layers=["body.0", "head"] if "nested" in path.stem else None)),
    "keras": (["batchnorm.keras", "functional.keras", "slopes.keras", "keras2.keras", "newer.keras", "branches.keras"],
              fastbp.from_keras),
    "h5": (["batchnorm.h5", "slopes.h5", "keras2.h5", "weights.h5"], fastbp.from_keras),
    "fann": (["plain.net", "elliot.net", "comma.net", "scaled.net", "scaled_tanh.net", "sparse.net", "fixed.net"],
             lambda path: fastbp.from_fann(path, scaling="scaled" in path.stem)),
    "fann_data": (["train.data"], fastbp.read_fann_data),
    "matlab": (["regression.m", "classes.m", "limited.m"], fastbp.from_matlab),
}
"""Files of each format, and what reads them."""

NUMBERS = ["0", "1", "-1", "2", "3", "1e9", "999999999", "4294967296", "18446744073709551616", "-9223372036854775809",
           "nan", "inf", "1e400", "1e-400", "0.5", "1,5", "", "x", "1" * 5000, "[1 2;3]", "1e5e5", ".", "[]"]
"""What takes the place of a number in a text."""


def damaged_bytes(rng, content):
    """Change some bytes, or a stretch of them."""
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 2, 4, 16]))):
        if not data:
            break
        at, kind = int(rng.integers(len(data))), rng.integers(10)
        if kind < 4:
            data[at] = int(rng.integers(256))
        elif kind < 6:
            data[at] = int(rng.choice([0, 1, 127, 128, 255]))
        elif kind == 6:  # an address, a length
            values = [0, 1, len(data), 2**31, 2**32 - 1, 2**63, 2**64 - 1, int(rng.integers(len(data)))]
            data[at : at + 8] = struct.pack("<Q", values[int(rng.integers(len(values)))])
        elif kind == 7:
            del data[at : at + int(rng.choice([1, 2, 8, 64, 10**6]))]
        elif kind == 8:
            data[at:at] = data[at : at + int(rng.choice([1, 8, 64, 512]))] * int(rng.choice([1, 2, 50]))
        else:
            other = int(rng.integers(len(data)))
            data[at : at + 32] = data[other : other + 32]
    return bytes(data)


def damaged_text(rng, content):
    """Change some numbers, or lines."""
    text = content.decode("latin-1")
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        found = list(re.finditer(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text))
        lines = text.splitlines(keepends=True)
        if rng.random() < 0.3 or not found:
            if lines:
                at, kind = int(rng.integers(len(lines))), rng.integers(3)
                if kind == 0:
                    del lines[at]
                elif kind == 1:
                    lines.insert(at, lines[int(rng.integers(len(lines)))])
                else:
                    lines[at] = lines[int(rng.integers(len(lines)))]
            text = "".join(lines)
        else:
            place = found[int(rng.integers(len(found)))]
            text = text[: place.start()] + NUMBERS[int(rng.integers(len(NUMBERS)))] + text[place.end() :]
    return text.encode("latin-1")


def damaged_json(rng, content):
    """Change a place or two of a JSON text, as `files.damage_header` does of a header."""
    value = json.loads(content)
    try:
        shared.damage_header(rng, value, [json.loads(content)])
    except ValueError:  # the first change has left nothing to change
        value = {}
    return json.dumps(value).encode()


def damaged_archive(rng, content):
    """Change what is inside an archive, with checksums that are right, or its table of contents."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = list(members)
    name = names[int(rng.integers(len(names)))]
    kind = rng.integers(20)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name] = members[names[int(rng.integers(len(names)))]]
    elif kind == 2:
        members[f"../{name}"] = members.pop(name)
    else:
        change = damaged_json if name.endswith(".json") and rng.random() < 0.9 else damaged_bytes
        members[name] = change(rng, members[name])
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.02 else zipfile.ZIP_STORED
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", compression) as archive:
        for name, inside in members.items():
            archive.writestr(name, inside)
    return whole.getvalue()


def damaged_safetensors(rng, content):
    """Change the header, with a length that is right."""
    size = struct.unpack("<Q", content[:8])[0]
    header = damaged_json(rng, content[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def damaged(rng, name, content):
    """Return a file that is not what it was."""
    own = {".pt": damaged_archive, ".keras": damaged_archive, ".safetensors": damaged_safetensors, ".net": damaged_text,
           ".data": damaged_text, ".m": damaged_text}.get(Path(name).suffix, damaged_bytes)
    return (own if rng.random() < 0.8 else damaged_bytes)(rng, content)


def outcome(format, number, folder):
    """Do a case; return how it ended, and the exception if there was one."""
    names, read = FORMATS[format]
    rng = np.random.default_rng([sum(format.encode()), number])
    name = names[int(rng.integers(len(names)))]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # for JSON that is nested deeper than can be read
    try:
        content = damaged(rng, name, foreign.path_of(name, folder).read_bytes())
    finally:
        sys.setrecursionlimit(limit)
    path = folder / f"case-{name}"
    path.write_bytes(content)
    start = time.process_time()
    try:
        read(path)
    except (ValueError, OSError) as error:
        ended, caught = "refused", error
    except Exception as error:
        return "wrong exception", error
    else:
        ended, caught = "read", None
    return ("slow" if time.process_time() - start > SECONDS else ended), caught


def too_long(*_):
    raise TimeoutError("it takes too long")  # an OSError, but `slow` is what counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many files of each format")
    parser.add_argument("--format", choices=FORMATS, action="append", help="this format alone")
    parser.add_argument("--only", type=int, help="do one case, and show it")
    options = parser.parse_args()
    warnings.simplefilter("error")
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.signal(signal.SIGVTALRM, too_long)
    except (ImportError, ValueError, OSError, AttributeError) as error:
        print(f"no limit of memory and time: {error!r}", file=sys.stderr)
    wrong = False
    with tempfile.TemporaryDirectory() as folder:
        for format in options.format or FORMATS:
            found = collections.Counter()
            for number in range(options.count) if options.only is None else [options.only]:
                if hasattr(signal, "setitimer"):
                    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * SECONDS)
                ended, error = outcome(format, number, Path(folder))
                found[ended] += 1
                if ended not in ("read", "refused") or options.only is not None:
                    wrong |= ended not in ("read", "refused")
                    print(f"{format} {number}: {ended}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                    if options.only is not None and error is not None:
                        traceback.print_exception(error)
            print(f"{format}: " + ", ".join(f"{count} {ended}" for ended, count in sorted(found.items())), flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
