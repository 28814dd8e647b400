"""Parametric activations o = net + α(φ(net) − net), α a parameter of each neuron, around the kernel of any φ.

On the way forward φ(net) − net is kept in the layer's panel of changes, and its panel of cotangents is filled with 1,
which (4) and (5) multiply by ∂E/∂o; the delta panel has φ' of o, as with any activation. On the way back the three
become ∂E/∂α and δ. Where one sample goes alone, neurons are in lanes.
"""

from typing import Any

from .. import prototypes
from ..compile import by_address, inline, scalar
from ..compile.arguments import FloatPointer, Floats, IntegerPointer
from ..ir import call, lanes, mix_vectors, view
from ..tables import (
    LAYER_ALPHAS,
    LAYER_CHANGE,
    LAYER_COTANGENT,
    LAYER_DELTA,
    LAYER_N_OUT,
    LAYER_OUT,
    LAYER_PARAMETRIC,
    LAYER_PARAMETRIC_BACKWARD,
    LAYER_PARAMETRIC_GRADIENT,
)


@scalar
def mixed(a: Any, x: Any, y: Any) -> Any:
    """Compute x + a (y − x) as a y + (1 − a) x, which is y where a is 1, however large x is."""
    return a * y + (type(a)(1.0) - a) * x


@inline
def place(here, panels, panel, first, last, alone):
    """Return strips first..last of one of a layer's panels, or its neurons for one sample, in whole vectors."""
    n, lane = here[LAYER_N_OUT], lanes(panels)
    if alone != 0:
        return view(panels, panel, (n + lane - 1) // lane * lane)
    return view(panels, panel + first * n * lane, (last - first) * n * lane)


@by_address(LAYER_PARAMETRIC)
def activate(here: IntegerPointer, panels: Floats, parameters: Floats, first: int, last: int, alone: int) -> None:
    """o = net + α(φ(net) − net) in place; overwrites the delta panel with 1 + α(φ'(net) − 1), and the two others."""
    n, lane = here[LAYER_N_OUT], lanes(panels)
    one = type(panels[0])(1)
    out, slope = (place(here, panels, here[LAYER_OUT], first, last, alone),
                  place(here, panels, here[LAYER_DELTA], first, last, alone))
    change = place(here, panels, here[LAYER_CHANGE], first, last, alone)
    alphas = view(parameters, here[LAYER_ALPHAS], n)
    for i in range(out.size):
        change[i] = out[i]
    call(prototypes.activation, here, out, slope, n)
    if alone != 0:
        for j in range(n):
            net, phi = change[j], out[j]
            out[j], slope[j], change[j] = mixed(alphas[j], net, phi), mixed(alphas[j], one, slope[j]), phi - net
    else:
        for s in range(first, last):
            for j in range(n):
                at = (s * n + j) * lane
                mix_vectors(alphas[j], panels, here[LAYER_CHANGE] + at, here[LAYER_OUT] + at, here[LAYER_DELTA] + at)
    if here[LAYER_COTANGENT] >= 0:
        cotangent = place(here, panels, here[LAYER_COTANGENT], first, last, alone)
        for i in range(cotangent.size):
            cotangent[i] = one


@by_address(LAYER_PARAMETRIC_BACKWARD)
def backward(here: IntegerPointer, panels: Floats, apart: int, first: int, last: int, alone: int) -> None:
    """δ = φ' ∂E/∂o and ∂E/∂α = (φ(net) − net) ∂E/∂o: overwrite the delta panel and that of changes, strips first..last.

    Slopes and changes of the samples lie ``apart`` strips before.
    """
    cotangent = place(here, panels, here[LAYER_COTANGENT], first, last, alone)
    for panel in (here[LAYER_DELTA], here[LAYER_CHANGE]):
        found = place(here, panels, panel, first, last, alone)
        if apart != 0:
            factor = place(here, panels, panel, first - apart, last - apart, alone)
            for i in range(found.size):
                found[i] = factor[i]
        for i in range(found.size):
            found[i] *= cotangent[i]


@by_address(LAYER_PARAMETRIC_GRADIENT)
def gradient(here: IntegerPointer, panels: Floats, alphas: FloatPointer, scale: float, add: int) -> None:
    """∂E/∂α of one sample: overwrites α^l's part of a gradient, or with ``add`` = 1 adds it times ``scale``."""
    change = view(panels, here[LAYER_CHANGE], here[LAYER_N_OUT])
    start, factor = here[LAYER_ALPHAS], type(panels[0])(scale)
    for j in range(change.size):
        alphas[start + j] = alphas[start + j] + factor * change[j] if add != 0 else change[j]
