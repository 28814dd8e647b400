"""Damaged files, loaded and used: none may crash or hang the process, or raise what the docs do not say.

    python tests/fuzz/files.py --count 10000 --workers 2

Each file holds a training of one of the optimizers, with bits flipped, its end cut off, its JSON changed by type and by
value, or its tensors swapped, resized or filled with huge numbers. A worker under a limit of memory loads it, goes on
with the training for some epochs, and predicts. Others hold an ensemble or an estimator of tables, which is asked for
all that it knows. The right ends are: a ValueError of its `load` that names the file; a fit that ends, or raises
DivergenceError or a ValueError of fastbp's own. A case is a function of ``--seed`` and its
number: ``--only 17`` does one of them again and shows what it raised. The exit status is 1 where a case ends wrongly.
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import math
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from pathlib import Path

import numpy as np

import fastbp
from fastbp import Ensemble, Network, schedules
from fastbp.kernels.compile import JIT

KERNELS = str(Path(fastbp.__file__).parent / "kernels")
WRONG = ("crash", "hang", "wrong exception in load", "wrong exception in fit", "wrong exception in predict")
ITEM = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I8": 1, "BOOL": 1}

VALUES = [
    None, True, False, "", "x", "adam", "parametric(tanh)", "1", [], [1], {}, {"a": 1}, {"kind": "step"}, 0, -1, 1, 2,
    3, 9, 11, 17, 100, 10**6, -(10**6), 2**31, 2**53, 2**62, 2**63, 2**64, 2**127, 10**400, -(10**400), 0.0, -0.0, 0.5,
    1.5, -0.5, 1e-300, 5e-324, 1e300, -1e300, 1e308, math.inf, -math.inf, math.nan,
]
"""What takes the place of a value in the JSON."""

NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, 5.0, 9.0, 11.0, 1e3, 1e6, 1e9, 2.0**31, 2.0**53, 2.0**62, 2.0**63, -(2.0**63),
           1e18, 1e30, 1e300, -1e300, 1e-300, 5e-324, 0.5, math.inf, -math.inf, math.nan]
"""What takes the place of a number in a tensor."""


ENCODERS = [fastbp.encoders.Identity(0), fastbp.encoders.Embedding(1, 3, 2), fastbp.encoders.OneHot(1, 2),
            fastbp.encoders.Periodic(0, 3, 3), fastbp.encoders.PiecewiseLinear([0], [-1, 0, 2])]


def optimizers():
    """Return all optimizers, and some with settings and schedules."""
    found = [kind() for kind in fastbp.optimizers.OPTIMIZERS.values()]
    return found + [
        fastbp.SGD(0.01, 0.9, nesterov=True),
        fastbp.Adam(schedules.ReduceOnPlateau(0.01, 0.5, 2)),
        fastbp.Adam(schedules.ReduceOnPlateau(0.01, metric="r2")),
        fastbp.Adam(schedules.WarmUp(schedules.Cosine(0.01, 4), 2)),
        fastbp.SGD(schedules.OneCycle(0.01, 9)),
        fastbp.AdamW(schedules.Chain([0.01, schedules.CosLog(0.02)], [2]),
                     weight_decay=schedules.Cosine(0.01, flat=0.5, per="update")),
        fastbp.Lion(rate_factors={"biases": 0.1, "weights[0]": 2.0}, decay_factors={"layers[-1]": 0.0}),
        fastbp.SGD(schedules.InverseScaling(0.01)),
        fastbp.SGD(schedules.Step(0.01, 2)),
        fastbp.RMSprop(schedules.Exponential(0.01, 0.9)),
        *(fastbp.LBFGS(memory) for memory in (1, 2, 3, 20)),
    ]


def samples(net):
    """Return inputs and targets that a network of any cost takes."""
    X = np.random.default_rng(0).normal(size=(12, net.layers[0]))
    for encoder in getattr(net, "encoders", ()):
        if encoder.reads_codes:
            X[:, encoder.column] = np.arange(12) % 4 - 1
    return X, np.full((12, net.layers[-1]), 1 / net.layers[-1])


def make_originals(folder):
    """Write the files that are to be damaged."""
    W = np.random.default_rng(1).normal(size=(3, 2))
    for i, optimizer in enumerate(optimizers()):
        options = [
            {"dtype": "float64"},
            {"dtype": "float64", "init": [(W, np.zeros(3)), fastbp.initializers.Constant(0.5)]},
            {"dtype": "float64", "init": [W, "he_normal"], "bias": False},
        ][i % 3]
        if not isinstance(optimizer, fastbp.LevenbergMarquardt) and i % 2:
            options |= {"cost": fastbp.huber(0.5), "dtype": "float32", "activation": fastbp.parametric("mish", 0.5)}
        net = Network((2, 3, 2), seed=i, **options)
        stopping = [fastbp.EarlyStopping(5, metric="r2"), fastbp.EarlyStopping(9, restore_best=False)][: i % 3]
        net.fit(*samples(net), epochs=3, optimizer=optimizer, metrics=["r2", ("own", lambda y, p: 1)][: 1 + i % 2],
                callbacks=[*stopping, fastbp.Checkpoint(folder / f"{i:02}")])
    for optimizer in (fastbp.Adam(), fastbp.LBFGS(3)):
        i += 1
        net = Network((2, 3, 2), seed=i, encoders=ENCODERS, scaling=True)
        net.fit(*samples(net), epochs=3, optimizer=optimizer, callbacks=[fastbp.Checkpoint(folder / f"{i:02}")])
    for whole in [*ensembles(), *tables()]:
        i += 1
        whole.save(folder / f"{i:02}")


def ensembles():
    """Return ensembles of each kind, with what they know of rows that they have not seen."""
    X, Y = np.random.default_rng(2).normal(size=(12, 2)), np.arange(12) % 3
    numbers, classes = Network((2, 3, 2), dtype="float64"), Network((2, 2, 3), cost="cross_entropy")
    return [
        Ensemble([numbers.copy(), Network((2, 2), init=[np.eye(2)], bias=False, dtype="float64")]),
        Ensemble.folds(numbers, X, X**2, k=3, seed=0, epochs=2),
        Ensemble.bootstrap(numbers, X, X**2, n=4, seed=0, sample_weight=Y + 1.0, epochs=2).calibrate(X, X**2),
        Ensemble.folds(classes, X, Y, k=3, seed=0, epochs=2).calibrate(X, np.eye(3)[Y]),
        Ensemble.bootstrap(classes, X, np.full((12, 3), 1 / 3), n=3, seed=0, epochs=2),
    ]


TABLE = np.array([[i, "abc"[i % 3], None if i % 4 else 0.5 * i, i % 2 == 0,
                   np.datetime64("2024-01-01") + np.timedelta64(i, "D"), 7] for i in range(30)], object)


def tables():
    """Return estimators with columns of every kind."""
    small = {"hidden_layer_sizes": [2], "epochs": 2, "n_pieces": 4, "random_state": 0}
    return [
        fastbp.TabularRegressor(**small).fit(TABLE, np.arange(30.0)),
        fastbp.TabularRegressor(n_members=2, n_folds=2, **small).fit(TABLE, np.ones((30, 2)) * np.arange(2)),
        fastbp.TabularClassifier(class_weight={"a": 2, "b": 1}, **small).fit(TABLE, np.array(list("ab") * 15)),
        fastbp.TabularClassifier(n_members=3, **small).fit(TABLE, np.arange(30) % 3),
    ]


# ---------------------------------------------------------------------------------------------------------- damage

def nodes(header):
    """Return the places in a header, as the keys that lead to each."""
    found, rest = [], [((), header)]
    while rest:
        path, value = rest.pop()
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            found.append((*path, key))
            if isinstance(below, (dict, list)):
                rest.append(((*path, key), below))
    return found


def at(value, path):
    """Return what is in a place."""
    for key in path:
        value = value[key]
    return value


def changed(rng, value):
    """Return a JSON value that is not what it was."""
    if type(value) is int and rng.random() < 0.4:
        return value + int(rng.choice([-2, -1, 1, 2]))
    if type(value) is float and rng.random() < 0.4:
        return value * float(rng.choice([-1, 0, 2, 1e10, 1e-10, 1e300]))
    if type(value) is int and rng.random() < 0.3:
        return float(value)
    if rng.random() < 0.05:
        for _ in range(int(rng.choice([2, 50, 300, 950, 5000]))):
            value = [value] if rng.random() < 0.5 else {"kind": "warmup", "learning_rate": value, "epochs": 2}
        return value
    return copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def damage_header(rng, header, others):
    """Change a place or two of fastbp's header."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        places = nodes(header)
        path = places[rng.integers(len(places))]
        above, key, kind = at(header, path[:-1]), path[-1], rng.integers(8)
        if kind == 0:
            del above[key]
        elif kind == 1 and isinstance(above, dict):
            above[rng.choice(["x", "kind", "epochs", "memory"])] = above.pop(key)
        elif kind == 2:
            above[key] = copy.deepcopy(at(header, places[rng.integers(len(places))]))
        elif kind == 3:  # the same place of another file: another optimizer, another generator
            other = others[rng.integers(len(others))]
            try:
                above[key] = copy.deepcopy(at(other, path))
            except (KeyError, IndexError, TypeError):
                above[key] = None
        else:
            above[key] = changed(rng, above[key])


