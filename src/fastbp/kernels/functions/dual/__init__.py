"""Dual numbers: the user's own functions and their derivatives, compiled into loops over panels.

A dual number is a value and a slope. A function of numbers, given the dual number (x, 1), computes f(x) and, by the
chain rule at each of its operations, f'(x): exact to rounding, also where it compares, branches or loops. Numba
compiles the user's function for this type; the operations are those of `rules`, made of `elementwise`, so the loop
around it runs at the full width of the vector unit: np.tanh and math.exp of a plain float are calls of the C
library, one number at a time (a step with such an activation took 14 times as long as with the built-in one).

Taken instead of the complex step, which knows neither comparison nor abs, and of rewriting the function's source, which
lambdas and interactive sessions do not have.
"""

from .data import cost_of_outputs, cost_with_columns
from .fixed import Fixed
from .loops import activation, cost, plain_activation, plain_cost
from .mixed import mixed_activation, mixed_second_derivative
from .second import activation_second_derivative, cost_second_derivative

__all__ = [
    "Fixed",
    "activation",
    "activation_second_derivative",
    "cost",
    "cost_of_outputs",
    "cost_second_derivative",
    "cost_with_columns",
    "mixed_activation",
    "mixed_second_derivative",
    "plain_activation",
    "plain_cost",
]
