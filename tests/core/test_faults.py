"""Every fault gives a clear error before anything changes."""

import pickle

import numpy as np
import pytest

import fastbp
from fastbp import SGD, Adam, Network

X = np.random.default_rng(1).normal(size=(12, 3))
Y = np.random.default_rng(2).normal(size=(12, 2))
NAN, INF = X.copy(), Y.copy()
NAN[5, 1], INF[7, 0] = np.nan, -np.inf

ARRAYS = [
    (dict(X=X[:, :2]), ValueError, r"X has shape \(12, 2\), expected \(n_samples, 3\)"),
    (dict(X=X.ravel()), ValueError, r"X has shape \(36,\), expected \(n_samples, 3\)"),
    (dict(X=X[None]), ValueError, r"X has shape \(1, 12, 3\)"),
    (dict(X=X[:0], Y=Y[:0]), ValueError, "no rows"),
    (dict(X=[], Y=[]), ValueError, "X has shape"),
    (dict(X=NAN), ValueError, "X holds nan in row 5"),
    (dict(Y=INF), ValueError, "Y holds -inf in row 7"),
    (dict(X=X * 1e300), ValueError, "X holds -?inf in row 0: expected finite numbers within float32"),
    (dict(Y=Y[:, :1]), ValueError, r"Y has shape \(12, 1\), expected \(12, 2\)"),
    (dict(Y=Y[:11]), ValueError, r"Y has shape \(11, 2\), expected \(12, 2\): X has 12 rows"),
    (dict(Y=Y.ravel()), ValueError, r"Y has shape \(24,\), expected \(12, 2\)"),
    (dict(X=X.astype(str)), TypeError, "X has dtype <U32, expected numbers"),
    (dict(Y=np.full((12, 2), "a", object)), TypeError, "Y has dtype object"),
    (dict(X=np.full((12, 3), None)), ValueError, "X holds nan in row 0"),
    (dict(X=X.astype(complex)), TypeError, "X has dtype complex128"),
    (dict(X=X.astype("M8[s]")), TypeError, "X has dtype datetime64"),
    (dict(X=[[1, 2, 3], [1, 2]]), ValueError, "X cannot be made an array of numbers"),
    (dict(X=None), TypeError, "X is None"),
    (dict(sample_weight=-np.ones(12)), ValueError, "sample_weight holds -1, expected no negative weight"),
    (dict(sample_weight=np.zeros(12)), ValueError, "sample_weight is 0 for every sample"),
    (dict(sample_weight=np.ones(11)), ValueError, r"sample_weight has shape \(11,\), expected \(12,\)"),
    (dict(sample_weight=np.full(12, np.nan)), ValueError, "sample_weight holds nan"),
    (dict(sample_weight=["a"] * 12), TypeError, "sample_weight has dtype"),
]
SETTINGS = [
    (dict(epochs=0), ValueError, "epochs is 0, expected at least 1"),
    (dict(epochs=1.5), TypeError, "epochs is 1.5, expected a whole number"),
    (dict(batch_size=0), ValueError, "batch_size is 0, expected at least 1"),
    (dict(batch_size=-3), ValueError, "batch_size is -3"),
    (dict(batch_size="32"), TypeError, "batch_size is '32', expected a whole number"),
    (dict(batch_size=True), TypeError, "batch_size is True"),
    (dict(threads=0), ValueError, "threads is 0"),
    (dict(threads=np.array([1])), TypeError, r"threads is array\(\[1\]\), expected a whole number"),
    (dict(threads=int), TypeError, "threads is <class .int.>, expected a whole number"),
    (dict(threads=2**31), ValueError, "threads is 2147483648, expected at most 1024"),
    (dict(optimizer=fastbp.LBFGS(2**40)), ValueError, "remember fewer pairs"),
    (dict(optimizer="adma"), ValueError, "unknown optimizer 'adma': did you mean 'adam'"),
    (dict(optimizer=3), TypeError, "optimizer is 3"),
    (dict(optimizer=Adam), TypeError, "optimizer is <class"),
    (dict(validation=0.0), ValueError, "validation is 0.0, expected a pair"),
    (dict(validation=1.5), ValueError, "validation is 1.5"),
    (dict(validation=0.99), ValueError, "leaves none to train on"),
    (dict(validation=0.25, sample_weight=np.repeat([1.0, 0.0], [9, 3])), ValueError,
     "keeps back the last 3 of 12 rows, and sample_weight is 0 for all rows to validate with: shuffle"),
    (dict(validation=0.25, sample_weight=np.repeat([0.0, 1.0], [9, 3])), ValueError,
     "sample_weight is 0 for all rows to train on"),
    (dict(validation="some"), ValueError, "validation is 'some'"),
    (dict(validation=(X[:, :2], Y)), ValueError, r"X has shape \(12, 2\)"),
    (dict(validation=(X, INF)), ValueError, "Y holds -inf"),
    (dict(shuffle="no"), TypeError, "shuffle is 'no', expected True, False or a callable"),
    (dict(shuffle=np.arange(12)), TypeError, r"shuffle is array\(.*, expected True, False or a callable"),
    (dict(shuffle=None), TypeError, "shuffle is None"),
    (dict(shuffle=lambda order: None, optimizer="rprop"), ValueError,
     "shuffle is a function, but Rprop takes all samples in a step and knows no order: leave it out"),
    (dict(callbacks=[5]), TypeError, r"callbacks\[0\] is 5, expected a callable"),
    (dict(callbacks=print), TypeError, "expected a list of callables"),
    (dict(callbacks=None), TypeError, "expected a list of callables"),
    (dict(callbacks=np.array(1)), TypeError, "expected a list of callables"),
]


