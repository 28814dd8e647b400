"""Damaged ONNX files, read: none may crash or hang the process, take much memory, or raise what the docs do not say.

    python tests/fuzz/onnx_files.py --count 10000

Each is one of those in tests/formats/files, or of `Network.to_onnx`, with bits flipped, its end cut off, or fields of
its messages left out, repeated, exchanged, moved into others, or filled with other numbers and names. The right ends
are a network, which predicts, or a ValueError of fastbp's own. A case is a function of ``--seed`` and its number:
``--only 17`` does one of them again and shows what it raised. With ``--compare`` what is read must predict what
onnxruntime computes of the same file, if that takes it. The exit status is 1 where a case ends wrongly.
"""

from __future__ import annotations

import argparse
import collections
import copy
import faulthandler
import signal
import struct
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

import fastbp

FILES = Path(__file__).parents[1] / "formats" / "files"
WRONG = ("wrong exception", "hang", "no prediction", "differs")
SCHEMA = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor", 11: "port", 12: "port"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor"},
    "port": {2: "type"},
    "type": {1: "tensor type"},
    "tensor type": {2: "shape"},
    "shape": {1: "size"},
}
"""Which fields of which messages are messages."""

NUMBERS = [0, 1, 2, 3, 5, 7, 10, 11, 13, 16, 64, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63,
           2**64 - 2, 2**64 - 1]
NAMES = [b"", b"x", b"X", b"Y", b"ai.onnx.ml", b"com.microsoft", b"\xff\xfe", b"Gemm", b"MatMul", b"Add", b"Sub",
         b"Mul", b"Div", b"Relu", b"Erf", b"Clip", b"Pow", b"Where", b"Greater", b"Max", b"Softmax", b"Concat",
         b"Reshape", b"Flatten", b"Transpose", b"Cast", b"Shape", b"Gather", b"Squeeze", b"Unsqueeze", b"Constant",
         b"Identity", b"Dropout", b"BatchNormalization", b"Scaler", b"ZipMap", b"ArgMax", b"PRelu", b"HardSigmoid",
         b"Celu", b"Loop", b"ConstantOfShape", b"Expand", b"alpha", b"beta", b"axis", b"axes", b"perm", b"transA",
         b"transB", b"to"]
SINGLES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 1e30, -3e38, np.inf, -np.inf, np.nan]


ATTRIBUTES = [
    [[20, 0, 1], [2, 5, struct.pack("<f", 0.5)]],
    [[20, 0, 2], [3, 0, 1]],
    [[20, 0, 2], [3, 0, 2**64 - 1]],
    [[20, 0, 3], [4, 2, b"tanh"]],
    [[20, 0, 4], [5, 2, b"\x10\x01\x4a\x04abcd"]],
    [[20, 0, 5], [6, 2, b""]],
    [[20, 0, 6], [7, 2, struct.pack("<ff", 1, 0)]],
    [[20, 0, 7], [8, 2, b"\x01\x00"]],
    [[20, 0, 7]],
]
"""Fields of an attribute of each type."""


# ----------------------------------------------------------------------------------------------------------- messages

def varint(value):
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def parsed(content, kind):
    """Return the fields of a message: lists of number, type and value, that of a message again a list and its kind."""
    found, place = [], 0

    def number():
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            place, value, shift = place + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while place < len(content):
        key = number()
        if key & 7 == 0:
            found.append([key >> 3, 0, number()])
            continue
        size = {1: 8, 5: 4}.get(key & 7) or number()
        value, place = content[place : place + size], place + size
        below = SCHEMA.get(kind, {}).get(key >> 3)
        found.append([key >> 3, key & 7, [below, parsed(value, below)] if below else value])
    return found


def written(fields):
    """Return the bytes of a message."""
    found = b""
    for number, kind, value in fields:
        found += varint((number << 3 | kind) & (2**64 - 1))
        if kind == 0:
            found += varint(value)
        else:
            value = written(value[1]) if isinstance(value, list) else value
            found += (varint(len(value)) if kind == 2 else b"") + value
    return found


def messages(fields, kind="model"):
    """Return all messages within one, itself first, each with its kind."""
    found = [(kind, fields)]
    for _, _, value in fields:
        if isinstance(value, list):
            found += messages(value[1], value[0])
    return found


