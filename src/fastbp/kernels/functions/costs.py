"""C(y, o) and ∂C/∂o element by element (3)(4), and the canonical links, which start from net inputs.

A cost has the signature ``cost(out, target, delta, neurons, parameter)`` over whole panels: ``target``, or its first
``out.size`` numbers where it has more rows than ``out`` (`by_output`, costs with data of their own), is overwritten
with each element's share of the cost; ``delta`` holds φ'(net) and is multiplied by ∂C/∂o, which makes it δ (4). In a
canonical link ``out`` holds net inputs and is overwritten with outputs, and ``delta`` is overwritten with o − y: the
Jacobian of the activation and the derivative of the cost cancel, and no logarithm of 0 can arise.
`collect` then sums over neurons and multiplies by the weights of the samples.

``cost_second(out, target, delta, neurons, parameter)`` multiplies ``delta`` by ∂²C/∂o², for Hessians; a canonical link
needs none, as its δ = o − y changes with o alone. Where that is not what a Gauss–Newton matrix is made of,
``cost_fisher(out, delta, neurons)`` multiplies by Fisher's information.
"""

from typing import Any

from .. import elementwise, prototypes
from ..compile import by_address, by_element, scalar
from ..compile.arguments import Doubles, Floats
from ..ir import call, is_single, lanes, largest_row, least, subtract_row, sum_rows, to_bits, view, weigh_rows
from ..tables import (
    CELL_COLLECT,
    CELL_COST_KERNEL,
    CELL_COST_SECOND,
    CELL_FISHER,
    COST_INNER,
    COST_N_WEIGHTED,
)

TINY = 1e-30
"""Outputs are kept this far from 0 in a logarithm or a quotient (where output and cost are no canonical link)."""

TINY_SQUARED = 1e-15
"""The same for a quotient by o² in single precision: below 1e-19 it overflows, and infinity times slope 0 is NaN."""


