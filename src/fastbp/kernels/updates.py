"""Update rules (7) on a slice of the flat buffers: the optimizer's equation, element by element.

Every rule has the signature ``rule(parameters, gradient, state, start, stop, shift, hyper)``: it overwrites
``parameters[start:stop]`` and the same slice of each slot of ``state`` (slot k begins at k·n_parameters), by the gradient
that lies ``shift`` elements earlier in ``gradient``. ``hyper`` is

    [0] learning rate   [1], [2] running powers β₁ᵗ, β₂ᵗ   [3], [4] their bases β₁, β₂   [5:] the rule's own numbers

and the training kernel advances the powers once an update, which costs two products where pow would cost 40 ns.
Sums here are exact in order (`_jit.EXACT`), so an element has the same bits wherever a slice begins.
"""

import math

from ._jit import rule
from .codes import BASE1, BASE2, OWN, POWER1, POWER2, RATE
from .simd import view


@rule
def sgd(parameters, gradient, state, start, stop, shift, hyper):
    """Δw = −μ ∂E/∂w (7)."""
    n = stop - start
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    rate = type(p[0])(hyper[RATE])
    for i in range(n):
        p[i] -= rate * g[i]


@rule
def momentum(parameters, gradient, state, start, stop, shift, hyper):
    """V ← βv − μ ∂E/∂w; Δw = v (Polyak 1964)."""
    n = stop - start
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, beta = real(hyper[RATE]), real(hyper[OWN])
    for i in range(n):
        velocity = beta * v[i] - rate * g[i]
        v[i] = velocity
        p[i] += velocity


@rule
def nesterov(parameters, gradient, state, start, stop, shift, hyper):
    """V ← βv − μ ∂E/∂w; Δw = βv − μ ∂E/∂w (Nesterov 1983, as rewritten by Bengio et al. 2013, eq. 7)."""
    n = stop - start
    p, g, v = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, beta = real(hyper[RATE]), real(hyper[OWN])
    for i in range(n):
        step = rate * g[i]
        velocity = beta * v[i] - step
        v[i] = velocity
        p[i] += beta * velocity - step


@rule
def adam(parameters, gradient, state, start, stop, shift, hyper):
    """M ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; Δw = −μ m̂/(√v̂ + ε) (Kingma & Ba 2015, algorithm 1).

    The bias corrections m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ) are drawn out of the loop, as at the end of their section 2.
    """
    n = stop - start
    p, g = view(parameters, start, n), view(gradient, start - shift, n)
    m, v = view(state, start, n), view(state, parameters.size + start, n)
    real = type(p[0])
    beta1, beta2 = real(hyper[BASE1]), real(hyper[BASE2])
    rest1, rest2 = real(1.0 - hyper[BASE1]), real(1.0 - hyper[BASE2])
    correction = math.sqrt(1.0 - hyper[POWER2])
    rate = real(hyper[RATE] * correction / (1.0 - hyper[POWER1]))
    epsilon = real(hyper[OWN] * correction)
    for i in range(n):
        slope = g[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = mean
        v[i] = square
        p[i] -= rate * mean / (math.sqrt(square) + epsilon)
