"""A policy gradient inside compiled code
======================================

A cart-pole learner whose whole loop, physics, policy and policy gradient, is one compiled function.
"""

import matplotlib.pyplot as plt
import numba
import numpy as np

import fastbp
from fastbp import jit

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
LONGEST = 500
"""Steps after which an episode counts as solved."""


@numba.njit
def push(state, right):
    """Advance position, velocity, angle and angular velocity by one tick (Barto, Sutton & Anderson 1983, appendix)."""
    _, velocity, angle, turning = state
    sine, cosine, mass = np.sin(angle), np.cos(angle), CART + POLE
    part = ((FORCE if right else -FORCE) + POLE * HALF_LENGTH * turning**2 * sine) / mass
    bend = (GRAVITY * sine - cosine * part) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass))
    slide = part - POLE * HALF_LENGTH * bend * cosine / mass
    state += TICK * np.array([velocity, slide, turning, bend])


@numba.njit
def learn(model, optimizer, episodes, seed):
    """Learn by REINFORCE (Williams 1992): each step's gradient of −log p(action), times how long the pole stayed up."""
    np.random.seed(seed)
    work = jit.workspace(model)
    states, actions = np.empty((LONGEST, 4)), np.empty((LONGEST, 2))
    chances, one = np.empty(2), np.empty_like(optimizer.gradient)
    lengths = np.empty(episodes)
    baseline = np.zeros(LONGEST)
    for episode in range(episodes):
        state, steps = np.random.uniform(-0.05, 0.05, 4), 0
        while steps < LONGEST and abs(state[0]) < 2.4 and abs(state[2]) < 0.21:
            states[steps] = state
            jit.forward(model, state, chances, work)
            right = np.random.random() < chances[1]
            actions[steps, 0], actions[steps, 1] = not right, right
            push(state, right)
            steps += 1
        slopes = optimizer.gradient
        slopes[:] = 0
        to_come = 0.0
        for t in range(steps - 1, -1, -1):
            to_come = 1 + 0.99 * to_come
            better = to_come - baseline[t]
            baseline[t] += 0.05 * better
            jit.cost_and_gradient(model, states[t], actions[t], one, work)
            slopes += better / LONGEST * one
        jit.update(model, optimizer)
        lengths[episode] = steps
    return lengths


def main():
    """Train a policy net and show how long it keeps the pole up."""
    policy = fastbp.Network((4, 16, 2), cost="cross_entropy", dtype="float64", seed=0)
    model = policy.compiled(batch=1)
    lengths = learn(model, jit.state(model, fastbp.Adam(0.01)), 1000, 1)
    for start in range(0, len(lengths), 200):
        print(f"episodes {start:>4} to {start + 199:>4}: {lengths[start : start + 200].mean():5.1f} steps")
    print(f"first 50 episodes: {lengths[:50].mean():.1f}, last 50: {lengths[-50:].mean():.1f} of {LONGEST} steps")

    _, ax = plt.subplots()
    ax.plot(lengths, ".", markersize=3, alpha=0.4, label="an episode")
    ax.plot(np.arange(49, len(lengths)), np.convolve(lengths, np.full(50, 1 / 50), "valid"), label="mean of 50")
    ax.set(xlabel="episode", ylabel="steps until the pole falls", title="Learning to balance a pole")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
