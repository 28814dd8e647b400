"""What `Network` has of this package."""

from __future__ import annotations

from . import first, second, uncertainty
from . import trace as tracing


class Derivatives:
    """Derivatives of outputs and cost, and what they tell."""

    trace = tracing.trace
    mean_abs_delta = tracing.mean_abs_delta

    input_gradient = first.input_gradient
    vjp = first.vjp
    parameter_vjp = first.parameter_vjp
    jvp = first.jvp
    jacobian = first.jacobian
    per_sample_gradient = first.per_sample_gradient
    gradient_norms = first.gradient_norms
    parameter_jacobian = first.parameter_jacobian
    hessian_vector_product = second.hessian_vector_product
    gauss_newton_vector_product = second.gauss_newton_vector_product
    hessian = second.hessian
    hessian_diagonal = second.hessian_diagonal

    posterior = uncertainty.posterior
