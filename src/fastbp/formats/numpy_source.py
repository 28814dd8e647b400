"""A prediction as a module of plain NumPy, its weights inside."""

from __future__ import annotations

import base64
import inspect
import textwrap
from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoders import Embedding, Encoder, Identity, OneHot, Periodic, PiecewiseLinear
from . import numpy_functions
from .chain import Layer
from .evaluation import ENCODERS, KNOWN
from .predictor import Predictor

Array = npt.NDArray[Any]

HEAD = '''\
"""A feed-forward network {sizes} in {real}, written by fastbp; it needs NumPy alone."""

{imports}
import numpy as np

__all__ = [{names}]


def array(text, shape, kind=np.{real}):
    """Return the numbers whose little-endian bytes a text holds in base64."""
    kind = np.dtype(kind)
    return np.frombuffer(base64.b64decode(text), kind.newbyteorder("<")).astype(kind).reshape(shape)
'''

OUTPUTS = '''\
@np.errstate(all="ignore")
def outputs(X):
    """Return the outputs of rows."""
{body}


def rows(X):
    """Return X with a row for each sample."""
    X = np.asarray(X)
    if X.ndim not in (1, 2) or X.shape[-1] != {n_inputs}:
        raise ValueError(f"X has shape {{X.shape}}, expected (n_samples, {n_inputs}) or ({n_inputs},)")
    return np.atleast_2d(X)
'''

FUNCTION = '''\
def {name}(X):
    """Return {what}.

    X is (n_samples, {n_inputs}), or one row, ({n_inputs},), for which n_samples is left out.
    """
    o = outputs(rows(X))
    found = {found}
    return found[0] if np.ndim(X) == 1 else found
'''


class _Module:
    """The text of a module, part by part."""

    def __init__(self, predictor: Predictor, real: np.dtype[Any]) -> None:
        self.predictor, self.real = predictor, real
        self.arrays: list[str] = []
        self.used: set[str] = set()
        self.body: list[str] = []

    def array(self, name: str, values: Array, what: str) -> str:
        """Assign an array to a name, and return the name."""
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        text = base64.b64encode(little.tobytes()).decode("ascii")
        kind = "" if values.dtype == self.real else ", np.float64"
        body = "\n".join(text[i : i + 116] for i in range(0, len(text), 116))
        self.arrays.append(f'# {what}, from {values.min():.4g} to {values.max():.4g}\n'
                           f'{name} = array("""\n{body}\n""", {values.shape}{kind})\n')
        return name

    def call(self, name: str, arguments: str) -> str:
        """Return a call of one of `numpy_functions`, or of NumPy's own."""
        if name in numpy_functions.OF_NUMPY:
            return f"np.{name}({arguments})"
        self.used |= {name, *numpy_functions.NEEDED.get(name, ())}
        return f"{name}({arguments})"

    def text(self) -> str:
        """Return it, once all is added."""
        functions = [inspect.getsource(function) for name, function in vars(numpy_functions).items()
                     if name in self.used]
        imports = "import base64\n" + ("import math\n" if "gelu" in self.used else "")
        predictions = self._predictions()
        chain = self.predictor.chain
        parts = [HEAD.format(sizes="-".join(map(str, chain.sizes)), real=self.real.name, imports=imports,
                             names=", ".join(f'"{name}"' for name, _, _ in predictions)),
                 *functions, "\n".join(self.arrays),
                 OUTPUTS.format(body=textwrap.indent("\n".join([*self.body, "return o"]), "    "),
                                n_inputs=chain.n_inputs)]
        if self.predictor.classes is not None:
            parts.append(f"classes = np.array({ascii(list(self.predictor.classes))})\n")
        parts += [FUNCTION.format(name=name, what=what, found=found, n_inputs=chain.n_inputs)
                  for name, what, found in predictions]
        return "\n\n".join(parts)

    def _predictions(self) -> list[tuple[str, str, str]]:
        """Return the functions that a user calls: name, what it returns, how it is made of outputs o."""
        predictor, width = self.predictor, self.predictor.chain.n_outputs
        if predictor.classes is not None:
            each = "np.column_stack([1 - o, o])" if width == 1 else "o"
            return [("predict", "the name of the class, (n_samples,)", f"classes[{each}.argmax(axis=1)]"),
                    ("predict_proba", f"the probability of each class, (n_samples, {max(width, 2)})", each)]
        if predictor.labels:
            return [("predict", f"1 for each label that is likely, else 0, (n_samples, {width})",
                     "(o > 0.5).astype(np.int64)"),
                    ("predict_proba", f"the probability of each label, (n_samples, {width})", "o")]
        if predictor.flat and width == 1:
            return [("predict", "the output, (n_samples,)", "o[:, 0]")]
        order = ": all means before all logarithms of variances" if predictor.means_first else ""
        return [("predict", f"the outputs, (n_samples, {width}){order}", "o")]


