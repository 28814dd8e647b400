"""Update rules (7) on a slice of the flat buffers: the optimizer's equation, element by element.

Every rule has the signature ``rule(parameters, gradient, state, start, stop, shift, hyper)``: it overwrites
``parameters[start:stop]`` and the same slice of each slot of ``state`` (slot k begins at k·n_parameters), by the
gradient that lies ``shift`` elements earlier in ``gradient``. ``hyper`` is

    [0] learning rate   [1], [2] running powers β₁ᵗ, β₂ᵗ   [3], [4] their bases β₁, β₂   [5:9] the rule's own numbers
    [9] weight of the batch   [10], [11] what a schedule remembers

and the training kernel advances the powers once an update, which costs two products instead of two calls of pow.
Sums here are exact in order (`compile.EXACT`), so an element has the same bits wherever a slice begins.
"""

import math

from ..compile import inline, rule
from ..compile.arguments import Doubles, Floats
from ..ir import pointer, view
from ..tables import (
    HYPER_BETA1,
    HYPER_BETA2,
    HYPER_DECAY,
    HYPER_EPSILON,
    HYPER_EPSILON_HAT,
    HYPER_MOMENTUM,
    HYPER_POWER1,
    HYPER_POWER2,
    HYPER_RATE,
    HYPER_WEIGHT_DECAY,
)


@inline
def damping(hyper, correction):
    """ε√(1−β₂ᵗ) for a divisor √v, which makes √v̂ + ε; or ε̂ = ε as it is (Kingma & Ba 2015, end of section 2)."""
    return hyper[HYPER_EPSILON] if hyper[HYPER_EPSILON_HAT] != 0.0 else hyper[HYPER_EPSILON] * correction


@rule
def sgd(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int, hyper: Doubles) -> None:
    """Δw = −μ ∂E/∂w (7)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    rate = type(p[0])(hyper[HYPER_RATE])
    for i in range(n):
        p[i] -= rate * g[i]


@rule
def momentum(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
             hyper: Doubles) -> None:
    """v ← βv − μ ∂E/∂w; Δw = v (Polyak 1964)."""
    n, hyper = stop - start, pointer(hyper)
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, beta = real(hyper[HYPER_RATE]), real(hyper[HYPER_MOMENTUM])
    for i in range(n):
        velocity = beta * v[i] - rate * g[i]
        v[i] = velocity
        p[i] += velocity


@rule
def nesterov(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
             hyper: Doubles) -> None:
    """v ← βv − μ ∂E/∂w; Δw = βv − μ ∂E/∂w (Nesterov 1983, as rewritten by Bengio et al. 2013, eq. 7)."""
    n, hyper = stop - start, pointer(hyper)
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, beta = real(hyper[HYPER_RATE]), real(hyper[HYPER_MOMENTUM])
    for i in range(n):
        step = rate * g[i]
        velocity = beta * v[i] - step
        v[i] = velocity
        p[i] += beta * velocity - step


@rule
def adam(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
         hyper: Doubles) -> None:
    """m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; Δw = −μ m̂/(√v̂ + ε) (Kingma & Ba 2015, algorithm 1).

    The bias corrections m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ) are drawn out of the loop, as at the end of their section 2.
    """
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    correction = math.sqrt(1.0 - hyper[HYPER_POWER2])
    rate = real(hyper[HYPER_RATE] * correction / (1.0 - hyper[HYPER_POWER1]))
    epsilon = real(damping(hyper, correction))
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = mean
        v[i] = square
        p[i] -= rate * mean / (math.sqrt(square) + epsilon)


@rule
def adamw(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
          hyper: Doubles) -> None:
    """Δw = −μ (m̂/(√v̂ + ε) + λw), m and v as in Adam (Loshchilov & Hutter 2019, algorithm 2)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    correction = math.sqrt(1.0 - hyper[HYPER_POWER2])
    rate = real(hyper[HYPER_RATE] * correction / (1.0 - hyper[HYPER_POWER1]))
    epsilon = real(damping(hyper, correction))
    decay = real(hyper[HYPER_RATE] * hyper[HYPER_WEIGHT_DECAY])
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = mean
        v[i] = square
        p[i] -= decay * p[i] + rate * mean / (math.sqrt(square) + epsilon)


@rule
def amsgrad(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
            hyper: Doubles) -> None:
    """m, v as in Adam; u ← max(u, v); Δw = −μ m̂/(√û + ε) (Reddi et al. 2018, bias corrections as in Adam)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    u = view(state, 2 * parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    correction = math.sqrt(1.0 - hyper[HYPER_POWER2])
    rate = real(hyper[HYPER_RATE] * correction / (1.0 - hyper[HYPER_POWER1]))
    epsilon = real(damping(hyper, correction))
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        largest = square if square > u[i] else u[i]
        m[i] = mean
        v[i] = square
        u[i] = largest
        p[i] -= rate * mean / (math.sqrt(largest) + epsilon)


@rule
def nadam(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
          hyper: Doubles) -> None:
    """m, v as in Adam; Δw = −μ (β₁m/(1−β₁ᵗ⁺¹) + (1−β₁)g/(1−β₁ᵗ))/(√v̂ + ε) (Dozat 2016)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    correction = math.sqrt(1.0 - hyper[HYPER_POWER2])
    rate = hyper[HYPER_RATE] * correction
    ahead = real(rate * hyper[HYPER_BETA1] / (1.0 - hyper[HYPER_POWER1] * hyper[HYPER_BETA1]))
    now = real(rate * (1.0 - hyper[HYPER_BETA1]) / (1.0 - hyper[HYPER_POWER1]))
    epsilon = real(damping(hyper, correction))
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = mean
        v[i] = square
        p[i] -= (ahead * mean + now * slope) / (math.sqrt(square) + epsilon)


