"""A network as the right-hand side of an ODE
==========================================

Learn a pendulum's accelerations, then integrate them.

Twice: in one compiled function, and by SciPy (pip install scipy), which calls a compiled right-hand side.
"""

import matplotlib.pyplot as plt
import numba
import numpy as np
from scipy.integrate import solve_ivp

import fastbp
from fastbp import jit


@numba.njit
def slope(model, state, out, acceleration, work):
    """Return d(angle, velocity)/dt; the acceleration is the network's."""
    jit.forward(model, state, acceleration, work)
    out[0], out[1] = state[1], acceleration[0]


@numba.njit
def integrate(model, state, tick, steps):
    """Go ``steps`` ticks by the classical Runge-Kutta method; give all states."""
    work, acceleration = jit.workspace(model), np.empty(1)
    path, k = np.empty((steps + 1, 2)), np.empty((4, 2))
    path[0] = state
    for t in range(steps):
        slope(model, path[t], k[0], acceleration, work)
        slope(model, path[t] + tick / 2 * k[0], k[1], acceleration, work)
        slope(model, path[t] + tick / 2 * k[1], k[2], acceleration, work)
        slope(model, path[t] + tick * k[2], k[3], acceleration, work)
        path[t + 1] = path[t] + tick / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])
    return path


@numba.njit
def right_hand_side(time, state, model, work):
    """Return what `slope` does in the form that SciPy asks for."""
    out, acceleration = np.empty(2), np.empty(1)
    slope(model, state, out, acceleration, work)
    return out


def main():
    """Compare the learned pendulum with the true one, whose energy is constant."""
    generator = np.random.default_rng(0)
    states = generator.uniform([-2.5, -2.5], [2.5, 2.5], (5000, 2))
    accelerations = -np.sin(states[:, :1])
    net = fastbp.Network((2, 24, 1), dtype="float64", seed=0)
    net.fit(states, accelerations, epochs=200, optimizer=fastbp.Adam(3e-3))
    net.fit(states, accelerations, epochs=100, optimizer=fastbp.Adam(1e-4))
    model, start = net.compiled(batch=1), np.array([1.5, 0.0])
    path = integrate(model, start, 0.01, 1000)
    energy = path[:, 1] ** 2 / 2 - np.cos(path[:, 0])
    print(f"ten seconds from angle 1.5: largest change of the energy {np.ptp(energy):.4f}")
    solved = solve_ivp(right_hand_side, (0, 10), start, args=(model, jit.workspace(model)), rtol=1e-9, atol=1e-9)
    apart = np.abs(solved.y[:, -1] - path[-1]).max()
    print(f"SciPy's solve_ivp arrives {apart:.1e} beside it, after {solved.nfev} calls")

    _, ax = plt.subplots()
    angle, velocity = np.meshgrid(np.linspace(-2.5, 2.5, 101), np.linspace(-2.5, 2.5, 101))
    ax.contour(angle, velocity, velocity**2 / 2 - np.cos(angle), 12, colors="0.8")
    ax.plot(*path.T, label="Runge–Kutta, compiled")
    ax.plot(*solved.y, "o", markersize=3, label="steps of SciPy's solve_ivp")
    ax.set(xlabel="angle", ylabel="angular velocity", title="A learned pendulum, and lines of equal energy")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
