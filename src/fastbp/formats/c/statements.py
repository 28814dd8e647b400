"""What a prediction does, statement by statement, and the functions and arrays that it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..chain import Layer, converted
from ..predictor import Predictor, Standardization
from . import encoders

Array = npt.NDArray[Any]

FUNCTIONS = encoders.FUNCTIONS | {
    "dot": """
static $real $dot($const $real *w, const $real *x, int n)
{
    $real a = 0.0, b = 0.0, c = 0.0, d = 0.0;
    for (; n >= 4; n -= 4) {
        a += w[0] * x[0];
        b += w[1] * x[1];
        c += w[2] * x[2];
        d += w[3] * x[3];
        w += 4;
        x += 4;
    }
    for (; n > 0; --n)
        a += *w++ * *x++;
    return (a + b) + (c + d);
}
""",
    "layer": """
static void $layer($const $real *w, $const $real *b, const $real *x, int n_in, $real *y, int n_out)
{
    for (int j = 0; j < n_out; ++j) {
        y[j] = $dot(w, x, n_in) + b[j];
        w += n_in;
    }
}
""",
    "layer_without_biases": """
static void $layer_without_biases($const $real *w, const $real *x, int n_in, $real *y, int n_out)
{
    for (int j = 0; j < n_out; ++j) {
        y[j] = $dot(w, x, n_in);
        w += n_in;
    }
}
""",
    "softmax": """
static void $softmax($real *y, int n)
{
    $real most = y[0], sum = 0.0;
    for (int j = 1; j < n; ++j)
        most = y[j] > most ? y[j] : most;
    for (int j = 0; j < n; ++j) {
        y[j] = $exp(y[j] - most);
        sum += y[j];
    }
    for (int j = 0; j < n; ++j)
        y[j] /= sum;
}
""",
}
"""Templates as in `functions`, of what goes over arrays. Four sums in `dot` do not wait for each other, and compilers
put them into one vector."""


@dataclass
class Body:
    """What the function that predicts is made of; functions and arrays are called $name in the statements."""

    real: np.dtype[Any]
    statements: list[str] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    buffers: dict[str, int] = field(default_factory=lambda: dict.fromkeys("abcd", 0))
    """Numbers that each holds, by the name in C: a and b are written in turn, c has the inputs of several networks, d
    the outputs of one of them."""
    multiply_adds: int = 0
    source: str = "x"
    """What the last step has written, in C."""

    def next_buffer(self, size: int) -> str:
        """Return the buffer that the next step writes."""
        return self.buffer("b" if self.source == "a" else "a", size)

    def buffer(self, name: str, size: int) -> str:
        """Return a buffer that has room for so many numbers."""
        self.buffers[name] = max(self.buffers[name], size)
        return name

    def loop(self, count: int, statement: str) -> None:
        """Add a statement for each i."""
        self.statements.append(f"for (i = 0; i < {count}; ++i)\n        {statement}")

    def title(self, text: str) -> None:
        """Add a comment."""
        self.statements.append(f"/* {text} */")


def body(predictor: Predictor, real: np.dtype[Any]) -> Body:
    """Return what a prediction is made of."""
    chain, found = predictor.chain, Body(real)
    if predictor.inputs is not None:
        _standardize(found, predictor.inputs, "c" if predictor.members else "a")
    if chain.encoders:
        _encode(found, predictor)
    inputs = found.source
    for m, member in enumerate(predictor.chains, 1):
        found.source = inputs
        into = "y" if m == 1 else found.buffer("d", chain.n_outputs)
        for number, layer in enumerate(member.layers, 1):
            _layer(found, layer, f"{m}_{number}" if predictor.members else str(number),
                   into if number == len(member.layers) else found.next_buffer(len(layer.weights)))
        if m > 1:
            found.loop(chain.n_outputs, f"y[i] += {into}[i];")
    if predictor.members:
        found.title("the mean of all networks")
        found.loop(chain.n_outputs, f"y[i] /= {len(predictor.chains)}.0;")
    if (scaler := predictor.targets) is not None:
        found.arrays |= {"output_scale": converted(scaler.scale, real, "scales of outputs"),
                         "output_mean": converted(scaler.mean, real, "means of outputs")}
        found.title("outputs in their units")
        found.loop(chain.n_outputs, "y[i] = y[i] * $output_scale[i] + $output_mean[i];")
    return found


def _standardize(found: Body, scaler: Standardization, buffer: str) -> None:
    """Standardise into a buffer; of a mean that is large beside its scale, what rounding took is taken off too."""
    real, count = found.real, len(scaler.mean)
    mean = converted(scaler.mean, real, "means of inputs")
    rest = (scaler.mean - mean.astype(np.float64)).astype(real)
    found.arrays |= {"input_mean": mean, "input_factor": converted(1 / scaler.scale, real, "inverse scales of inputs")}
    difference = f"{found.source}[i] - $input_mean[i]"
    if (np.abs(rest) > np.finfo(real).eps / 4 * scaler.scale).any():
        found.arrays["input_mean_rest"] = rest
        difference += " - $input_mean_rest[i]"
    into = found.buffer(buffer, count)
    found.title("standardised inputs")
    found.loop(count, f"{into}[i] = ({difference}) * $input_factor[i];")
    found.source = into


def _encode(found: Body, predictor: Predictor) -> None:
    """Encode the columns."""
    chain = predictor.chain
    width = sum(encoder.width for encoder in chain.encoders)
    into, place = found.next_buffer(width), 0
    found.title("encoded inputs")
    for number, (encoder, learned) in enumerate(zip(chain.encoders, chain.encoded, strict=True), 1):
        step = encoders.step(encoder, learned, number, found.source, into, place, found.real)
        found.functions |= step.functions
        found.arrays |= step.arrays
        found.statements += step.statements
        found.multiply_adds += step.multiply_adds
        place += encoder.width
    if chain.factors is not None:
        found.arrays["factors"] = chain.factors
        found.loop(width, f"{into}[i] *= $factors[i];")
        found.multiply_adds += width
    found.source = into


def _layer(found: Body, layer: Layer, number: str, into: str) -> None:
    """Go through a layer."""
    n_out, n_in = layer.weights.shape
    name = layer.activation.name
    found.title(f"layer {number}: {n_in} to {n_out}, {name}")
    found.arrays[f"weights{number}"] = layer.weights
    if layer.biases is None:
        found.functions.add("layer_without_biases")
        found.statements.append(f"$layer_without_biases($weights{number}, {found.source}, {n_in}, {into}, {n_out});")
    else:
        found.functions.add("layer")
        found.arrays[f"biases{number}"] = layer.biases
        found.statements.append(f"$layer($weights{number}, $biases{number}, {found.source}, {n_in}, {into}, {n_out});")
    if name == "softmax":
        found.statements.append(f"$softmax({into}, {n_out});")
    elif layer.alphas is not None:
        found.arrays[f"alphas{number}"] = layer.alphas
        found.loop(n_out, f"{into}[i] += $alphas{number}[i] * (${name}({into}[i]) - {into}[i]);")
    elif name != "identity":
        found.loop(n_out, f"{into}[i] = ${name}({into}[i]);")
    if name != "identity":
        found.functions.add(name)
    found.multiply_adds += n_in * n_out
    found.source = into