# ------------------------------------------------------------------------------------------------------------- damage

def changed(rng, value):
    """Return another number or other bytes."""
    if isinstance(value, int):
        return NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < 0.7 else (value + int(rng.integers(-2, 3))) % 2**64
    if isinstance(value, list):
        return [value[0], value[1][:: int(rng.choice([-1, 2]))]]
    kind = rng.integers(6)
    if kind == 0:
        return value[: rng.integers(len(value) + 1)]
    if kind == 1:
        return value + value[: int(rng.choice([1, 4, 8, 1000]))]
    if kind == 2 and len(value) >= 4 and len(value) % 4 == 0:
        place = 4 * int(rng.integers(len(value) // 4))
        return value[:place] + struct.pack("<f", SINGLES[rng.integers(len(SINGLES))]) + value[place + 4 :]
    if kind == 3 and value:
        place = int(rng.integers(len(value)))
        return value[:place] + bytes([value[place] ^ 1 << int(rng.integers(8))]) + value[place + 1 :]
    return NAMES[rng.integers(len(NAMES))]


def damage(rng, fields, others):
    """Change a field or some of a message, or of those within it."""
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        found = [(kind, message) for kind, message in messages(fields) if message]
        if not found:
            return
        # as often in each kind of message, whatever there are of it
        kind = sorted({kind for kind, _ in found})[rng.integers(len({kind for kind, _ in found}))]
        same = [message for name, message in found if name == kind]
        message = same[rng.integers(len(same))]
        place, how = int(rng.integers(len(message))), rng.integers(12)
        if how == 0:
            del message[place]
        elif how == 1:
            size = sum(len(some) for _, some in messages([message[place]]))  # in fields, since they are copied
            copies = max(1, min(int(rng.choice([1, 1, 2, 70, 1000])), 3000 // size))
            message[place:place] = [copy.deepcopy(message[place]) for _ in range(copies)]
        elif how == 2:
            other = int(rng.integers(len(message)))
            message[place][2], message[other][2] = message[other][2], message[place][2]
        elif how == 3:
            message[place][0] = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 14, 15, 20, 25, 2**28]))
        elif how == 4:
            message[place][1] = int(rng.integers(8))
        elif how == 5:  # a part of the same kind of another file
            parts = [part for name, part in messages(others[rng.integers(len(others))]) if name == kind and part]
            if parts:
                part = parts[rng.integers(len(parts))]
                message[place] = copy.deepcopy(part[rng.integers(len(part))])
        elif how == 7 and kind == "node":  # without inputs, or without attributes
            number = rng.choice([1, 1, 2, 5])
            message[:] = [field for field in message if field[0] != number]
        elif how == 7 and kind == "attribute":  # of another type
            message[:] = [field for field in message if field[0] == 1] + copy.deepcopy(ATTRIBUTES[rng.integers(
                len(ATTRIBUTES))])
        elif how == 6:
            texts = [field[2] for _, some in found for field in some if isinstance(field[2], bytes)]
            if texts and message[place][1] == 2:
                message[place][2] = texts[rng.integers(len(texts))]
        else:
            message[place][2] = changed(rng, message[place][2])


def damaged(rng, content, others):
    """Return a file's content, damaged."""
    kind = rng.integers(10)
    if kind == 0:
        return content[: rng.integers(len(content))]
    if kind == 1:
        found = bytearray(content)
        for _ in range(int(rng.choice([1, 2, 10]))):
            found[rng.integers(len(found))] ^= 1 << int(rng.integers(8))
        return bytes(found)
    fields = parsed(content, "model")
    damage(rng, fields, others)
    try:
        return written(fields)
    except (AttributeError, TypeError, OverflowError):  # a field whose type and value no longer go together
        return content[: rng.integers(len(content))]


# ------------------------------------------------------------------------------------------------------------- a case

def originals():
    """Return the files that are to be damaged."""
    found = [path.read_bytes() for path in sorted(FILES.glob("*.onnx"))]
    for activation in ("gelu", fastbp.parametric("mish", 0.5), "hard_sigmoid"):
        net = fastbp.Network((3, 4, 2), activation, seed=0)
        found += [net.to_onnx(), net.to_onnx(opset=20, dtype="float64")]
    encoders = [fastbp.encoders.Periodic(0), fastbp.encoders.Embedding(1, 4)]
    return [*found, fastbp.Network((2, 3, 1), encoders=encoders, scaling=True, seed=0).to_onnx()]


def deliberate(error):
    """Return whether fastbp raised a ValueError itself: those of Python and NumPy tell a user nothing to act on."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (type(error) is ValueError and place.filename.startswith(str(Path(fastbp.__file__).parent))
            and (place.line or "").startswith("raise"))


def agrees(net, content):
    """Return whether a network predicts one of the outputs that onnxruntime computes; None where it computes none."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    if np.abs(net.parameters).max() > 1e6:  # where rounding decides
        return None
    X = 3 * np.random.default_rng(0).normal(size=(16, net.layers[0]))
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        first, *_ = session.get_inputs()
        X = X.astype({"tensor(double)": np.float64, "tensor(float)": np.float32}[first.type])
        outputs = session.run(None, {first.name: X})
    except Exception:  # of many kinds
        return None
    expected = net.predict(X)
    numbers = [np.array([list(row.values()) for row in values]) if isinstance(values, list) else values
               for values in outputs]
    numbers = [values for values in numbers if values.dtype.kind == "f"]
    same = False
    for values in numbers:
        if values.size == 2 * expected.size:  # 1 − p beside p
            values = values[:, expected.shape[1] :]
        if values.size == expected.size:
            size = np.abs(expected[np.isfinite(expected)]).max(initial=1)
            same |= np.allclose(values.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5 * size, equal_nan=True)
    return same if numbers else None


def outcome(content, *, predict, compare=False):
    """Read a file; return what became of it, and the exception."""
    try:
        net = fastbp.from_onnx(content)
    except ValueError as error:
        right = deliberate(error) and error.__cause__ is not None and deliberate(error.__cause__)
        return "refused" if right else WRONG[0], error
    except TimeoutError as error:
        return WRONG[1], error
    except Exception as error:
        return WRONG[0], error
    try:
        if predict:
            net.predict(np.zeros((2, net.layers[0])))
        if compare and agrees(net, content) is False:
            return WRONG[3], None
    except Exception as error:
        return WRONG[2], error
    return "read", None


def case(number, seed, contents):
    """Return the content of a file."""
    rng = np.random.default_rng([seed, number])
    others = [parsed(content, "model") for content in contents[:: len(contents) // 4]]
    return damaged(rng, contents[rng.integers(len(contents))], others)


def run(numbers, seed, *, predict=False, compare=False, timeout=0):
    """Do cases; return how many ended in which way, and what went wrong: number, end and exception."""
    contents, found, wrong = originals(), collections.Counter(), []

    def late(signum, frame):
        raise TimeoutError

    if timeout:
        signal.signal(signal.SIGALRM, late)
    for number in numbers:
        signal.alarm(timeout) if timeout else None
        ended, error = outcome(case(number, seed, contents), predict=predict, compare=compare)
        signal.alarm(0) if timeout else None
        found[ended] += 1
        if ended in WRONG:
            wrong.append((number, ended, error))
    return found, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=float, default=4.0, help="GB of addresses that it may have; 0: no limit")
    parser.add_argument("--timeout", type=int, default=60, help="seconds after which a case hangs")
    parser.add_argument("--only", type=int, help="do one case, and show it")
    parser.add_argument("--compare", action="store_true", help="with what onnxruntime computes")
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore", RuntimeWarning)
    if options.memory:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(options.memory * 2**30),) * 2)
    numbers = range(options.count) if options.only is None else [options.only]
    found, wrong = run(numbers, options.seed, predict=True, compare=options.compare, timeout=options.timeout)
    for number, ended, error in wrong:
        print(f"case {number}: {ended}: {type(error).__name__}: {error}"[:400])
        if options.only is not None and error is not None:
            traceback.print_exception(error)
    print(f"{found.total()} files: " + ", ".join(f"{found[name]} {name}" for name in ("refused", "read", *WRONG)))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
