"""Make files of other libraries by these themselves, and what they compute, in outputs.json.

    python tests/formats/make_foreign_files.py

needs PyTorch, Keras 3, tf_keras (Keras 2), h5py, safetensors, FANN's libdoublefann and libfloatfann, and Octave. Made
with torch 2.13.0, keras 3.15.1, tf_keras 2.21.0, h5py 3.14.0, libfann 2.2.0, octave 7.3.0. MATLAB itself could not be
had: the .m files have the form that its genFunction writes, and Octave runs it.
"""

import collections
import ctypes
import gzip
import io
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}

import h5py
import keras
import numpy as np
import safetensors.torch
import tf_keras
import torch
from torch import nn

HERE = Path(__file__).parent / "files"
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
outputs = {"X": X.tolist()}


def keep(name, out):
    outputs[name] = np.asarray(out, float).tolist()


# ------------------------------------------------------------------------------------------------------------ PyTorch

def make_torch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    rows = torch.from_numpy(X)
    for name in ("sequential.pt", "sequential.safetensors", "protocol4.pt"):
        keep(name, model(rows).detach())
    torch.save(model.state_dict(), HERE / "sequential.pt")
    torch.save(model.state_dict(), HERE / "protocol4.pt", pickle_protocol=4)
    safetensors.torch.save_file(model.state_dict(), HERE / "sequential.safetensors")
    torch.save(model.state_dict(), HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(nn.Linear(3, 1), HERE / "module.pt")
    torch.jit.script(nn.Linear(3, 1)).save(HERE / "script.pt")

    norm = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    torch.save(norm.state_dict(), HERE / "batchnorm.pt")

    prelu = nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 1))
    nn.init.uniform_(prelu[1].weight)
    keep("prelu.pt", prelu(rows).detach())
    torch.save(prelu.state_dict(), HERE / "prelu.pt")

    for name, dtype in (("bfloat16", torch.bfloat16), ("half", torch.half)):
        low = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).to(dtype)
        torch.save(low.state_dict(), HERE / f"{name}.pt")
        safetensors.torch.save_file(low.state_dict(), HERE / f"{name}.safetensors")
        for end in ("pt", "safetensors"):
            keep(f"{name}.{end}", low.float()(rows).detach())

    shared = torch.randn(8, 8)
    state = {"a.weight": shared[1:6, 2:5], "a.bias": shared[:5, 0], "b.weight": shared[2:7, 3:5].t()}
    torch.save(state, HERE / "strides.pt")
    keep("strides.pt", torch.relu(rows @ state["a.weight"].t() + state["a.bias"]) @ state["b.weight"].t())

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.SiLU())
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body(x))

    nested = Nested()
    optimizer = torch.optim.Adam(nested.parameters())
    nested(rows).sum().backward()
    optimizer.step()
    torch.save({"epoch": 7, "model": nested.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.5,
                "best": None, "sizes": (3, 4, 2), "log": [1, 2**40]}, HERE / "checkpoint.pt")
    safetensors.torch.save_file(nested.state_dict(), HERE / "nested.safetensors")
    for name in ("checkpoint.pt", "nested.safetensors"):
        keep(name, nested(rows).detach())


# -------------------------------------------------------------------------------------------------------------- Keras

