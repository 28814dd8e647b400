"""Backpropagation straight from the equations: the plain twin that every kernel is compared with.

A network is a list of ``(W, b)`` pairs, W of shape (n_l, n_{l-1}) and b of shape (n_l,); a batch has a row a sample.
Everything is NumPy, one neuron at a time, in the dtype of its arguments, and accepts complex numbers, so that the
derivatives can themselves be checked by complex step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Twins(dict):
    """Twins of the rows of a catalogue, by name."""

    def __missing__(self, name):
        raise LookupError(f"{name} has no twin: write one into this table of tests/naive.py, {self.what}")

    def __init__(self, what, twins):
        super().__init__(twins)
        self.what = what


def twin(name):
    """Return the class that stands here for an optimizer's."""
    if name not in globals():
        raise LookupError(f"{name} has no twin: write a class of this name into tests/naive.py")
    return globals()[name]


# ------------------------------------------------------------------------------------------ activations (2) and slopes

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(60)


def erf(x):
    """2/sqrt(pi) times the integral of exp(-(xt)^2) x over t from 0 to 1, by Gauss-Legendre; exact for |x| < 6."""
    t, w = (NODES + 1) / 2, NODE_WEIGHTS / 2
    return 2 / np.sqrt(np.pi) * x * (np.exp(-((np.asarray(x)[..., None] * t) ** 2)) @ w)


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x):
    """log(1 + exp(x)), from exp(-|x|)."""
    positive = np.real(x) > 0
    small = np.exp(np.where(positive, -x, x))
    return np.where(positive, x, 0 * x) + (np.log(1 + small) if np.iscomplexobj(x) else np.log1p(small))