def numpy_source(predictor: Predictor, dtype: npt.DTypeLike) -> str:
    """Return the text of a module whose ``predict`` is this prediction.

    Raises
    ------
    ValueError
        If a number is not finite in this dtype, or a function is not known here.
    """
    real = np.dtype(dtype)
    predictor.check(KNOWN, ENCODERS, "plain NumPy")
    predictor = predictor.in_dtype(real)
    module, chain = _Module(predictor, real), predictor.chain
    _standardize(module, predictor)
    if chain.encoders:
        _encode(module, predictor)
    if predictor.members:
        module.body.append("inputs, total = o, 0")
    for m, member in enumerate(predictor.chains, 1):
        for number, layer in enumerate(member.layers, 1):
            _layer(module, layer, f"{m}_{number}" if predictor.members else str(number))
        if predictor.members:
            module.body += ["total = total + o", "o = inputs" if m < len(predictor.chains) else f"o = total / {m}"]
    if (scaler := predictor.targets) is not None:
        scale = module.array("output_scale", scaler.scale, "what outputs are multiplied by")
        mean = module.array("output_mean", scaler.mean, "what is added to them")
        module.body.append(f"o = o.astype(np.float64) * {scale} + {mean}")
    return module.text()


def _standardize(module: _Module, predictor: Predictor) -> None:
    scaled = "X"
    if (scaler := predictor.inputs) is not None:
        mean = module.array("input_mean", scaler.mean, "what is taken off inputs")
        scale = module.array("input_scale", scaler.scale, "what they are divided by")
        scaled = f"((X.astype(np.float64) - {mean}) / {scale})"
    module.body.append(f"o = {scaled}.astype(np.{module.real.name})")


def _encode(module: _Module, predictor: Predictor) -> None:
    """Make the encoded numbers of the columns."""
    chain, parts = predictor.chain, []
    for number, (encoder, learned) in enumerate(zip(chain.encoders, chain.encoded, strict=True), 1):
        parts += _encoded(module, encoder, learned, number)
    module.body.append("o = np.column_stack([\n    " + ",\n    ".join(parts) + "])")
    if chain.factors is not None:
        module.body.append(f"o = o * {module.array('factors', chain.factors, 'a factor of each encoded number')}")


def _encoded(module: _Module, encoder: Encoder, learned: dict[str, Array], number: int) -> list[str]:
    columns = list(encoder.reads)
    if isinstance(encoder, Identity):
        return [f"o[:, {columns}]"]
    first = f"o[:, {columns[0]}]"
    if isinstance(encoder, OneHot):
        return [module.call("one_hot", f"{first}, {encoder.categories}")]
    if isinstance(encoder, Embedding):
        table = module.array(f"table{number}", learned["table"], "a row for each category, the last for a missing one")
        return [module.call("embedding", f"{first}, {table}")]
    if isinstance(encoder, PiecewiseLinear):
        names = [module.array(f"edges{number}_{i}", np.array(edges), f"edges of column {column}")
                 for i, (column, edges) in enumerate(zip(columns, encoder.edges, strict=True), 1)]
        return [module.call("pieces", f"o[:, {column}], {name}") for column, name in zip(columns, names, strict=True)]
    assert isinstance(encoder, Periodic)
    names = [module.array(f"{name}{number}", learned[name], f"{name} of each periodic column")
             for name in ("frequencies", "phases", "weights", "biases")]
    return [module.call("periodic", ", ".join([f"o[:, {column}]", *(f"{name}[{i}]" for name in names)]))
            for i, column in enumerate(columns)]


def _layer(module: _Module, layer: Layer, number: str) -> None:
    rows, columns = layer.weights.shape
    net = f"o @ {module.array(f'W{number}', layer.weights, f'weights of layer {number}, {rows} of {columns}')}.T"
    if layer.biases is not None:
        net += f" + {module.array(f'b{number}', layer.biases, f'biases of layer {number}')}"
    name = layer.activation.name
    if layer.alphas is not None:
        alphas = module.array(f"alpha{number}", layer.alphas, f"alphas of layer {number}")
        module.body += [f"x = {net}", f"o = x + {alphas} * ({module.call(name, 'x')} - x)"]
    else:
        module.body.append(f"o = {net}" if name == "identity" else f"o = {module.call(name, net)}")