@pytest.fixture
def trained():
    net = Network((3, 4, 2), seed=0).fit(X, Y, epochs=3)
    before = net.parameters.copy(), net.history, len(net.history), repr(net), net.generator.bit_generator.state
    yield net
    assert (net.parameters == before[0]).all() and net.history is before[1] and len(net.history) == before[2]
    assert repr(net) == before[3] and net.generator.bit_generator.state == before[4]
    assert (net.copy().fit(X, Y, epochs=1, resume=True).history.epoch == [1, 2, 3, 4]).all()


@pytest.mark.parametrize(("given", "error", "message"), ARRAYS,
                         ids=[row[2][:30] + str(i) for i, row in enumerate(ARRAYS)])
@pytest.mark.parametrize("member", ["fit", "cost", "gradient", "cost_and_gradient"])
def test_arrays(member, given, error, message, trained):
    with pytest.raises(error, match=message):
        getattr(trained, member)(**dict(X=X, Y=Y) | given)


@pytest.mark.parametrize(("given", "error", "message"), SETTINGS, ids=[str(row[0])[:40] for row in SETTINGS])
def test_settings(given, error, message, trained):
    with pytest.raises(error, match=message):
        trained.fit(X, Y, **given)


@pytest.mark.parametrize(("given", "message"), [(X[:, :2], r"expected \(n_samples, 3\)"),
                                                (X[:0, :2], r"X has shape \(0, 2\)"),
                                                (np.ones(4), r"X has shape \(4,\)")])
def test_predict(given, message, trained):
    with pytest.raises(ValueError, match=message):
        trained.predict(given)


CLASSES = [
    ([0, 1, 2, 3, -1], "Y holds class index -1, expected 0 to 3"),
    ([0, 1, 2, 3, 4], "Y holds class index 4, expected 0 to 3"),
    ([0, 1, 2, 3, 1.5], "Y holds fractions"),
    ([0, 1, 2, 3, np.nan], "Y holds nan"),
    (np.ones((5, 4)), "row 0 of Y sums to 4, expected 1"),
    (np.eye(4)[[0, 1, 2, 3, 0]] * [[1], [1], [-1], [1], [1]], "expected numbers that are not negative"),
    (np.ones((5, 3)), r"expected \(5, 4\): .*class indices"),
]


@pytest.mark.parametrize(("classes", "message"), CLASSES)
def test_classes(classes, message):
    net = Network((3, 4), cost="cross_entropy")
    with pytest.raises(ValueError, match=message):
        net.fit(X[:5], classes)


@pytest.mark.parametrize(("cost", "y", "message"), [
    ("binary_cross_entropy", 2, "Y holds 2, expected probabilities from 0 to 1"),
    ("binary_cross_entropy", -1, "Y holds -1, expected probabilities from 0 to 1"),
    ("poisson", -1, "Y holds -1, expected numbers that are not negative"),
])
def test_targets_out_of_range(cost, y, message):
    with pytest.raises(ValueError, match=message):
        Network((3, 1), cost=cost).cost(X, [y] * 12)


ARCHITECTURES = [
    (dict(layers=(0, 1)), ValueError, r"layers\[0\] is 0, expected at least 1"),
    (dict(layers=(2, -4, 1)), ValueError, r"layers\[1\] is -4"),
    (dict(layers=(2,)), ValueError, "expected at least inputs and outputs"),
    (dict(layers=()), ValueError, "expected at least inputs and outputs"),
    (dict(layers=(2, 1.5)), TypeError, r"layers\[1\] is 1.5, expected a whole number"),
    (dict(layers=3), TypeError, "layers is 3"),
    (dict(layers=np.array(3)), TypeError, r"layers is array\(3\)"),
    (dict(layers=[[1, 2], [3]]), TypeError, r"layers\[0\] is \[1, 2\], expected a whole number"),
    (dict(layers="23"), TypeError, "layers is '23'"),
    (dict(layers=(10**7, 10**7)), ValueError, "bytes, this machine has"),
    (dict(layers=(2**62, 2**62, 2**62)), ValueError, "bytes, this machine has"),
    (dict(activation="tahn"), ValueError, "unknown activation 'tahn': did you mean 'tanh'"),
    (dict(activation=5), TypeError, "activation is 5, expected"),
    (dict(activation=("tanh", "tanh")), ValueError, "activation has 2 names, expected 1"),
    (dict(activation="softmax"), ValueError, "output layer only"),
    (dict(output="sofmax"), ValueError, "unknown activation 'sofmax': did you mean 'softmax'"),
    (dict(cost="squared_eror"), ValueError, "unknown cost 'squared_eror': did you mean 'squared_error'"),
    (dict(cost=5), TypeError, "cost is 5"),
    (dict(dtype="float16"), ValueError, "dtype is 'float16', expected 'float32' or 'float64'"),
    (dict(dtype="text"), ValueError, "dtype is 'text'"),
    (dict(dtype=str), ValueError, "dtype is"),
    (dict(dtype=int), ValueError, "dtype is 'int64'"),
    (dict(init="glorot"), ValueError, "unknown init 'glorot': did you mean 'glorot_"),
    (dict(seed=-1), ValueError, "seed is -1"),
    (dict(seed=1.5), TypeError, "seed is 1.5, expected a whole number"),
]