@rule
def radam(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
          hyper: Doubles) -> None:
    """m, v as in Adam; Δw = −μ r m̂/(√v̂ + ε), or −μ m̂ while v̂ is too uncertain (Liu et al. 2020, algorithm 2).

    ρ∞ = 2/(1−β₂) − 1, ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ); where ρ > 5, r² = (ρ−4)(ρ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ). The step number t is
    log β₂ᵗ/log β₂; tβ₂ᵗ is 0 where β₂ᵗ has gone under. The paper's bound is 4; 5 is what its authors' code takes.
    """
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    power, limit = hyper[HYPER_POWER2], 2.0 / (1.0 - hyper[HYPER_BETA2]) - 1.0
    length = limit
    if power > 0.0:
        length -= 2.0 * math.log(power) / math.log(hyper[HYPER_BETA2]) * power / (1.0 - power)
    rate, correction = hyper[HYPER_RATE] / (1.0 - hyper[HYPER_POWER1]), math.sqrt(1.0 - power)
    certain = length > 5.0
    if certain:
        r = math.sqrt((length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length))
        rate *= r * correction
    step, epsilon = real(rate), real(damping(hyper, correction))
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = mean
        v[i] = square
        p[i] -= step * mean / (math.sqrt(square) + epsilon if certain else real(1))


@rule
def adabelief(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
              hyper: Doubles) -> None:
    """m as in Adam; s ← β₂s + (1−β₂)(g−m)² + ε; Δw = −μ m̂/(√ŝ + ε) (Zhuang et al. 2020, algorithm 2)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, s = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    correction = math.sqrt(1.0 - hyper[HYPER_POWER2])
    rate = real(hyper[HYPER_RATE] * correction / (1.0 - hyper[HYPER_POWER1]))
    small, epsilon = real(hyper[HYPER_EPSILON]), real(damping(hyper, correction))
    for i in range(n):
        mean = beta1 * m[i] + rest1 * g[i]
        surprise = g[i] - mean
        square = beta2 * s[i] + rest2 * (surprise * surprise) + small
        m[i] = mean
        s[i] = square
        p[i] -= rate * mean / (math.sqrt(square) + epsilon)


@rule
def lion(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
         hyper: Doubles) -> None:
    """Δw = −μ (sign(β₁m + (1−β₁)g) + λw); m ← β₂m + (1−β₂)g (Chen et al. 2023, algorithm 2); sign(0) = 0."""
    n, hyper = stop - start, pointer(hyper)
    p, g, m = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[HYPER_BETA1]), real(hyper[HYPER_BETA2])
    rest1, rest2 = real(1.0 - hyper[HYPER_BETA1]), real(1.0 - hyper[HYPER_BETA2])
    rate, decay = real(hyper[HYPER_RATE]), real(hyper[HYPER_RATE] * hyper[HYPER_WEIGHT_DECAY])
    for i in range(n):
        slope = g[i]
        mixed = beta1 * m[i] + rest1 * slope
        step = rate if mixed > 0 else -rate if mixed < 0 else mixed  # NaN stays NaN
        m[i] = beta2 * m[i] + rest2 * slope
        p[i] -= decay * p[i] + step


@rule
def rmsprop(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
            hyper: Doubles) -> None:
    """v ← ρv + (1−ρ)g²; Δw = −μ g/(√v + ε) (Tieleman & Hinton 2012)."""
    n, hyper = stop - start, pointer(hyper)
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, epsilon = real(hyper[HYPER_RATE]), real(hyper[HYPER_EPSILON])
    decay, rest = real(hyper[HYPER_DECAY]), real(1.0 - hyper[HYPER_DECAY])
    for i in range(n):
        slope = g[i]
        square = decay * v[i] + rest * (slope * slope)
        v[i] = square
        p[i] -= rate * slope / (math.sqrt(square) + epsilon)


@rule
def adagrad(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
            hyper: Doubles) -> None:
    """v ← v + g²; Δw = −μ g/(√v + ε) (Duchi et al. 2011, diagonal)."""
    n, hyper = stop - start, pointer(hyper)
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, epsilon = real(hyper[HYPER_RATE]), real(hyper[HYPER_EPSILON])
    for i in range(n):
        slope = g[i]
        total = v[i] + slope * slope
        v[i] = total
        p[i] -= rate * slope / (math.sqrt(total) + epsilon)


@rule
def adadelta(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
             hyper: Doubles) -> None:
    """v ← ρv + (1−ρ)g²; d = g√(u + ε)/√(v + ε); u ← ρu + (1−ρ)d²; Δw = −μd (Zeiler 2012, algorithm 1)."""
    n, hyper = stop - start, pointer(hyper)
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    v, u = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    rate, epsilon = real(hyper[HYPER_RATE]), real(hyper[HYPER_EPSILON])
    decay, rest = real(hyper[HYPER_DECAY]), real(1.0 - hyper[HYPER_DECAY])
    for i in range(n):
        slope = g[i]
        square = decay * v[i] + rest * (slope * slope)
        step = math.sqrt(u[i] + epsilon) / math.sqrt(square + epsilon) * slope
        v[i] = square
        u[i] = decay * u[i] + rest * (step * step)
        p[i] -= rate * step
