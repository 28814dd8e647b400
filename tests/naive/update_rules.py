"""Update rules (7): a class of the name of each optimizer's."""

from __future__ import annotations

import numpy as np

from .network import flatten, unflatten


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
