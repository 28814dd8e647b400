"""What formats know of a network: everything that its outputs depend on, in arrays of their own."""

import numpy as np
import pytest

import fastbp
from fastbp.formats import chain

NETWORKS = [
    lambda: fastbp.Network((3, 5, 4, 2), ["mish", "tanh"], seed=0),
    lambda: fastbp.Network((3, 5, 1), fastbp.parametric("selu"), "logistic", "binary_cross_entropy", seed=1),
    lambda: fastbp.Network((3, 2), output="softmax", cost="cross_entropy", bias=False, dtype="float64", seed=2),
]


@pytest.mark.parametrize("make", NETWORKS, ids=["plain", "parametric", "softmax"])
def test_a_chain_builds_the_network_that_it_was_taken_from(make):
    network = make()
    X = np.random.default_rng(0).normal(size=(20, 3))
    for alphas in network.alphas:
        alphas[:] = np.linspace(0.5, 1.5, alphas.size)
    found = chain.described(network)
    again = chain.build(fastbp.Network, found.layers, dtype=network.dtype)
    assert found.sizes == network.layers
    assert again.layers == network.layers
    assert again.cost_function is network.cost_function
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    network.parameters[:] = 0
    assert found.layers[0].weights.any()


def test_encoders_come_along():
    encoders = [fastbp.encoders.Periodic([0], frequencies=3, size=2), fastbp.encoders.OneHot(1, categories=4)]
    network = fastbp.Network((2, 3, 1), encoders=encoders, scaling=True, seed=0)
    found = chain.described(network)
    assert found.n_inputs == 2
    assert found.encoders == tuple(network.encoders)
    assert found.layers[0].weights.shape == (3, network.encoded_size)
    np.testing.assert_array_equal(found.factors, network.scaling_factors)
    for values, own in zip(found.encoded, network.encoder_parameters, strict=True):
        assert values.keys() == own.keys()
        for name in own:
            np.testing.assert_array_equal(values[name], own[name])


@pytest.mark.parametrize(("shapes", "value", "words"), [
    ([(3, 2), (1, 4)], 1.0, "layer 2 has 4 inputs, expected 3"),
    ([(3, 2)], np.nan, "weights of layer 1"),
    ([(3, 2)], 1e300, "in float32"),
])
def test_what_is_no_network_is_refused(shapes, value, words):
    row = fastbp.activations.get("tanh")
    layers = [chain.Layer(np.full(shape, value), None, row) for shape in shapes]
    with pytest.raises(ValueError, match=words):
        chain.build(fastbp.Network, layers)