def softmax(x):
    """Over the last axis."""
    e = np.exp(x - np.real(x).max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def where_positive(x, yes, no):
    return np.where(np.real(x) > 0, yes, no)


def bounded(x, low, high):
    return np.where(np.real(x) < low, low, np.where(np.real(x) > high, high, x))


def inside(x, low, high):
    return ((np.real(x) > low) & (np.real(x) < high)).astype(np.asarray(x).dtype)


def density(x):
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def distribution(x):
    return 0.5 * (1 + erf(x / np.sqrt(2)))


ACTIVATIONS = Twins("name -> (phi, phi')", {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "logistic": (logistic, lambda x: logistic(x) * logistic(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "relu": (lambda x: where_positive(x, x, 0 * x), lambda x: where_positive(x, 1.0, 0.0)),
    "leaky_relu": (lambda x: where_positive(x, x, 0.01 * x), lambda x: where_positive(x, 1.0, 0.01)),
    "elu": (lambda x: where_positive(x, x, np.exp(x) - 1), lambda x: where_positive(x, 1.0, np.exp(x))),
    "selu": (
        lambda x: SELU_SCALE * where_positive(x, x, SELU_ALPHA * (np.exp(x) - 1)),
        lambda x: SELU_SCALE * where_positive(x, 1.0, SELU_ALPHA * np.exp(x)),
    ),
    "softplus": (softplus, logistic),
    "softsign": (
        lambda x: x / (1 + where_positive(x, x, -x)),
        lambda x: 1 / (1 + where_positive(x, x, -x)) ** 2,
    ),
    "silu": (lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x))),
    "gelu": (lambda x: x * distribution(x), lambda x: distribution(x) + x * density(x)),
    "mish": (
        lambda x: x * np.tanh(softplus(x)),
        lambda x: np.tanh(softplus(x)) + x * logistic(x) / np.cosh(softplus(x)) ** 2,
    ),
    "hard_tanh": (lambda x: bounded(x, -1.0, 1.0), lambda x: inside(x, -1.0, 1.0)),
    "hard_sigmoid": (lambda x: bounded(x / 6 + 0.5, 0.0, 1.0), lambda x: inside(x, -3.0, 3.0) / 6),
    "gaussian": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "softmax": (softmax, None),
})
"""Name -> (phi, phi'); softmax is not element-wise, its Jacobian product stands in `output_delta`."""

# ----------------------------------------------------------------------------------------------- costs (3) and dC/do


def magnitude(x):
    return np.where(np.real(x) < 0, -x, x)


def sign(x):
    return np.sign(np.real(x))


def logarithm(x):
    return np.log(np.where(x == 0, 1, x))


COSTS = Twins("name -> (C, dC/do)", {
    "squared_error": (lambda y, o, d: 0.5 * (o - y) ** 2, lambda y, o, d: o - y),
    "absolute_error": (lambda y, o, d: magnitude(o - y), lambda y, o, d: sign(o - y)),
    "huber": (
        lambda y, o, d: np.where(np.abs(np.real(o - y)) <= d, 0.5 * (o - y) ** 2, d * (magnitude(o - y) - 0.5 * d)),
        lambda y, o, d: bounded(o - y, -d, d),
    ),
    "log_cosh": (lambda y, o, d: np.log(np.cosh(o - y)), lambda y, o, d: np.tanh(o - y)),
    "quantile": (
        lambda y, o, q: np.where(np.real(o) < y, q * (y - o), (1 - q) * (o - y)),
        lambda y, o, q: np.where(np.real(o) < y, -q, np.where(np.real(o) > y, 1 - q, 0.0)),
    ),
    "binary_cross_entropy": (
        lambda y, o, d: -y * logarithm(o) - (1 - y) * logarithm(1 - o),
        lambda y, o, d: (1 - y) / (1 - o) - y / o,
    ),
    "cross_entropy": (lambda y, o, d: -y * logarithm(o), lambda y, o, d: -y / o),
    "poisson": (lambda y, o, d: o - y * logarithm(o), lambda y, o, d: 1 - y / o),
})
"""Name -> (C, dC/do) of (y, o, parameter), element by element."""

PARAMETERS = {"huber": 1.0, "quantile": 0.5}

# ------------------------------------------------------------------------------------------------------- the network


def unflatten(parameters, sizes, bias=True):
    """Cut the flat buffer: for each layer W row by row, then b (zeros without biases)."""
    layers, start = [], 0
    for n_in, n_out in pairwise(sizes):
        W = parameters[start : start + n_in * n_out].reshape(n_out, n_in)
        start += W.size
        b = parameters[start : start + n_out] if bias else np.zeros(n_out, parameters.dtype)
        start += n_out if bias else 0
        layers.append((W, b))
    assert start == parameters.size
    return layers


def flatten(layers, bias=True):
    parts = []
    for W, b in layers:
        parts.append(np.ravel(W))
        if bias:
            parts.append(b)
    return np.concatenate(parts)


class Pass(NamedTuple):
    net: list
    out: list
    """out[0] is the input, so out[l] belongs to net[l-1]."""


def forward(layers, X, activations, masks=None):
    """net_j = sum_k w_jk o_k + b_j (1), o_j = phi(net_j) (2), times a mask of (n, n_l) for each layer if given."""
    nets, outs = [], [X]
    for l, ((W, b), name) in enumerate(zip(layers, activations, strict=True)):  # noqa: E741 the layer's number
        net = np.stack([outs[-1] @ W[j] + b[j] for j in range(len(W))], axis=1)
        nets.append(net)
        outs.append(ACTIVATIONS[name][0](net) * (1 if masks is None else masks[l]))
    return Pass(nets, outs)


def sample_costs(Y, out, cost, parameter=None):
    """E of each pair (3)."""
    parameter = PARAMETERS.get(cost) if parameter is None else parameter
    return COSTS[cost][0](Y, out, parameter).sum(axis=1)


def shares(n, weights=None):
    weights = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    return weights / weights.sum()


def mean_cost(layers, X, Y, activations, cost, weights=None, parameter=None, masks=None):
    out = forward(layers, X, activations, masks).out[-1]
    return (shares(len(X), weights) * sample_costs(Y, out, cost, parameter)).sum()


def output_delta(net, out, Y, name, cost, parameter=None):
    """delta_j = dE/do_j phi'(net_j) (4); for softmax sum_i dE/do_i do_i/dnet_j."""
    parameter = PARAMETERS.get(cost) if parameter is None else parameter
    if (name, cost) in (("logistic", "binary_cross_entropy"), ("exp", "poisson")):
        return out - Y  # the quotient, cancelled by hand: no division by 0
    slope = COSTS[cost][1](Y, np.where(out == 0, 1e-300, out) if cost == "cross_entropy" else out, parameter)
    if name == "softmax":
        return out * (slope - (slope * out).sum(axis=1, keepdims=True))
    return slope * ACTIVATIONS[name][1](net)


def deltas(layers, passed, Y, activations, cost, weights=None, parameter=None):
    """Every delta of the mean cost, (4) at the top and (5) below."""
    share = shares(len(Y), weights)[:, None].astype(np.asarray(Y).dtype)
    found = [share * output_delta(passed.net[-1], passed.out[-1], Y, activations[-1], cost, parameter)]
    for l in range(len(layers) - 1, 0, -1):  # noqa: E741 the layer's number in the equations
        W_above, delta_above = layers[l][0], found[0]
        slope = ACTIVATIONS[activations[l - 1]][1](passed.net[l - 1])
        neurons = range(W_above.shape[1])
        found.insert(0, np.stack([slope[:, j] * (delta_above @ W_above[:, j]) for j in neurons], axis=1))
    return found


def gradient(layers, X, Y, activations, cost, weights=None, parameter=None):
    """dE/dw_jk = sum over samples of delta_j o_k, dE/db_j = sum of delta_j (6): a list of (dW, db)."""
    passed = forward(layers, X, activations)
    found = deltas(layers, passed, Y, activations, cost, weights, parameter)
    return [
        (np.stack([delta[:, j] @ out for j in range(delta.shape[1])]), delta.sum(axis=0))
        for delta, out in zip(found, passed.out[:-1], strict=True)
    ]


def complex_step_gradient(parameters, sizes, bias, X, Y, activations, cost, weights=None, parameter=None, masks=None):
    """dE/dw = Im E(w + ih)/h, exact to rounding (Squire & Trapp 1998)."""
    slopes = np.empty(parameters.size)
    for i in range(parameters.size):
        shifted = parameters.astype(np.complex128)
        shifted[i] += 1e-30j
        found = mean_cost(unflatten(shifted, sizes, bias), X, Y, activations, cost, weights, parameter, masks)
        slopes[i] = found.imag / 1e-30
    return slopes


def gauss_newton(parameters, sizes, bias, X, activations, canonical, weights=None):
    """Sum over samples of share * J' H J by complex step.

    Of a canonical link J is dnet/dw and H = df(net)/dnet, since the slope of its cost is f(net) - y; else J is do/dw
    and H = 1, as for the squared error.
    """
    columns = []
    for i in range(parameters.size):
        shifted = parameters.astype(np.complex128)
        shifted[i] += 1e-30j
        passed = forward(unflatten(shifted, sizes, bias), X, activations)
        columns.append((passed.net[-1] if canonical else passed.out[-1]).imag / 1e-30)
    J = np.stack(columns, axis=-1)
    net = forward(unflatten(parameters, sizes, bias), X, activations).net[-1]
    total = np.zeros((parameters.size, parameters.size))
    for s, share in enumerate(shares(len(X), weights)):
        H = np.eye(sizes[-1])
        if canonical:
            steps = net[s] + 1e-30j * np.eye(sizes[-1])
            H = ACTIVATIONS[activations[-1]][0](steps).imag / 1e-30
        total += share * J[s].T @ H @ J[s]
    return total


# ----------------------------------------------------------------------------------------------------- update rules (7)


class SGD:
    """Delta w = -mu g; with momentum v <- beta v - mu g and Delta w = v, or beta v - mu g after Nesterov."""

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False):
        self.rate, self.beta, self.nesterov, self.v = learning_rate, momentum, nesterov, 0.0

    def step(self, w, g):
        self.v = self.beta * self.v - self.rate * g
        return w + (self.beta * self.v - self.rate * g if self.nesterov else self.v)


