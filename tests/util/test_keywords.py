"""What other libraries call arguments: each is answered by what fastbp has in its place, and nothing is changed."""

import inspect
import re

import numpy as np
import pytest

import fastbp
from fastbp import Network
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import SCHEDULES
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


@pytest.mark.parametrize(("name", "value", "words"), [
    ("lr", 0.1, r"optimizer=fastbp.Adam\(0.1\)"), ("sample_weight", [1.0] * 4, r"fit\(X, Y, sample_weight"),
    ("epochs", 3, "all rows of X are one batch"), ("mising", "ignore", "did you mean 'missing'"),
])
def test_train_on_batch(name, value, words):
    net = Network((2, 1), seed=0)
    before = net.parameters.copy()
    with pytest.raises(TypeError, match=f"train_on_batch has no argument {name!r}.*{words}"):
        net.train_on_batch(X, Y, **{name: value})
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize(("kind", "name", "value", "words"), [
    (fastbp.Adam, "lr", 0.1, "in fastbp it is learning_rate=0.1$"), (fastbp.Adam, "betas", (0.9, 0.99), "beta1=0.9"),
    (fastbp.Adam, "weight_decay", 0.1, r"fastbp.AdamW\("), (fastbp.RMSprop, "rho", 0.9, "decay=0.9"),
    (fastbp.LBFGS, "lr", 0.1, "; it has memory$"), (fastbp.LBFGS, "m", 5, "memory=5"),
    (fastbp.ConjugateGradient, "tol", 0.1, "it has none"), (fastbp.SGD, "nesterow", 1, "did you mean 'nesterov'"),
    (fastbp.EarlyStopping, "monitor", "val_loss", "validation cost"),
    (fastbp.EarlyStopping, "restore_best_weights", True, "restore_best=True"),
    (fastbp.schedules.Cosine, "T_max", 30, "epochs=30"), (fastbp.schedules.Step, "gamma", 0.5, "factor=0.5"),
    (fastbp.schedules.ReduceOnPlateau, "min_lr", 0.1, "lowest=0.1"),
])
def test_settings(kind, name, value, words):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no argument {name!r}.*{words}"):
        kind(**{name: value})


@pytest.mark.parametrize("hints", [keywords.OPTIMIZER, keywords.EARLY_STOPPING, keywords.SCHEDULE])
def test_each_hint_of_a_setting_is_for_some_class(hints):
    kinds = {id(keywords.OPTIMIZER): OPTIMIZERS.values(), id(keywords.SCHEDULE): SCHEDULES.values()}
    settings = [set(inspect.signature(kind).parameters) for kind in kinds.get(id(hints), [fastbp.EarlyStopping])]
    for words, hint in hints.items():
        name = hint.partition("=")[0]
        answered = [each for each in settings if not name.isidentifier() or name in each]
        assert all(any(word not in each for each in answered) for word in words.split())


@pytest.mark.parametrize(("function", "hints"), [
    (Network.train_on_batch, keywords.STEP), (Network.fit, keywords.FIT), (Network.__init__, keywords.NETWORK)])
def test_hints_are_of_what_is_not_there_and_say_what_is(function, hints):
    own = set(inspect.signature(function).parameters)
    there = {*own, *inspect.signature(Network.fit).parameters, *inspect.signature(Network).parameters,
             *inspect.signature(fastbp.Regularization).parameters, *inspect.signature(fastbp.SGD).parameters, "{name}"}
    names = [name for words in hints for name in words.split()]
    assert len(set(names)) == len(names) and not own & set(names)
    for hint in hints.values():
        assert set(ARGUMENT.findall(hint)) <= there
