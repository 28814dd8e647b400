"""What other libraries call arguments: each is answered by what fastbp has in its place, and nothing is changed."""

import inspect
import re

import numpy as np
import pytest

import fastbp
from fastbp import Network
from fastbp.util import keywords

X, Y = np.zeros((4, 2)), np.zeros((4, 1))

ARGUMENT = re.compile(r"(?<![.\w])(\w+)=")
"""In a hint, what is to be written; those of what stands in it, as of `fastbp.Regularization`, too."""


@pytest.mark.parametrize(("name", "value", "words"), [
    ("lr", 0.01, r"optimizer=fastbp.Adam\(0.01\)"), ("weight_decay", 0.1, "Regularization"),
    ("validation_data", (X, Y), r"validation=\(X, Y\)"), ("validation_split", 0.2, "validation=0.2"),
    ("verbose", 1, "progress=True"), ("random_state", 0, "seed="), ("monitor", "loss", "EarlyStopping"),
    ("epoch", 3, "epochs=3"), ("batchsize", 3, "batch_size=3"), ("epocks", 3, "did you mean 'epochs'"),
    ("banana", 3, "it has X, Y, epochs, batch_size"),
])
def test_fit(name, value, words):
    net = Network((2, 1), seed=0)
    before = net.parameters.copy()
    with pytest.raises(TypeError, match=f"fit has no argument {name!r}.*{words}"):
        net.fit(X, Y, **{name: value})
    np.testing.assert_array_equal(net.parameters, before)


def test_arguments_without_a_name():
    with pytest.raises(TypeError, match=r"fit takes 2 arguments without a name, X, Y, but got 3: .* epochs=100"):
        Network((2, 1)).fit(X, Y, 100)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("learning_rate", 0.1, "asked for by fit"), ("epochs", 3, r"fit\(X, Y, epochs=...\)"),
    ("random_state", 3, "seed=3"), ("loss", "mse", "cost='mse'"),
    ("hidden_layer_sizes", (3,), r"Network\(\(2, 32, 1\)"),
    ("dropout", 0.1, r"Regularization\(dropout=0.1\)"), ("sead", 1, "did you mean 'seed'"),
])
def test_network(name, value, words):
    with pytest.raises(TypeError, match=f"Network has no argument {name!r}.*{words}"):
        Network((2, 1), **{name: value})


@pytest.mark.parametrize(("function", "hints"), [(Network.fit, keywords.FIT), (Network.__init__, keywords.NETWORK)])
def test_hints_are_of_what_is_not_there_and_say_what_is(function, hints):
    own = set(inspect.signature(function).parameters)
    there = {*own, *inspect.signature(Network.fit).parameters, *inspect.signature(Network).parameters,
             *inspect.signature(fastbp.Regularization).parameters, *inspect.signature(fastbp.SGD).parameters, "{name}"}
    names = [name for words in hints for name in words.split()]
    assert len(set(names)) == len(names) and not own & set(names)
    for hint in hints.values():
        assert set(ARGUMENT.findall(hint)) <= there