class Adam:
    """Kingma & Ba 2015, algorithm 1, line by line."""

    def __init__(self, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, epsilon_hat=False):
        self.rate, self.beta1, self.beta2, self.epsilon = learning_rate, beta1, beta2, epsilon
        self.hat = epsilon_hat
        self.t, self.m, self.v = 0, 0.0, 0.0

    def divisor(self, v):
        """√v̂ + ε, or (√v + ε̂) with the bias correction of the whole (end of their section 2)."""
        correction = np.sqrt(1 - self.beta2**self.t)
        return (np.sqrt(v) + self.epsilon) / correction if self.hat else np.sqrt(v) / correction + self.epsilon

    def step(self, w, g):
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat = self.m / (1 - self.beta1**self.t)
        return w - self.rate * m_hat / self.divisor(self.v)


class AdamW(Adam):
    """Loshchilov & Hutter 2019, algorithm 2."""

    def __init__(self, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, epsilon_hat=False, weight_decay=0.01):
        super().__init__(learning_rate, beta1, beta2, epsilon, epsilon_hat)
        self.decay = weight_decay

    def step(self, w, g):
        return super().step(w, g) - self.rate * self.decay * w


class AMSGrad(Adam):
    """Reddi, Kale & Kumar 2018, algorithm 2, with the bias corrections of Adam."""

    largest = 0.0

    def step(self, w, g):
        super().step(w, g)
        self.largest = np.maximum(self.largest, self.v)
        m_hat = self.m / (1 - self.beta1**self.t)
        return w - self.rate * m_hat / self.divisor(self.largest)


