"""How long plans are kept."""

import gc

import numpy as np
import pytest

import fastbp
from fastbp import Network, activations
from fastbp.core import workspaces


def test_the_next_small_network_finds_what_the_last_one_has_used(rng):
    """A search over settings makes one after the other; to lay out their plans anew took a tenth of each fit."""
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))

    def fitted():
        net = Network((3, 4, 2), seed=1)
        net.fit(X, Y, epochs=2, batch_size=8)
        return {plan.panels.ctypes.data for pool in net._workspaces._pools.values() for plan in pool}, net.parameters

    first, parameters = fitted()
    gc.collect()
    second, same = fitted()
    assert first == second != set() and (parameters == same).all()


def test_no_more_is_kept_than_that_of_a_few_small_networks():
    for n in range(2, 2 + 3 * workspaces.KEPT):
        Network((3, n, 1))
    Network((3, workspaces.KEPT_NEURONS, 1))
    gc.collect()
    kept = [spaces.architecture.layers for spaces in workspaces._SHARED.values()]
    mine = [layers for layers in kept if len(layers) == 3 and layers[0] == 3 and layers[2] == 1]
    assert sorted(layers[1] for layers in mine) == list(range(2 + 2 * workspaces.KEPT, 2 + 3 * workspaces.KEPT))


def test_a_network_in_use_keeps_its_own(rng):
    first = Network((3, 4, 2), seed=1)
    for n in range(2, 2 + 2 * workspaces.KEPT):
        Network((3, n, 1))
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
    for factor in (1.0, 2.0):
        fastbp.register_activation(lambda x, a=factor: a * x, name="known twice")
        net = Network((1, 1), output="known twice", seed=0)
        net.parameters[:] = 1, 0
        assert net.predict([[3.0]]) == factor * 3