@pytest.mark.parametrize(("given", "error", "message"), ARCHITECTURES, ids=[str(row[0]) for row in ARCHITECTURES])
def test_architecture(given, error, message):
    with pytest.raises(error, match=message):
        Network(**dict(layers=(2, 3, 1)) | given)


def test_names_with_nothing_near_list_what_there_is():
    with pytest.raises(ValueError, match="unknown cost 'xyzzy': Known: absolute_error, .*squared_error"):
        Network((2, 1), cost="xyzzy")


@pytest.mark.parametrize("method", [SGD, Adam])
@pytest.mark.parametrize("rate", [0, -0.1, np.nan, np.inf, "0.1", None])
def test_learning_rate(method, rate):
    with pytest.raises(ValueError, match=f"{method.__name__}: learning_rate is .*expected a positive number"):
        method(rate)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: SGD(0.1, momentum=1.0), "SGD: momentum is 1.0"),
    (lambda: SGD(0.1, momentum=-0.1), "SGD: momentum is -0.1"),
    (lambda: SGD(0.1, nesterov=True), "nesterov=True needs a momentum above 0"),
    (lambda: Adam(beta1=1.0), "Adam: beta1 is 1.0"),
    (lambda: Adam(beta2=np.nan), "Adam: beta2 is nan"),
    (lambda: Adam(epsilon=0), "Adam: epsilon is 0"),
])
def test_optimizers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_optimizers_are_frozen():
    with pytest.raises(AttributeError):
        Adam().learning_rate = 2.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_divergence(dtype, threads):
    """The parameters are those of the last finite epoch, the epoch and the learning rate are named."""
    rate = 30.0
    net = Network((3, 4, 2), "relu", seed=0, dtype=dtype)
    with pytest.raises(fastbp.DivergenceError, match=r"diverged in epoch \d+ with learning rate 30: ") as caught:
        net.fit(X, Y, epochs=1000, optimizer=SGD(rate), batch_size=5, threads=threads)
    epochs = caught.value.epoch - 1
    assert caught.value.learning_rate == rate and f"epoch {epochs + 1} " in str(caught.value)
    assert len(net.history) == epochs and np.isfinite(net.history.cost).all()
    assert np.isfinite(net.parameters).all()
    again = Network((3, 4, 2), "relu", seed=0, dtype=dtype)
    if epochs:
        again.fit(X, Y, epochs=epochs, optimizer=SGD(rate), batch_size=5)
    assert (net.parameters == again.parameters).all()
    net.reset(0)
    assert len(net.fit(X, Y, epochs=2).history) == 2


def test_divergence_in_the_last_update_of_an_epoch():
    """One update an epoch: its cost is finite, what it leaves is not. That epoch is the one named."""
    net = Network((1, 1), dtype="float32", seed=0)
    net.parameters[:] = 1.0
    seen = []
    with pytest.raises(fastbp.DivergenceError) as caught:
        net.fit([[1e18]], [[0.0]], epochs=5, optimizer=SGD(1e30), callbacks=[lambda r: seen.append(r.epoch)])
    assert caught.value.epoch == 1 and len(net.history) == 0 and seen == []
    assert (net.parameters == 1).all()


def test_divergence_error_pickles():
    error = pickle.loads(pickle.dumps(fastbp.DivergenceError(7, 0.5)))
    assert (error.epoch, error.learning_rate) == (7, 0.5) and "epoch 7" in str(error)


@pytest.mark.parametrize("batch", [1, 4])
def test_an_infinite_cost_is_divergence_though_the_parameters_stay_finite(batch):
    """The pinball cost overflows in the sum of its outputs; its slopes are q and q - 1."""
    net = Network((1, 2), cost="quantile", dtype="float32", seed=0)
    X, Y = np.zeros((4, 1)), np.full((4, 2), 3e38)
    Y[:, 1] *= -1
    net.parameters[:] = 0, 0, -3e38, 3e38
    before = net.parameters.copy()
    with pytest.raises(fastbp.DivergenceError, match="epoch 1 "):
        net.fit(X, Y, epochs=1, batch_size=batch, optimizer=SGD(1e-3))
    assert (net.parameters == before).all() and len(net.history) == 0