@by_address(CELL_COST_KERNEL)
def squared_error(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = ½(o − y)²; ∂C/∂o = o − y."""
    half = type(out[0])(0.5)
    for i in range(out.size):
        error = out[i] - target[i]
        target[i] = half * error * error
        delta[i] *= error


@by_address(CELL_COST_SECOND)
def squared_error_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = 1: delta stays as it is."""


@by_address(CELL_COST_KERNEL)
def mean_squared_error(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = (o − y)²/n, so that the sum over n outputs is a mean; ∂C/∂o = 2(o − y)/n."""
    real = type(out[0])
    share = real(1) / real(neurons)
    twice = share + share
    for i in range(out.size):
        error = out[i] - target[i]
        target[i] = share * error * error
        delta[i] *= twice * error


@by_address(CELL_COST_SECOND)
def mean_squared_error_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = 2/n."""
    real = type(out[0])
    twice = real(2) / real(neurons)
    for i in range(out.size):
        delta[i] *= twice


@by_address(CELL_COST_KERNEL)
def absolute_error(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = |o − y|; ∂C/∂o = sign(o − y), 0 at 0."""
    real = type(out[0])
    for i in range(out.size):
        error = out[i] - target[i]
        target[i] = abs(error)
        sign = real(1) if error > real(0) else (real(-1) if error < real(0) else error)
        delta[i] *= sign


@by_address(CELL_COST_SECOND)
def straight(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = 0: the absolute error and quantile, at their kinks too."""
    real = type(out[0])
    for i in range(out.size):
        delta[i] = real(0)


@by_address(CELL_COST_KERNEL)
def linear(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = y o; ∂C/∂o = y: the targets are the derivatives."""
    for i in range(out.size):
        slope = target[i]
        target[i] = slope * out[i]
        delta[i] *= slope


@by_address(CELL_COST_KERNEL)
def huber(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = ½e² while |e| ≤ d, else d|e| − ½d², with e = o − y; ∂C/∂o = e clipped to ±d (Huber 1964, section 1)."""
    real = type(out[0])
    half, limit = real(0.5), real(parameter[0])
    for i in range(out.size):
        error = out[i] - target[i]
        size = abs(error)
        clipped = limit if error > limit else (-limit if error < -limit else error)
        target[i] = limit * (size - half * limit) if size > limit else half * error * error
        delta[i] *= clipped


@by_address(CELL_COST_SECOND)
def huber_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = 1 where |o − y| ≤ d, else 0."""
    real = type(out[0])
    limit = real(parameter[0])
    for i in range(out.size):
        delta[i] = real(0) if abs(out[i] - target[i]) > limit else delta[i]


@by_address(CELL_COST_KERNEL)
def log_cosh(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = log cosh(o − y); ∂C/∂o = tanh(o − y).

    With u = exp(−|e|): |e| + log1p(u²) − log 2 for large e, log1p((1 − u)²/2u) for |e| < 1, where the first would
    cancel.
    """
    real = type(out[0])
    one, two, log2 = real(1), real(2), real(0.6931471805599453)
    for i in range(out.size):
        error = out[i] - target[i]
        size = abs(error)
        less = -elementwise.expm1(-size)
        u = one - less
        small = size < one
        term = elementwise.log1p(less * less / (two * u) if small else u * u)
        target[i] = term if small else size - log2 + term
        delta[i] *= elementwise.tanh(error)


@by_address(CELL_COST_SECOND)
def log_cosh_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = 1 − tanh²(o − y)."""
    for i in range(out.size):
        delta[i] *= elementwise.tanh_slope(out[i] - target[i])[1]


@by_address(CELL_COST_KERNEL)
def quantile(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = q(y − o) where o < y, (1 − q)(o − y) elsewhere; ∂C/∂o = −q, 1 − q, 0 at 0 (Koenker & Bassett 1978)."""
    real = type(out[0])
    q = real(parameter[0])
    rest = real(1) - q
    for i in range(out.size):
        error = out[i] - target[i]
        slope = rest if error > real(0) else (-q if error < real(0) else error)
        target[i] = slope * error
        delta[i] *= slope


@by_address(CELL_COST_KERNEL)
def binary_cross_entropy(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = −y log o − (1 − y) log(1 − o); ∂C/∂o = (o − y)/(o(1 − o)), for outputs in [0, 1]."""
    real = type(out[0])
    tiny, one = real(TINY), real(1)
    for i in range(out.size):
        o, y = out[i], target[i]
        yes = tiny if o < tiny else o
        no = tiny if one - o < tiny else one - o
        target[i] = -(y * elementwise.log(yes) + (one - y) * elementwise.log(no))
        delta[i] *= (one - y) / no - y / yes


@by_address(CELL_COST_SECOND)
def binary_cross_entropy_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = y/o² + (1 − y)/(1 − o)²."""
    real = type(out[0])
    tiny, one = real(TINY_SQUARED if is_single(out[0]) else TINY), real(1)
    for i in range(out.size):
        o, y = out[i], target[i]
        yes = tiny if o < tiny else o
        no = tiny if one - o < tiny else one - o
        delta[i] *= y / yes / yes + (one - y) / no / no


@by_address(CELL_COST_KERNEL)
def cross_entropy(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = −y log o; ∂C/∂o = −y/o, for positive outputs."""
    tiny = type(out[0])(TINY)
    for i in range(out.size):
        o, y = out[i], target[i]
        yes = tiny if o < tiny else o
        target[i] = -y * elementwise.log(yes)
        delta[i] *= -y / yes


@by_address(CELL_COST_KERNEL)
def poisson(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = o − y log o, the negative log-likelihood of a Poisson count but for its constant; ∂C/∂o = 1 − y/o."""
    real = type(out[0])
    tiny, one = real(TINY), real(1)
    for i in range(out.size):
        o, y = out[i], target[i]
        yes = tiny if o < tiny else o
        target[i] = o - y * elementwise.log(yes)
        delta[i] *= one - y / yes


@by_address(CELL_COST_SECOND)
def logarithm_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = y/o²: cross_entropy and poisson."""
    tiny = type(out[0])(TINY_SQUARED if is_single(out[0]) else TINY)
    for i in range(out.size):
        yes = tiny if out[i] < tiny else out[i]
        delta[i] *= target[i] / yes / yes


@scalar
def normal_slopes(y: Any, mean: Any, spread: Any, beta: Any) -> tuple[Any, Any, Any]:
    """½e²/σ² with e = μ − y and s = log σ², then e/σ² and ½(1 − e²/σ²), these two times σ^2β."""
    half, error = type(y)(0.5), mean - y
    scaled, weight = error * elementwise.exp(-spread), elementwise.exp(beta * spread)
    share = half * (error * scaled)
    return share, weight * scaled, weight * (half - share)


@scalar
def normal_second(y: Any, mean: Any, spread: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """(a − eb)/σ² and e(½eb − a)/σ²: the second derivative of ½(s + e²/σ²) times (a, b)."""
    error, precision = mean - y, elementwise.exp(-spread)
    b = error * b
    return precision * (a - b), error * (precision * (type(y)(0.5) * b - a))


@by_address(CELL_COST_KERNEL)
def gaussian_nll(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = ½(s + e²/σ²), e = μ − y, s = log σ²; ∂C/∂μ = e/σ², ∂C/∂s = ½(1 − e²/σ²), both times σ^2β, held fixed.

    Of each sample all μ come first, then all s; so do the targets, whose second half receives ½s, the first ½e²/σ².
    """
    real, means = type(out[0]), neurons // 2
    half, beta, width = real(0.5), real(parameter[0]), least(lanes(out), out.size // neurons)
    for strip in range(out.size // (neurons * width)):
        first = strip * neurons * width
        for j in range(means):
            above, below = first + j * width, first + (means + j) * width
            mean, spread = view(out, above, width), view(out, below, width)
            y, share = view(target, above, width), view(target, below, width)
            slope, spread_slope = view(delta, above, width), view(delta, below, width)
            for v in range(width):
                square, by_mean, by_spread = normal_slopes(y[v], mean[v], spread[v], beta)
                y[v], share[v] = square, half * spread[v]
                slope[v] *= by_mean
                spread_slope[v] *= by_spread


@by_address(CELL_COST_SECOND)
def gaussian_nll_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂μ² = 1/σ², ∂²C/∂μ∂s = −e/σ², ∂²C/∂s² = ½e²/σ²: each target's two outputs together."""
    means, width = neurons // 2, least(lanes(out), out.size // neurons)
    for strip in range(out.size // (neurons * width)):
        first = strip * neurons * width
        for j in range(means):
            above, below = first + j * width, first + (means + j) * width
            mean, spread, y = view(out, above, width), view(out, below, width), view(target, above, width)
            of_mean, of_spread = view(delta, above, width), view(delta, below, width)
            for v in range(width):
                of_mean[v], of_spread[v] = normal_second(y[v], mean[v], spread[v], of_mean[v], of_spread[v])


@by_address(CELL_FISHER)
def gaussian_nll_fisher(out: Floats, delta: Floats, neurons: int) -> None:
    """The mean of ∂²C/∂o² over y of mean μ and variance σ²: 1/σ² for μ, ½ for s, and nothing between them."""
    real, means = type(out[0]), neurons // 2
    half, width = real(0.5), least(lanes(out), out.size // neurons)
    for strip in range(out.size // (neurons * width)):
        first = strip * neurons * width
        for j in range(means):
            above, below = first + j * width, first + (means + j) * width
            spread, of_mean, of_spread = view(out, below, width), view(delta, above, width), view(delta, below, width)
            for v in range(width):
                of_mean[v] *= elementwise.exp(-spread[v])
                of_spread[v] *= half


@by_element(CELL_COST_KERNEL)
def logistic_binary_cross_entropy(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """Canonical link, from net: C = max(net, 0) − y·net + log1p(exp(−|net|)); δ = o − y."""
    real = type(out[0])
    zero, one = real(0), real(1)
    for i in range(out.size):
        net, y = out[i], target[i]
        small = elementwise.exp(-abs(net))
        o = (one if net >= zero else small) / (one + small)
        linear = (one - y) * net if net > zero else -y * net
        target[i] = linear + elementwise.log1p(small)
        out[i] = o
        delta[i] = o - y


@by_address(CELL_COST_KERNEL)
def exp_poisson(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """Canonical link, from net: C = exp(net) − y·net; δ = o − y."""
    for i in range(out.size):
        net, y = out[i], target[i]
        o = elementwise.exp(net)
        target[i] = o - y * net
        out[i] = o
        delta[i] = o - y


@by_element(CELL_COST_KERNEL)
def softmax_cross_entropy(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """From net: C = Σ_j y_j (log Σ_i exp(net_i − m) − (net_j − m)), m = max net; δ = o − y, as Σy = 1.

    What is costly runs over whole panels, since LLVM makes no vectors of loops as short as a strip is wide. The numbers
    that belong to a sample lie in the panel of deltas, one behind the other.
    """
    width = least(lanes(out), out.size // neurons)
    samples = out.size // (neurons * width) * width
    for s in range(0, samples, width):
        largest_row(out, s * neurons, neurons, width, delta, s)
        subtract_row(out, s * neurons, neurons, width, delta, s)
    for i in range(out.size):
        delta[i] = elementwise.exp(out[i])
    for s in range(0, samples, width):
        sum_rows(delta, s * neurons, neurons, width, delta, s)  # where no sum is yet to be taken
    for s in range(samples):
        delta[s] = elementwise.log(delta[s])
    for s in range(0, samples, width):
        subtract_row(out, s * neurons, neurons, width, delta, s)
    for i in range(out.size):
        rest, y = out[i], target[i]
        o = elementwise.exp(rest)
        target[i] = -y * rest
        out[i] = o
        delta[i] = o - y


@by_address(CELL_COST_KERNEL)
def by_output(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C_j ← w_j C_j and ∂C/∂o_j ← w_j ∂C/∂o_j of another cost, element by element; weight 0 gives 0 in any case.

    ``target`` has more rows than ``out``: what the other cost reads, then a weight for each target of the sample.
    """
    width, inner, weights = least(lanes(out), out.size // neurons), to_bits(parameter[COST_INNER]), to_bits(
        parameter[COST_N_WEIGHTED])
    strips = out.size // (neurons * width)
    rows, zero = target.size // (strips * width), type(out[0])(0)
    for s in range(strips):
        slopes = view(delta, s * neurons * width, neurons * width)
        call(prototypes.cost, inner, view(out, s * neurons * width, neurons * width),
             view(target, s * rows * width, (rows - weights) * width), slopes, neurons, parameter)
        for j in range(neurons):
            w = view(target, (s * rows + rows - weights + j % weights) * width, width)
            part, slope = view(target, (s * rows + j) * width, width), view(slopes, j * width, width)
            cost = view(target, (s * neurons + j) * width, width)  # at the place of rows that have been read
            for v in range(width):
                counts = w[v] != zero
                cost[v] = w[v] * part[v] if counts else zero
                slope[v] = w[v] * slope[v] if counts else zero


@by_address(CELL_COLLECT)
def collect(target: Floats, weight: Floats, delta: Floats, cost: Floats, neurons: int) -> None:
    """C_s = w_s Σ_j C_sj and δ_sj ← w_s δ_sj over whole strips; overwrites ``cost`` and ``delta``.

    Weight 0 gives 0, also where the cost overflows: padding repeats the last sample.
    """
    width = least(lanes(target), target.size // neurons)
    for s in range(0, cost.size // width * width, width):
        weigh_rows(target, s * neurons, delta, s * neurons, neurons, width, weight, s, cost, s)
