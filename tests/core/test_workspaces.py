"""How long plans are kept."""

import gc

import numpy as np
import pytest
from helpers import few

import fastbp
from fastbp import Network, activations, costs
from fastbp.core import workspaces


def test_the_next_small_network_finds_what_the_last_one_has_used(rng, monkeypatch):
    """A search over settings makes one after the other; to lay out their plans anew took a fifth of each fit."""
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))

    def fitted():
        net = Network((3, 4, 2), seed=1)
        net.fit(X, Y, epochs=2, batch_size=8)
        return {plan.panels.ctypes.data for pool in net._workspaces._pools.values() for plan in pool}, net.parameters

    first, parameters = fitted()
    gc.collect()
    monkeypatch.setattr(workspaces.link, "prepared", None)  # memory that was given back may lie where it lay
    second, same = fitted()
    assert first == second != set() and (parameters == same).all()


def test_no_more_is_kept_than_a_few_small_plans(rng):
    for n in range(2, 2 + 2 * workspaces.KEPT):
        net = Network((3, n, 1))
        for rows in few((4, 100, 2000), (4, 10)):
            net.fit(rng.normal(size=(rows, 3)), rng.normal(size=rows), epochs=1, batch_size=rows, threads=2)
        Network((n, 1))  # has made no plan
    del net
    gc.collect()
    kept, last = list(workspaces._KEPT.values()), range(2 + workspaces.KEPT, 2 + 2 * workspaces.KEPT)
    assert [spaces.architecture.layers[1] for spaces in kept] == list(last)
    for spaces in kept:
        plans = [plan for pool in spaces._pools.values() for plan in pool]
        assert 0 < sum(plan.panels.nbytes for plan in plans) <= workspaces.KEPT_BYTES


def test_of_large_networks_nothing_is_kept(monkeypatch):
    def gone(layers):
        net = Network(layers)
        net.predict(np.zeros((4, 3)))
        return sum(plan.panels.nbytes for pool in net._workspaces._pools.values() for plan in pool)

    monkeypatch.setattr(workspaces, "KEPT_BYTES", gone((3, 2, 1)))
    workspaces._KEPT.clear()
    gone((3, 200, 1))
    gc.collect()
    assert not workspaces._KEPT
    gone((3, 2, 1))
    gc.collect()
    assert workspaces._KEPT


def test_a_network_in_use_keeps_its_own(rng):
    first = Network((3, 4, 2), seed=1)
    first.predict(np.zeros((4, 3)))
    for n in range(2, 2 + 2 * workspaces.KEPT):
        Network((3, n, 1)).predict(np.zeros((4, 3)))
    assert Network((3, 4, 2))._workspaces is first._workspaces
    assert np.isfinite(first.predict(rng.normal(size=(4, 3)))).all()


def test_names_that_are_known_are_looked_up_anew_where_their_meaning_may_change(monkeypatch):
    """What describes a network is checked once, but not what a user registers, nor numbers of other kinds."""
    made = [Network((2, 3, 1), "tanh", seed=1) for _ in range(2)]
    assert made[0]._architecture is made[1]._architecture
    with pytest.raises(TypeError, match="layers"):
        Network((2.0, 3, 1), "tanh")
    with pytest.raises(ValueError, match="expected 1: one for each hidden layer"):
        Network((2, 3, 1), ["tanh", "tanh"])
    monkeypatch.setattr(activations, "ACTIVATIONS", dict(activations.ACTIVATIONS))
    monkeypatch.setattr(costs, "COSTS", dict(costs.COSTS))
    for factor in (1.0, 2.0):
        for name in ("known twice", "quantile"):  # which is the name of a built-in cost
            fastbp.register_activation(lambda x, a=factor: a * x, name=name)
            net = Network((1, 1), output=name, seed=0)
            net.parameters[:] = 1, 0
            assert net.predict([[3.0]]) == factor * 3
        fastbp.register_cost(lambda y, o, a=factor: a * (y - o) ** 2, name="relu")
        net = Network((1, 1), cost="relu", seed=0)
        net.parameters[:] = 1, 0
        assert net.cost([[3.0]], [[1.0]]) == factor * 4
