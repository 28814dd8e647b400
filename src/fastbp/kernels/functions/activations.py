"""The activations phi (equation 2) and their first and second derivatives on panels of net inputs.

Every activation has two kernels. ``name(panel, slope, neurons)``: ``panel``, 1-D, holds net inputs and is overwritten
with the outputs phi(net); ``slope``, of the same size, is overwritten with phi'(net). The number of neurons matters to
`softmax` only, which has a file of its own. What output and slope share is computed once; a slope comes from whichever
of net and output gives it without cancellation.

``name_second(net, out, slope)`` overwrites ``net``, which holds net inputs, with phi''(net); what the first kernel
gave is at hand. Only Hessians and training on derivatives call it. Piecewise linear activations share ``straight``.
"""

from __future__ import annotations

from typing import Any

from .. import elementwise
from ..compile import by_address, by_element, scalar
from ..compile.arguments import Floats
from ..elementwise import (
    decay,
    flushed,
    grown,
    growth,
    inverse_parts,
    inverse_sum,
    log1p_unit,
    normal_tail,
    sine_cosine,
    tanh_slope,
)
from ..ir import fused, is_single
from ..tables import LAYER_ACTIVATION, LAYER_SECOND


@by_address(LAYER_ACTIVATION)
def identity(panel: Floats, slope: Floats, neurons: int) -> None:
    """Leave panel as it is; slope <- 1."""
    r = type(panel[0])
    for i in range(panel.size):
        slope[i] = r(1.0)