def drawn(model):
    """Draw all variables anew, so that none is 0 or 1; those that are variances above 0."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Normalization):
            layer.set_weights([abs(w) if "variance" in getattr(v, "path", v.name) else w for v in layer.weights
                               for w in [0.5 * rng.normal(size=v.shape)]])
    return model


def make_keras():
    layers = keras.layers
    norm = layers.Normalization()
    norm.adapt(3 * X + 1)
    models = {
        "slopes": [norm, layers.Dense(4, activation="leaky_relu"), layers.Dense(2), layers.LeakyReLU()],
        "batchnorm": [layers.Dense(4), layers.BatchNormalization(), layers.ReLU(), layers.Dense(3), layers.Softmax()],
    }
    for name, stack in models.items():
        model = drawn(keras.Sequential([keras.Input((3,)), *stack]))
        for end in ("keras", "h5"):
            model.save(HERE / f"{name}.{end}")
            keep(f"{name}.{end}", model.predict(X, verbose=0))

    start = keras.Input((3,))
    x = layers.Dense(4, activation="gelu")(start)
    x = layers.BatchNormalization(scale=False)(layers.Dropout(0.5)(x))
    model = drawn(keras.Model(start, layers.Dense(2, use_bias=False)(x)))
    model.save(HERE / "functional.keras")
    keep("functional.keras", model.predict(X, verbose=0))

    start = keras.Input((3,))
    keras.Model(start, layers.Add()([layers.Dense(2)(start), layers.Dense(2)(start)])).save(HERE / "branches.keras")

    layers = tf_keras.layers
    model = tf_keras.Sequential([tf_keras.Input((3,)), layers.Dense(4, activation="hard_sigmoid"), layers.Dense(3),
                                 layers.LeakyReLU(0.1), layers.Dense(1, activation="sigmoid")])
    model = drawn(model)
    for name in ("keras2.h5", "keras2.keras"):
        model.save(HERE / name)
        keep(name, model.predict(X, verbose=0))
    model.save_weights(HERE / "weights.h5")

    repack("keras2.keras", "keras213.keras", names={"layers": "_layer_checkpoint_dependencies"})
    keep("keras213.keras", outputs["keras2.keras"])

    # More layers than the newer form of HDF5 has in one object header.
    model = drawn(keras.Sequential([keras.Input((3,)), *[keras.layers.Dense(2, "tanh", False) for _ in range(9)]]))
    model.save(HERE / "newer.keras")
    keep("newer.keras", model.predict(X, verbose=0))
    repack("newer.keras", "newer.keras", libver=("v108", "v108"))


def repack(name, target, names=None, **options):
    """Write an archive anew, its weights by h5py with other options, or under the names of other versions of Keras."""
    with zipfile.ZipFile(HERE / name) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    weights = io.BytesIO()
    with h5py.File(io.BytesIO(members["model.weights.h5"])) as old, h5py.File(weights, "w", **options) as new:
        for part in old:
            old.copy(part, new, (names or {}).get(part, part))
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(HERE / target, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def compress():
    """Put files of HDF5 into gzip files, which are a tenth of them: most of each is zeros."""
    for path in [*HERE.glob("*.keras"), *HERE.glob("*.h5")]:
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


# --------------------------------------------------------------------------------------------------------------- FANN

class Fann:
    """FANN for one type of numbers."""

    def __init__(self, name, number):
        self.number = number
        self.library = library = ctypes.CDLL(f"lib{name}.so.2")
        for made in ("standard_array", "sparse_array", "shortcut_array"):
            getattr(library, f"fann_create_{made}").restype = ctypes.c_void_p
        library.fann_read_train_from_file.restype = ctypes.c_void_p
        library.fann_run.restype = ctypes.POINTER(number)

    def made(self, layers, functions, steepness):
        network = ctypes.c_void_p(self.library.fann_create_standard_array(len(layers), self.sizes(layers)))
        for i, (function, s) in enumerate(zip(functions, steepness, strict=True), 1):
            self.library.fann_set_activation_function_layer(network, function, i)
            self.library.fann_set_activation_steepness_layer(network, self.number(s), i)
        self.library.fann_randomize_weights(network, self.number(-1.5), self.number(1.5))
        return network

    @staticmethod
    def sizes(layers):
        return (ctypes.c_uint * len(layers))(*layers)

    def save(self, network, name):
        self.library.fann_save(network, str(HERE / name).encode())

    def run(self, network, rows, n_out, scale=False):
        found = []
        for row in rows.tolist():
            inputs = (self.number * len(row))(*row)
            if scale:
                self.library.fann_scale_input(network, inputs)
            out = (self.number * n_out)(*self.library.fann_run(network, inputs)[:n_out])
            if scale:
                self.library.fann_descale_output(network, out)
            found.append(list(out))
        return found


def make_fann():
    double, single = Fann("doublefann", ctypes.c_double), Fann("floatfann", ctypes.c_float)
    kinds = {"plain": (3, 5, 0), "wave": (14, 15, 16), "elliot": (11, 10, 8), "piece": (12, 13, 7), "cos": (17, 7, 12)}
    for name, functions in kinds.items():
        network = double.made((3, 4, 3, 2), functions, (0.5, 0.7, 1.0))
        double.save(network, f"{name}.net")
        keep(f"{name}.net", double.run(network, X, 2))
    network = single.made((3, 4, 2), (5, 3), (1.0, 0.3))
    single.save(network, "float.net")
    keep("float.net", single.run(network, X, 2))
    text = (HERE / "float.net").read_text()
    head, rest = text.split("\n", 1)
    (HERE / "comma.net").write_text(head + "\n" + re.sub(r"(\d)\.(\d)", r"\1,\2", rest))
    keep("comma.net", outputs["float.net"])
    network = double.made((3, 4, 2), (4, 6), (0.5, 0.5))
    double.save(network, "stepwise.net")
    keep("stepwise.net", double.run(network, X, 2))

    Y = np.random.default_rng(2).normal(size=(5, 2)) * 40 + 100
    lines = ["5 3 2"] + [" ".join(map(repr, row.tolist())) for pair in zip(X, Y, strict=True) for row in pair]
    (HERE / "train.data").write_text("\n".join(lines) + "\n")
    keep("train.data", Y)
    data = ctypes.c_void_p(double.library.fann_read_train_from_file(str(HERE / "train.data").encode()))
    for name, functions in {"scaled": (5, 0), "scaled_tanh": (3, 5)}.items():
        network = double.made((3, 4, 2), functions, (1.0, 0.5))
        double.library.fann_set_scaling_params(network, data, *map(ctypes.c_float, (-1, 1, -0.8, 0.9)))
        double.save(network, f"{name}.net")
        keep(f"{name}.net", double.run(network, X, 2, scale=True))
        keep(f"{name}.net unscaled", double.run(network, X, 2))

    library = double.library
    sizes = (3, double.sizes((3, 4, 2)))
    double.save(ctypes.c_void_p(library.fann_create_sparse_array(ctypes.c_float(0.5), *sizes)), "sparse.net")
    shortcut = ctypes.c_void_p(library.fann_create_shortcut_array(*sizes))
    double.save(shortcut, "shortcut.net")
    library.fann_save_to_fixed(shortcut, str(HERE / "fixed.net").encode())


# ------------------------------------------------------------------------------------------------------------- MATLAB

APPLIED = {
    "tansig": "a = 2 ./ (1 + exp(-2*n)) - 1;",
    "satlin": "a = max(0,min(1,n));",
    "softmax": "e = exp(bsxfun(@minus,n,max(n,[],1))); a = bsxfun(@rdivide,e,sum(e,1));",
}


def literal(values):
    rows = [" ".join(f"{v:.20g}" for v in np.atleast_1d(row)) for row in np.atleast_1d(values)]
    return rows[0] if np.size(values) == 1 else f"[{';'.join(rows)}]"


def generated(name, functions, weights, biases, inputs, outputs, transposed):
    """Return the text of a function that takes a matrix; with ``transposed`` its samples are rows."""
    shape = "Qx{}" if transposed else "{}xQ"
    said = [f"function [y1] = {name}(x1)", f"%{name.upper()} neural network simulation function.", "%",
            f"%   x = {shape.format(3)} matrix, input #1",
            f"%   y = {shape.format(len(weights[-1]))} matrix, output #1", "", "%#ok<*RPMT0>", "",
            "% ===== NEURAL NETWORK CONSTANTS =====", "", "% Input 1"]
    kinds = [["removeconstantrows", "mapstd", "mapminmax"][("ymean" in step) + 2 * ("ymin" in step)]
             for step in inputs + outputs]
    for end, steps in (("x", inputs), ("y", outputs)):
        for i, step in enumerate(steps, 1):
            said += [f"{end}1_step{i}.{key} = {literal(value)};" for key, value in step.items()]
    names = []
    for i, (W, b) in enumerate(zip(weights, biases, strict=True), 1):
        names.append(f"LW{i}_{i - 1}" if i > 1 else "IW1_1")
        said += ["", f"% Layer {i}", f"b{i} = {literal(b)};", f"{names[-1]} = {literal(W)};"]
    said += ["", "% ===== SIMULATION ========", "", f"Q = size(x1,{1 if transposed else 2}); % samples", "",
             "% Input 1"]
    said += ["x1 = x1';"] if transposed else []
    last = "x1"
    for i, kind in enumerate(kinds[: len(inputs)], 1):
        said.append(f"xp1 = {kind}_apply({last},x1_step{i});")
        last = "xp1"
    for i, function in enumerate(functions, 1):
        net = f"repmat(b{i},1,Q) + {names[i - 1]}*{last}"
        applied = net if function == "purelin" else f"{function}_apply({net})"
        said += ["", f"% Layer {i}", f"a{i} = {applied};"]
        last = f"a{i}"
    said += ["", "% Output 1", f"y1 = {kinds[-1]}_reverse({last},y1_step1);" if outputs else f"y1 = {last};"]
    said += ["y1 = y1';"] if transposed else []
    said += ["end", "", "% ===== MODULE FUNCTIONS ========"]
    for kind in sorted(set(kinds)):
        if kind == "removeconstantrows":
            said += ["", "function y = removeconstantrows_apply(x,settings)", "y = x(settings.keep,:);", "end"]
            continue
        to = "ymin" if kind == "mapminmax" else "ymean"
        said += ["", f"function y = {kind}_apply(x,settings)", "y = bsxfun(@minus,x,settings.xoffset);",
                 "y = bsxfun(@times,y,settings.gain);", f"y = bsxfun(@plus,y,settings.{to});", "end", "",
                 f"function x = {kind}_reverse(y,settings)", f"x = bsxfun(@minus,y,settings.{to});",
                 "x = bsxfun(@rdivide,x,settings.gain);", "x = bsxfun(@plus,x,settings.xoffset);", "end"]
    for function in sorted(set(functions) - {"purelin"}):
        said += ["", f"function a = {function}_apply(n,~)", APPLIED[function], "end"]
    return "\n".join(said) + "\n"


def make_matlab():
    rng = np.random.default_rng(3)

    def drawn(*shape):
        return rng.normal(size=shape)

    def minmax(n):
        return {"xoffset": drawn(n), "gain": abs(drawn(n)) + 0.1, "ymin": -1}

    def std(n):
        return {"xoffset": drawn(n), "gain": abs(drawn(n)) + 0.1, "ymean": 0}

    cases = {
        "regression": (["tansig", "purelin"], (3, 4, 2), [minmax(3)], [minmax(2)], False),
        "classes": (["satlin", "softmax"], (2, 4, 3), [{"keep": np.array([1, 3])}, std(2)], [], True),
        "limited": (["purelin", "tansig"], (3, 2, 1), [], [std(1)], True),
    }
    script = [f"X = {literal(X.astype(float))};"]
    for name, (functions, sizes, inputs, after, transposed) in cases.items():
        weights = [drawn(m, n) for n, m in zip(sizes[:-1], sizes[1:], strict=True)]
        biases = [drawn(m) for m in sizes[1:]]
        (HERE / f"{name}.m").write_text(generated(name, functions, weights, biases, inputs, after, transposed))
        run = f"{name}(X)" if transposed else f"{name}(X')'"
        script.append(f"printf('%.17g ', {run}'); printf('\\n');")
        if name == "regression":
            first, second, *both = map(literal, (*weights, *biases))
            cells = f"s.IW = {{{first}; []}}; s.LW = {{[], []; {second}, []}}; s.b = {{{'; '.join(both)}}};"
            inside = "; ".join(f"m.{end}.{key} = {literal(value)}" for key in ("xoffset", "gain", "ymin")
                               for end, step in zip("xy", inputs + after, strict=True) for value in [step[key]])
            script.append(f"{cells} {inside}; s.transferFcn = {{'tansig'; 'purelin'}}; "
                          "s.netInputFcn = {'netsum'; 'netsum'}; r.max_range = 0; r.keep = 1:3; r.xrows = 3; "
                          "s.inputSettings = {r, m.x}; s.outputSettings = {m.y}; "
                          "save('-v7', 'struct.mat', '-struct', 's');")
    printed = subprocess.run(["octave-cli", "--norc", "--quiet", "--eval", " ".join(script)], cwd=HERE, check=True,
                             capture_output=True, text=True).stdout
    for name, line in zip(cases, printed.splitlines(), strict=True):
        keep(f"{name}.m", np.array(line.split(), float).reshape(len(X), -1))
    keep("struct.mat", outputs["regression.m"])


if __name__ == "__main__":
    for made in (make_torch, make_keras, compress, make_fann, make_matlab):
        made()
    for path in HERE.glob("*.safetensors"):
        path.chmod(0o644)
    (HERE / "outputs.json").write_text(json.dumps(collections.OrderedDict(sorted(outputs.items())), indent=0) + "\n")