class NAdam(Adam):
    """Dozat 2016, algorithm 2, with every mu_t = beta_1."""

    def step(self, w, g):
        super().step(w, g)
        m_bar = (1 - self.beta1) * g / (1 - self.beta1**self.t) + self.beta1 * self.m / (1 - self.beta1 ** (self.t + 1))
        return w - self.rate * m_bar / self.divisor(self.v)


class RAdam(Adam):
    """Liu et al. 2020, algorithm 2, rectified from rho > 5 on."""

    def step(self, w, g):
        super().step(w, g)
        m_hat = self.m / (1 - self.beta1**self.t)
        limit = 2 / (1 - self.beta2) - 1
        rho = limit - 2 * self.t * self.beta2**self.t / (1 - self.beta2**self.t)
        if rho <= 5:
            return w - self.rate * m_hat
        r = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        return w - self.rate * r * m_hat / self.divisor(self.v)


class AdaBelief(Adam):
    """Zhuang et al. 2020, algorithm 2."""

    def step(self, w, g):
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * (g - self.m) ** 2 + self.epsilon
        return w - self.rate * self.m / (1 - self.beta1**self.t) / self.divisor(self.v)


class Lion:
    """Chen et al. 2023, algorithm 2."""

    def __init__(self, learning_rate=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
        self.rate, self.beta1, self.beta2, self.decay, self.m = learning_rate, beta1, beta2, weight_decay, 0.0

    def step(self, w, g):
        c = self.beta1 * self.m + (1 - self.beta1) * g
        self.m = self.beta2 * self.m + (1 - self.beta2) * g
        return w - self.rate * (np.sign(c) + self.decay * w)


class RMSprop:
    """Tieleman & Hinton 2012."""

    def __init__(self, learning_rate=1e-3, decay=0.9, epsilon=1e-8):
        self.rate, self.decay, self.epsilon, self.v = learning_rate, decay, epsilon, 0.0

    def step(self, w, g):
        self.v = self.decay * self.v + (1 - self.decay) * g**2
        return w - self.rate * g / (np.sqrt(self.v) + self.epsilon)


class Adagrad:
    """Duchi, Hazan & Singer 2011, diagonal."""

    def __init__(self, learning_rate=0.01, epsilon=1e-10):
        self.rate, self.epsilon, self.v = learning_rate, epsilon, 0.0

    def step(self, w, g):
        self.v = self.v + g**2
        return w - self.rate * g / (np.sqrt(self.v) + self.epsilon)


class Adadelta:
    """Zeiler 2012, algorithm 1."""

    def __init__(self, learning_rate=1.0, decay=0.9, epsilon=1e-6):
        self.rate, self.decay, self.epsilon, self.v, self.u = learning_rate, decay, epsilon, 0.0, 0.0

    def step(self, w, g):
        self.v = self.decay * self.v + (1 - self.decay) * g**2
        step = -np.sqrt(self.u + self.epsilon) / np.sqrt(self.v + self.epsilon) * g
        self.u = self.decay * self.u + (1 - self.decay) * step**2
        return w + self.rate * step


class Regular:
    """A rule between clipping and constraints; factors and bounds are one a layer, ``trainable`` one a parameter."""

    def __init__(self, rule, sizes, bias, *, decay=None, biases=False, max_norm=None, non_negative=None, trainable=None,
                 clip_value=np.inf, clip_norm=np.inf):
        layers = len(sizes) - 1
        self.rule, self.sizes, self.bias, self.biases, self.trainable = rule, sizes, bias, biases, trainable
        self.decay, self.max_norm = decay or (0.0,) * layers, max_norm or (None,) * layers
        self.non_negative = non_negative or (False,) * layers
        self.clip_value, self.clip_norm = clip_value, clip_norm

    def step(self, w, g):
        g = np.clip(g, -self.clip_value, self.clip_value)
        if self.trainable is not None:
            g = np.where(self.trainable, g, 0)
        g = g * min(1, self.clip_norm / max(np.sqrt((g**2).sum()), 1e-300))
        found, share = self.rule.step(w, g), []
        for (W, b), factor in zip(unflatten(w, self.sizes, self.bias), self.decay, strict=True):
            share.append((self.rule.rate * factor * W, self.biases * self.rule.rate * factor * b))
        found = found - flatten(share, self.bias)
        layers = unflatten(found, self.sizes, self.bias)
        for (W, _), bound, positive in zip(layers, self.max_norm, self.non_negative, strict=True):
            for row in W:
                row[row < 0] *= 1 - positive
                norm = np.sqrt((row**2).sum())
                if bound is not None and norm > bound:
                    row *= bound / norm
        found = flatten(layers, self.bias)
        return found if self.trainable is None else np.where(self.trainable, found, w)


# ------------------------------------------------------------------------------------------------- noise while training


def hashed(counter, first, second):
    """Scramble a counter by two keys, 32 bits each."""
    x = (int(counter) * 0x9E3779B9 + int(first)) % 2**32
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32 ^ int(second)
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


def streams(key, epoch, layer, begin):
    """Two pairs of keys for a batch that begins at a place of the epoch."""
    golden, whole = 0x9E3779B97F4A7C15, 2**64
    start = mix((whole - 1 - key + epoch * golden) % whole)
    start = mix((mix((start + layer) % whole) + begin * golden) % whole)
    return [(word % 2**32, word >> 32) for word in (start, mix((start + golden) % whole))]


def panel(samples, neurons, lanes):
    """Number the elements of a panel: strips of lanes, each strip neuron by neuron."""
    s, j = np.mgrid[:samples, :neurons]
    return (s // lanes * neurons + j) * lanes + s % lanes


def mask(rate, key, epoch, layer, begin, *shape):
    """0 with this probability, else 1/(1 - p), p being the rate in units of 2^-32."""
    limit = int(rate * 2**32)
    keys, _ = streams(key, epoch, layer, begin)
    return (np.vectorize(hashed)(panel(*shape), *keys) >= limit) / (1 - limit / 2**32)


RADIUS = [-0.062209763, 0.11092018, -0.19605309, 0.44326597, -1.333393, -0.81091356]
SINE = [-0.004371312, 0.07950118, -0.64592624, 1.5707952]
COSINE = [-0.01909602, 0.25258073, -1.2334847, 0.9999933]
"""Minimax polynomials of -2 log(f) in f - 3/2, of sin(pi x/2)/x and of cos(pi x/2) in x^2."""


def normal(key, epoch, begin, *shape):
    """Box & Muller 1958, the radius from one hash of a pair of elements and a reflection, a direction from another."""
    pairs, odd = np.divmod(panel(*shape), 2)
    first, second = (np.vectorize(hashed)(pairs, *keys).astype(np.uint32).view(np.int32).astype(float)
                     for keys in streams(key, epoch, 0, begin))
    fraction, exponent = np.frexp(abs(first + 0.5))
    radius = np.sqrt(np.polyval(RADIUS, 2 * fraction - 1.5) + 2 * np.log(2) * (32 - exponent))
    x = second / 2**31
    return radius * np.where(odd, x * np.polyval(SINE, x**2), np.sign(first + 0.5) * np.polyval(COSINE, x**2))


# ------------------------------------------------------------------------------------------------------------ training


def penalty(parameters, sizes, bias, l2, l1, biases=False):
    """Sum over layers of l2/2 w^2 + l1 |w|, one factor a layer, and its slopes; those of |w| at 0 are 0."""
    total, slopes = 0.0, []
    for (W, b), square, size in zip(unflatten(parameters, sizes, bias), l2, l1, strict=True):
        for w, counts in ((W, 1.0), (b, float(biases))):
            total += counts * (0.5 * square * (w**2).sum() + size * magnitude(w).sum())
        slopes.append((square * W + size * sign(W), float(biases) * (square * b + size * sign(b))))
    return total, flatten(slopes, bias)


def train(parameters, sizes, bias, X, Y, activations, cost, optimizer, batch_size, orders, weights=None,
          parameter=None, penalty=None):
    """Mini-batch training over the given permutations, one an epoch: (parameters, cost of each epoch).

    An epoch's cost is the weighted mean of the costs of its batches, each taken before its update. ``penalty`` gives
    what is added to a batch's cost, and its slopes, from parameters and the batch's weight.
    """
    w = parameters.copy()
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    curve = []
    for order in orders:
        total = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            own = weights[rows]
            more, g = (0.0, np.zeros_like(w)) if penalty is None else penalty(w, own.sum())
            if own.sum() > 0:
                layers = unflatten(w, sizes, bias)
                total += own.sum() * (mean_cost(layers, X[rows], Y[rows], activations, cost, own, parameter) + more)
                g = g + flatten(gradient(layers, X[rows], Y[rows], activations, cost, own, parameter), bias)
            w = optimizer.step(w, g)
        curve.append(total / weights.sum())
    return w, np.array(curve)


# ---------------------------------------------------------------------------------------------------------- permutation


def mix(x):
    """The finaliser of SplitMix64 on unsigned integers modulo 2**64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def permutation(n, key, epoch):
    """Fisher-Yates with counter-based numbers: draw number i is a function of key, epoch and i alone."""
    golden = 0x9E3779B97F4A7C15
    stream = mix((key + epoch * golden) % 2**64)
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = (mix((stream + i * golden) % 2**64) % 2**32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return np.array(order)


# ------------------------------------------------------------- derivatives of a network, complex step by complex step

STEP = 1e-30j


def layers_of(net):
    """Return the layers of a `fastbp.Network`, or of whatever says the same of itself, in float64."""
    return unflatten(net.parameters.astype(np.float64), net.layers, net.bias)


def own_costs(net, layers, X, Y):
    """E of each pair (3)."""
    return sample_costs(Y, forward(layers, X, net.activations).out[-1], net.cost_function.name,
                        net.cost_function.parameter)


def moved(array, place):
    """Take a step along one axis of the complex plane from an array's columns of this place."""
    array = array.astype(np.complex128)
    array[..., place] += STEP
    return array


def jacobian(net, X):
    """do/dx, (n, n_L, n_0)."""
    return np.stack([forward(layers_of(net), moved(X, k), net.activations).out[-1].imag / STEP.imag
                     for k in range(net.layers[0])], axis=2)


def input_gradient(net, X, Y):
    """dE/dx of each pair's own cost, (n, n_0)."""
    return np.stack([own_costs(net, layers_of(net), moved(X, k), Y).imag / STEP.imag
                     for k in range(net.layers[0])], axis=1)


def by_parameters(net, value):
    """Derivatives of what some layers give, with respect to each parameter: the last axis."""
    return np.stack([value(unflatten(moved(net.parameters, i), net.layers, net.bias)).imag / STEP.imag
                     for i in range(net.n_parameters)], axis=-1)


def per_sample_gradient(net, X, Y):
    """dE/dparameters of each pair's own cost, (n, P)."""
    return by_parameters(net, lambda layers: own_costs(net, layers, X, Y))


DERIVATIVES = Twins("name of the method -> function of (net, X, ...)", {
    "jacobian": jacobian,
    "vjp": lambda net, X, U: np.einsum("njk,nj->nk", jacobian(net, X), U),
    "jvp": lambda net, X, V: np.einsum("njk,nk->nj", jacobian(net, X), V),
    "input_gradient": input_gradient,
    "per_sample_gradient": per_sample_gradient,
    "gradient_norms": lambda net, X, Y: np.linalg.norm(per_sample_gradient(net, X, Y), axis=1),
    "parameter_jacobian": lambda net, X: by_parameters(
        net, lambda layers: forward(layers, X, net.activations).out[-1]),
})
"""Exact to rounding, for the tests of `fastbp.derivatives.first`."""

# --------------------------------------------------------------------------------------------------- full-batch methods


def bfgs_direction(gradient, pairs):
    """-H g, with H the BFGS matrix of pairs (s, y) in order, from H0 = s.y/y.y of the last (Nocedal & Wright, 6.17)."""
    eye = np.eye(gradient.size)
    H = eye * (pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1])) if pairs else eye
    for s, y in pairs:
        rho = 1 / (s @ y)
        H = (eye - rho * np.outer(s, y)) @ H @ (eye - rho * np.outer(y, s)) + rho * np.outer(s, s)
    return -H @ gradient