def damage_tensors(rng, tensors, data):
    """Change the table of tensors, or their numbers."""
    names = list(tensors)
    weights = np.array([name.startswith("training.") / (1 + np.ptp(tensors[name]["data_offsets"])) for name in names])
    common = rng.random() < 0.4  # else of a training, and most often a small one, where each number says something
    name = names[rng.choice(len(names), p=None if common or not weights.any() else weights / weights.sum())]
    tensor, kind = tensors[name], rng.integers(9)
    begin, end = tensor["data_offsets"]
    if kind == 0:
        other = tensors[names[rng.integers(len(names))]]
        tensor["data_offsets"], other["data_offsets"] = other["data_offsets"], tensor["data_offsets"]
    elif kind == 1:
        del tensors[name]
    elif kind == 2:
        other = rng.choice(["training.x", "training.best.0", "training.best.7", "init.weights.9", "weights.9", "x"])
        tensors[other] = tensors.pop(name)
    elif kind == 3:  # another dtype of the same bytes
        dtype, shape = str(rng.choice(list(ITEM))), list(tensor["shape"])
        shape[-1] = shape[-1] * ITEM[tensor["dtype"]] // ITEM[dtype]
        tensor |= {"dtype": dtype, "shape": shape}
    elif kind == 4:
        tensor["shape"] = [[end - begin], tensor["shape"][::-1], [1, *tensor["shape"]], []][rng.integers(4)]
    else:
        item = ITEM[tensor["dtype"]]
        with np.errstate(over="ignore"):
            for _ in range(int(rng.choice([1, 1, 2, 20]))):
                if end - begin >= item >= 4:
                    place = begin + item * int(rng.integers((end - begin) // item))
                    number = np.array(NUMBERS[rng.integers(len(NUMBERS))], "<f8" if item == 8 else "<f4")
                    data[place : place + item] = number.tobytes()


def damaged(rng, content, others):
    """Return a file's content, damaged."""
    content = bytearray(content)
    kind = rng.integers(20)
    if kind == 0:
        return content[: rng.integers(len(content))]
    if kind == 1:
        return content + bytes(int(rng.choice([1, 8, 1000])))
    size = struct.unpack("<Q", content[:8])[0]
    if kind <= 4:
        for _ in range(int(rng.choice([1, 1, 2, 10]))):
            place = rng.integers(8 + size if kind < 4 else len(content))
            content[place] ^= 1 << int(rng.integers(8))
        return content
    tensors, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    metadata = tensors.pop("__metadata__")
    if kind <= 13:
        header = json.loads(metadata["fastbp"])
        damage_header(rng, header, others)
        metadata["fastbp"] = json.dumps(header)
    if kind >= 13:
        damage_tensors(rng, tensors, data)
    table = json.dumps({"__metadata__": metadata, **tensors}).encode()
    table += b" " * (-len(table) % 8)
    return struct.pack("<Q", len(table)) + table + data


# ---------------------------------------------------------------------------------------------------------- a case

def deliberate(error):
    """Return whether fastbp raised a ValueError itself: those of Python and NumPy tell a user nothing to act on."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (type(error) is ValueError and place.filename.startswith(str(Path(fastbp.__file__).parent))
            and (place.line or "").startswith("raise"))


def load(path):
    """Load what a file says that it holds."""
    try:
        return Network.load(path)
    except ValueError as error:
        if "use fastbp.Ensemble.load" in str(error):
            return Ensemble.load(path)
        if "use fastbp.TabularRegressor.load" not in str(error):
            raise
        try:
            return fastbp.TabularRegressor.load(path)
        except ValueError as other:
            if "holds a 'TabularClassifier'" not in str(other):
                raise
            return fastbp.TabularClassifier.load(path)


def answers(model):
    """Ask an estimator of tables for all that it knows; return what became of it."""
    names = ["predict_proba", "predict_log_proba"] if isinstance(model, fastbp.TabularClassifier) else \
        ["predict_interval", "predict_quantiles"]
    for ask in (lambda: model.predict(TABLE), *(lambda name=name: getattr(model, name)(TABLE) for name in names),
                lambda: model.describe_columns(), lambda: repr(model.describe_columns()), lambda: repr(model)):
        try:
            ask()
        except Exception as error:
            if not deliberate(error):
                return WRONG[4], error
    return "trained", None


def asked(ensemble):
    """Ask an ensemble for all that it knows, and train one of its networks; return what became of it."""
    X = np.random.default_rng(0).normal(size=(3, 2))
    try:
        for values in (ensemble.predict(X), ensemble.std(X), *ensemble.uncertainty(X), ensemble.quantiles(X, 0.5)):
            assert len(values) == 3
    except Exception as error:
        if not deliberate(error):
            return WRONG[4], error
    for ask in (lambda: ensemble.oob_score, lambda: ensemble.unseen.sum(), lambda: ensemble.predict_interval(X, 0.8),
                lambda: ensemble.predict_set(X, 0.8, "aps"), lambda: ensemble.calibrate(*samples(ensemble[0])),
                lambda: ensemble[0].fit(*samples(ensemble[0]), epochs=2), ensemble.copy):
        try:
            ask()
        except Exception as error:
            unknown = isinstance(error, AttributeError) and "it does not know which rows" in str(error)
            if not (deliberate(error) or unknown or isinstance(error, fastbp.DivergenceError)):
                return WRONG[4], error
    return "trained", None


def outcome(path):
    """Load a file, train and predict; return what became of it, and the exception."""
    try:
        net = load(path)
    except ValueError as error:
        return ("refused" if str(error).startswith(str(path)) and deliberate(error) else WRONG[2]), error
    except Exception as error:
        return WRONG[2], error
    if not isinstance(net, Network):
        return asked(net) if isinstance(net, Ensemble) else answers(net)
    ended, caught = "trained", None
    try:
        net.fit(*samples(net), epochs=3, resume=True, metrics=["r2"], callbacks=[fastbp.EarlyStopping(50)])
        net.fit(*samples(net), epochs=2, resume=True, metrics=["r2", "mae"])
    except fastbp.DivergenceError:
        ended = "diverged"
    except Exception as error:
        # without the JIT, kernels are Python, which knows no infinity where they have one
        plain = not JIT and traceback.extract_tb(error.__traceback__)[-1].filename.startswith(KERNELS)
        ended, caught = "diverged" if plain else "no fit" if deliberate(error) else WRONG[3], error
    try:
        net.predict(np.zeros((3, net.layers[0])))
    except Exception as error:
        return WRONG[4], error
    return ended, caught


def originals(folder):
    """Read the files that are to be damaged, and their headers."""
    contents = [path.read_bytes() for path in sorted(folder.glob("[0-9][0-9]"))]
    headers = [json.loads(json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]["fastbp"])
               for content in contents]
    return contents, headers


def case(number, seed, contents, headers, path):
    """Write the file of a case."""
    rng, limit = np.random.default_rng([seed, number]), sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # for what is nested deeper than `load` can read
    try:
        path.write_bytes(damaged(rng, contents[rng.integers(len(contents))], headers))
    finally:
        sys.setrecursionlimit(limit)


def work(options):
    """Do the cases whose numbers arrive on the standard input."""
    warnings.simplefilter("ignore", RuntimeWarning)
    contents, headers = originals(options.folder)
    for path in sorted(options.folder.glob("[0-9][0-9]")):  # compile, and see that all is well
        ended, error = outcome(path)
        if ended != "trained":
            raise RuntimeError(f"{path}, which is not damaged, ended as {ended!r}") from error
    if options.memory:
        try:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (int(options.memory * 2**30),) * 2)
        except (ImportError, ValueError, OSError) as error:
            print(f"no limit of memory: {error!r}", file=sys.stderr)
    path = options.folder / f"case{options.worker}"
    print("ready", flush=True)
    for line in sys.stdin:
        case(int(line), options.seed, contents, headers, path)
        ended, error = outcome(path)
        print(json.dumps([ended, "" if error is None else f"{type(error).__name__}: {error}"[:300]]), flush=True)


# -------------------------------------------------------------------------------------------------------- workers

class Worker:
    """A process that does cases, and is replaced when it dies."""

    def __init__(self, number, options, folder):
        self.command = [sys.executable, __file__, "--worker", str(number), "--folder", str(folder),
                        "--seed", str(options.seed), "--memory", str(options.memory)]
        self.timeout, self.process = options.timeout, None

    def line(self, seconds):
        """Return the next line that it prints, None where none comes."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True).start()
        if self.line(1800) != "ready\n":
            raise RuntimeError("a worker did not come up: see above")

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.put(line)
        lines.put("")

    def do(self, number):
        """Return how a case ended, and what was said."""
        if self.process is None:
            self.start()
        print(number, file=self.process.stdin, flush=True)
        line = self.line(self.timeout)
        if line:
            return json.loads(line)
        if line is None:
            self.process.kill()
        status = self.stop()
        return ("hang", "") if line is None else ("crash", signal_name(status))

    def stop(self):
        """Let it end; return its exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.stdin.close()
        return process.wait()


def signal_name(status):
    """Return what a process died of."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def run(options):
    """Do all cases; return how many ended in which way."""
    found, wrong, numbers, lock = collections.Counter(), [], iter(range(options.count)), threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        make_originals(Path(folder))

        def serve(worker):
            try:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    ended, said = worker.do(number)
                    with lock:
                        found[ended] += 1
                        if ended in WRONG:
                            wrong.append((number, ended, said))
                            print(f"case {number}: {ended}: {said}", flush=True)
            finally:
                worker.stop()

        threads = [threading.Thread(target=serve, args=(Worker(i, options, folder),)) for i in range(options.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return found


def show(options):
    """Do one case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        make_originals(Path(folder))
        path = Path(folder) / "case"
        case(options.only, options.seed, *originals(Path(folder)), path)
        ended, error = outcome(path)
        print(f"case {options.only}: {ended}")
        if error is not None:
            traceback.print_exception(error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4.0, help="GB of addresses that a worker may have; 0: no limit")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds after which a case hangs")
    parser.add_argument("--only", type=int, help="do one case, and show it")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        work(options)
    elif options.only is not None:
        show(options)
    else:
        found = run(options)
        print(f"{found.total()} files: " + ", ".join(f"{found[name]} {name}" for name in
                                                     ("refused", "trained", "diverged", "no fit", *WRONG)))
        sys.exit(any(found[name] for name in WRONG) or found.total() != options.count)


if __name__ == "__main__":
    main()