@by_address(LAYER_SECOND)
def straight(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- 0: phi'' of the piecewise linear activations, at their kinks too."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = r(0.0)


@by_element(LAYER_ACTIVATION)
def logistic(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- o = 1/(1 + exp(-net)), slope <- o (1 - o)."""
    for i in range(panel.size):
        panel[i], slope[i] = _logistic(panel[i])


@scalar
def _logistic(x: Any) -> Any:
    r = type(x)
    z, _ = decay(-abs(x))
    d = inverse_sum(r(1.0), z)
    tail = z * d
    return tail if x < r(0.0) else d, tail * d


@by_address(LAYER_SECOND)
def logistic_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- o (1 - o) (1 - 2 o)."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = slope[i] * (r(1.0) - r(2.0) * out[i])


@by_element(LAYER_ACTIVATION)
def tanh(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- o = tanh(net), slope <- 1 - o**2."""
    for i in range(panel.size):
        panel[i], slope[i] = tanh_slope(panel[i])


@by_address(LAYER_SECOND)
def tanh_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- -2 o (1 - o**2)."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = r(-2.0) * out[i] * slope[i]


@by_address(LAYER_ACTIVATION)
def relu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- max(net, 0), slope <- 1 where net > 0, else 0 (also at 0)."""
    r = type(panel[0])
    for i in range(panel.size):
        x = panel[i]
        panel[i] = r(0.0) if x <= r(0.0) else x
        slope[i] = r(1.0) if x > r(0.0) else r(0.0)


@by_address(LAYER_ACTIVATION)
def leaky_relu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net where net > 0, else net/100; slope <- 1 or 1/100."""
    r = type(panel[0])
    for i in range(panel.size):
        x = panel[i]
        s = r(1.0) if x > r(0.0) else r(0.01)
        panel[i] = x * s
        slope[i] = s


@by_element(LAYER_ACTIVATION)
def elu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net where net > 0, else exp(net) - 1; slope <- 1 or exp(net)."""
    r = type(panel[0])
    for i in range(panel.size):
        x = panel[i]
        z, e = decay(r(0.0) if x > r(0.0) else x)
        panel[i] = x if x > r(0.0) else e
        slope[i] = z


@by_element(LAYER_ACTIVATION)
def selu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- s net where net > 0, else s a (exp(net) - 1); slope <- s or s a exp(net)."""
    r = type(panel[0])
    s, sa = r(1.0507009873554805), r(1.7580993408473769)  # s, s a: mean 0 and variance 1 are a fixed point
    for i in range(panel.size):
        x = panel[i]
        z, e = decay(r(0.0) if x > r(0.0) else x)
        panel[i] = s * x if x > r(0.0) else sa * e
        slope[i] = s if x > r(0.0) else sa * z


@by_address(LAYER_SECOND)
def exponential_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- 0 where net > 0, else phi'(net): elu and selu, at 0 too."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = r(0.0) if net[i] > r(0.0) else slope[i]


@by_element(LAYER_ACTIVATION)
def softplus(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- log(1 + exp(net)), slope <- 1/(1 + exp(-net))."""
    for i in range(panel.size):
        panel[i], slope[i] = _softplus(panel[i])


@scalar
def _softplus(x: Any) -> Any:
    r = type(x)
    z, _ = decay(-abs(x))
    negative = x < r(0.0)
    return (r(0.0) if negative else x) + log1p_unit(z), (z if negative else r(1.0)) / (r(1.0) + z)


@by_address(LAYER_SECOND)
def softplus_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- s (1 - s), where s = 1/(1 + exp(-net)) is the slope."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = slope[i] * (r(1.0) - slope[i])


@by_address(LAYER_ACTIVATION)
def softsign(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net/(1 + |net|), slope <- 1/(1 + |net|)**2."""
    r = type(panel[0])
    far = r(2.0**100) if is_single(panel[0]) else r(2.0**1000)  # infinity times zero is NaN; here both are exact
    for i in range(panel.size):
        x = panel[i]
        x = far if x > far else x
        x = -far if x < -far else x
        d = r(1.0) / (r(1.0) + abs(x))
        panel[i] = x * d
        slope[i] = d * d


@by_address(LAYER_SECOND)
def softsign_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- -2 sign(net)/(1 + |net|)**3, 0 at 0."""
    r = type(net[0])
    for i in range(net.size):
        x = net[i]
        y = r(2.0) * slope[i] / (r(1.0) + abs(x))
        net[i] = -y if x > r(0.0) else (y if x < r(0.0) else x)


@by_element(LAYER_ACTIVATION)
def silu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net s, slope <- s (1 + net (1 - s)), where s = 1/(1 + exp(-net))."""
    for i in range(panel.size):
        panel[i], slope[i] = _silu(panel[i])


@scalar
def _silu(x: Any) -> Any:
    """With z = exp(-|net|): net/(1 + z) above 0, net z/(1 + z) below."""
    r = type(x)
    y = flushed(x)  # -inf * 0 is NaN
    y = r(800.0) if y > r(800.0) else y
    q, power = growth(-abs(y))
    z = power * q + power
    d, low = inverse_parts(r(1.0), z)
    near = d + low
    far = z * near
    negative = x < r(0.0)
    out = grown(y * (power if negative else r(1.0)), d, low, q if negative else r(0.0))
    return x if x > r(800.0) else out, (far if negative else near) + y * (near * far)


@by_address(LAYER_SECOND)
def silu_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- s (1 - s) (2 + net (1 - 2 s)), where s = 1/(1 + exp(-net)).

    With z = exp(-|net|) it is z/(1 + z)**2 (2 - |net| (1 - z)/(1 + z)).
    """
    r = type(net[0])
    for i in range(net.size):
        t = abs(net[i])
        t = r(800.0) if t > r(800.0) else t  # infinity times zero is NaN
        z, less = decay(-t)
        d = r(1.0) / (r(1.0) + z)
        net[i] = z * d * d * (r(2.0) + t * less * d)


@by_element(LAYER_ACTIVATION)
def gelu(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net Phi(net), slope <- Phi(net) + net Phi'(net), Phi the normal distribution function."""
    for i in range(panel.size):
        panel[i], slope[i] = _gelu(panel[i])


@scalar
def _gelu(x: Any) -> Any:
    """With t = |net|: net - t Phi(-t) above 0, -t Phi(-t) below."""
    r = type(x)
    t = abs(x)
    t = r(40.0) if t > r(40.0) else t
    q, power, y, low = normal_tail(t)
    z = power * q + power
    negative = x < r(0.0)
    s = z * (y + low) - t * (z * r(0.3989422804014327))  # the tail less t times the normal density
    return (r(0.0) if negative else x) - grown(t * power, y, low, q), s if negative else r(1.0) - s


@by_address(LAYER_SECOND)
def gelu_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- (2 - net**2) Phi'(net), Phi' the normal density."""
    r = type(net[0])
    for i in range(net.size):
        t = abs(net[i])
        t = r(40.0) if t > r(40.0) else t
        net[i] = (r(2.0) - t * t) * (r(0.3989422804014327) * elementwise.gaussian(t * r(0.7071067811865476)))


@by_element(LAYER_ACTIVATION)
def mish(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net t, slope <- t + net (1 - t**2)/(1 + exp(-net)), where t = tanh(log(1 + exp(net)))."""
    for i in range(panel.size):
        panel[i], slope[i] = _mish(panel[i])


@scalar
def _mish(x: Any) -> Any:
    """With e = exp(net), w = e (e + 2): t = w/(w + 2), and (1 - t**2)/(1 + 1/e) = 4 e (1 + e)/(w + 2)**2.

    What rounding takes from w counts where w is small, and there w is 2 power + (2 power q + e**2), power (1 + q) = e.
    """
    r = type(x)
    y = flushed(x)
    near = r(24.0) if y > r(24.0) else y  # where t is 1 in both precisions
    q, power = growth(near)
    e = power * q + power
    two = power + power
    more = fused(two, q, e * e)
    w = two + more
    w_low = more - (w - two)
    total = r(2.0) + w
    lost = w - (total - r(2.0)) + w_low
    d = r(1.0) / total
    t = w * d
    t_low = d * (fused(-t, total, w) + (w_low - t * lost))
    s = t + t_low
    return y * s, s + near * (r(4.0) * e * d) * ((r(1.0) + e) * d)


@by_address(LAYER_SECOND)
def mish_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- 2 t' + net t'', where t = tanh(log(1 + exp(net)))."""
    for i in range(net.size):
        net[i] = _mish_second(net[i])


@scalar
def _mish_second(x: Any) -> Any:
    """With e = exp(net), d = 1/(e**2 + 2 e + 2): t' = 4 e (1 + e) d**2, t'' = 4 e d (d + 2 e d - 4 e d (1 + e)**2 d).

    At 24, where net is limited so that no product overflows, both are far below a rounding of 1.
    """
    r = type(x)
    y = flushed(x)
    y = r(24.0) if y > r(24.0) else y  # where t is 1 in both precisions
    q, power = growth(y)
    e = power * q + power
    d = r(1.0) / (e * e + (e + e) + r(2.0))
    ed, more = e * d, (r(1.0) + e) * d
    return r(4.0) * ed * (r(2.0) * more + y * ((r(1.0) + e + e) * d - r(4.0) * ed * (more * (r(1.0) + e))))


@by_address(LAYER_ACTIVATION)
def hard_tanh(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net limited to [-1, 1], slope <- 1 where -1 < net < 1, else 0."""
    r = type(panel[0])
    for i in range(panel.size):
        x = panel[i]
        y = r(-1.0) if x < r(-1.0) else x
        panel[i] = r(1.0) if y > r(1.0) else y
        slope[i] = r(1.0) if abs(x) < r(1.0) else r(0.0)


@by_address(LAYER_ACTIVATION)
def hard_sigmoid(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net/6 + 1/2 limited to [0, 1], slope <- 1/6 where -3 < net < 3, else 0."""
    for i in range(panel.size):
        panel[i], slope[i] = _hard_sigmoid(panel[i])


@scalar
def _hard_sigmoid(x: Any) -> Any:
    r = type(x)
    y = (x + r(3.0)) * r(1.0 / 6.0)  # not x/6 + 1/2, which cancels near -3
    y = r(0.0) if y < r(0.0) else y
    return r(1.0) if y > r(1.0) else y, r(1.0 / 6.0) if abs(x) < r(3.0) else r(0.0)


@by_element(LAYER_ACTIVATION)
def gaussian(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- o = exp(-net**2), slope <- -2 net o."""
    r = type(panel[0])
    for i in range(panel.size):
        x = panel[i]
        x = r(40.0) if x > r(40.0) else x
        x = r(-40.0) if x < r(-40.0) else x
        y = elementwise.gaussian(x)
        panel[i] = y
        slope[i] = r(-2.0) * x * y


@by_address(LAYER_SECOND)
def gaussian_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- (4 net**2 - 2) o."""
    r = type(net[0])
    for i in range(net.size):
        t = abs(net[i])
        t = r(40.0) if t > r(40.0) else t
        net[i] = (r(4.0) * t * t - r(2.0)) * out[i]


@by_element(LAYER_ACTIVATION)
def sin(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- sin(net), slope <- cos(net)."""
    for i in range(panel.size):
        panel[i], slope[i] = sine_cosine(panel[i])


@by_address(LAYER_SECOND)
def sin_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- -o."""
    for i in range(net.size):
        net[i] = -out[i]


@by_element(LAYER_ACTIVATION)
def exp(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel and slope <- exp(net)."""
    for i in range(panel.size):
        y = elementwise.exp(panel[i])
        panel[i] = y
        slope[i] = y


@by_address(LAYER_SECOND)
def exp_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- o."""
    for i in range(net.size):
        net[i] = out[i]