def two_loops(gradient, steps, changes):
    """-H g by the recursion over vectors (Nocedal & Wright, 7.4), pairs in order; in the dtype that is given."""
    q, alphas = -gradient, []
    for s, y in list(zip(steps, changes, strict=True))[::-1]:
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    r = q * ((steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]))
    for s, y, alpha in zip(steps, changes, alphas[::-1], strict=True):
        r = r + (alpha - (y @ r) / (s @ y)) * s
    return r


class LBFGS:
    """Nocedal 1980: the direction of a step, from the points since the start, their gradients, the directions."""

    def __init__(self, memory=10):
        self.memory = memory

    def direction(self, points, gradients, directions):
        if len(points) == 1:
            return -gradients[0]
        steps, changes = (np.diff(kept[-self.memory - 1 :], axis=0) for kept in (points, gradients))
        return two_loops(gradients[-1], steps, changes)


class ConjugateGradient:
    """Nocedal & Wright (2006), algorithm 5.4, beta by (5.45), restarted by (5.52)."""

    def direction(self, points, gradients, directions):
        if len(points) == 1:
            return -gradients[0]
        last, g = gradients[-2:]
        if abs(g @ last) >= 0.2 * (g @ g):
            return -g
        return -g + max(g @ (g - last) / (last @ last), 0) * directions[-1]


class Rprop:
    """Igel & Huesken 2003, figures 1 to 4, weight by weight; ``cost`` is the one that belongs to ``g``."""

    def __init__(self, variant, n, first=0.1, up=1.2, down=0.5, smallest=1e-6, largest=50.0):
        self.variant, self.up, self.down, self.smallest, self.largest = variant, up, down, smallest, largest
        self.size, self.before, self.move, self.cost = np.full(n, first), np.zeros(n), np.zeros(n), np.inf

    def step(self, w, g, cost):
        w, g = w.copy(), g.copy()
        for i in range(w.size):
            if g[i] * self.before[i] > 0:
                self.size[i] = min(self.size[i] * self.up, self.largest)
                self.move[i] = -np.sign(g[i]) * self.size[i]
                w[i] += self.move[i]
            elif g[i] * self.before[i] < 0:
                self.size[i] = max(self.size[i] * self.down, self.smallest)
                if self.variant == "rprop+" or (self.variant == "irprop+" and cost > self.cost):
                    w[i] -= self.move[i]
                if self.variant == "rprop-":
                    w[i] -= np.sign(g[i]) * self.size[i]
                else:
                    g[i] = 0
            else:
                self.move[i] = -np.sign(g[i]) * self.size[i]
                w[i] += self.move[i]
        self.before, self.cost = g, cost
        return w


class Quickprop:
    """Fahlman (1988), section 3, one weight after the other, in the three cases that he tells apart."""

    def __init__(self, rate, growth, n):
        self.rate, self.growth, self.before, self.move = rate, growth, np.zeros(n), np.zeros(n)

    def step(self, w, slopes, cost):
        moves = np.zeros_like(w)
        for i, (slope, last, before) in enumerate(zip(slopes, self.move, self.before, strict=True)):
            if last == 0:
                moves[i] = -self.rate * slope
                continue
            same = slope * before > 0
            parabola = slope / (before - slope) * last if slope != before else np.inf * last
            if same and (abs(slope) >= abs(before) or abs(parabola) > self.growth * abs(last)):
                parabola = self.growth * last
            moves[i] = parabola - (self.rate * slope if same else 0)
        self.before, self.move = slopes.copy(), moves
        return w + moves


# -------------------------------------------------------------------------------------------- training on derivatives


def target_jacobian(layers, X, activations):
    """do/dx, (n, n_L, n_0): tangents forward, one input after the other."""
    passed, columns = forward(layers, X, activations), []
    for i in range(X.shape[1]):
        tangent = np.zeros_like(X)
        tangent[:, i] = 1
        for (W, _), name, net, out in zip(layers, activations, passed.net, passed.out[1:], strict=True):
            change = tangent @ W.T
            if name == "softmax":
                tangent = out * (change - (out * change).sum(axis=1, keepdims=True))
            else:
                tangent = ACTIVATIONS[name][1](net) * change
        columns.append(tangent)
    return np.stack(columns, axis=2)


def sobolev_cost(layers, X, Y, J, weight, activations, cost, weights=None, parameter=None):
    """Mean of C + weight/2 sum_ji (do_j/dx_i - J_ji)^2."""
    values = mean_cost(layers, X, Y, activations, cost, weights, parameter)
    errors = ((target_jacobian(layers, X, activations) - J) ** 2).sum(axis=(1, 2))
    return values + weight / 2 * (shares(len(X), weights) * errors).sum()
