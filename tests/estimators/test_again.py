"""`partial_fit` again and again: what is kept from call to call changes nothing but the time."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn import neural_network as theirs

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp.estimators import _epochs
from fastbp.estimators._again import MOST_NUMBERS
from fastbp.training.minibatch import MiniBatches

X = np.random.default_rng(0).uniform(-1, 1, (60, 4))
Y = np.sin(X @ [1, 2, 3, 4.0])
CLASSES = np.digitize(Y, [-0.5, 0.5])
SIZES = 32, 32, 32, 17, 32, 17, 17, 17, 1, 1
pytestmark = pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger")


def learn(mlp, n=32, rows=slice(0, None)):
    """Call it once, and return all that a user can see of it."""
    X_, Y_, C_ = X[rows][:n], Y[rows][:n], CLASSES[rows][:n]
    if isinstance(mlp, MLPClassifier):
        mlp.partial_fit(X_, C_, classes=[0, 1, 2])
    else:
        mlp.partial_fit(X_, Y_)
    history = mlp.network_.history
    state = mlp.network_.optimizer_state()
    return [*mlp.coefs_, *mlp.intercepts_, *state.values(), list(state), mlp.loss_, mlp.best_loss_, mlp.loss_curve_,
            mlp.n_iter_, mlp.t_, mlp._no_improvement_count, history.cost, len(history)]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def fits(monkeypatch):
    """Return what has each call of an estimator be a fit of its own."""
    def fit(mlp, *given, **named):
        with monkeypatch.context() as patch:
            patch.setattr(_epochs.Epochs, "_like", lambda self, data: None)
            return learn(mlp, *given, **named)
    return fit


@pytest.mark.parametrize("settings", [
    dict(), dict(kind=MLPClassifier), dict(kind=MLPClassifier, batch_size=8, solver="sgd"), dict(alpha=0),
    dict(solver="sgd"), dict(solver="sgd", learning_rate="invscaling", alpha=0),
    dict(solver="sgd", learning_rate="adaptive", tol=10, n_iter_no_change=1), dict(batch_size=8), dict(batch_size=1),
    dict(shuffle=False), dict(dropout=0.3), dict(solver="rmsprop"), dict(solver=fastbp.AdamW(0.01), verbose=False),
    dict(dtype="float32"), dict(batch_size=8, n_threads=2), dict(random_state=np.random.RandomState(3)),
], ids=str)
def test_calls_have_the_bits_of_fits(settings, fits):
    settings = {"kind": MLPRegressor, "hidden_layer_sizes": (5, 3), "random_state": 0} | settings
    kind = settings.pop("kind")
    one, other = (kind(**copy.deepcopy(settings))
                  for _ in range(2))
    for n in SIZES:
        same(learn(one, n), fits(other, n))
    assert one._again is not None and not hasattr(other, "_again")


def test_losses_are_those_of_scikit_learn():
    one, other = (module.MLPRegressor(hidden_layer_sizes=(5,), random_state=0) for module in (fastbp, theirs))
    for _ in range(6):
        one.partial_fit(X, Y)
        other.partial_fit(X, Y)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], rtol=1e-10)


@pytest.mark.parametrize("change", [
    lambda mlp: mlp.set_params(learning_rate_init=0.1), lambda mlp: mlp.set_params(alpha=0.3),
    lambda mlp: mlp.set_params(dropout=0.2), lambda mlp: mlp.set_params(batch_size=5),
    lambda mlp: mlp.set_params(shuffle=False), lambda mlp: mlp.set_params(random_state=7),
    lambda mlp: mlp.set_params(random_state=np.random.RandomState(5)),
    lambda mlp: mlp.set_params(callbacks=[lambda record: None]), lambda mlp: mlp.set_params(solver="sgd"),
    lambda mlp: mlp.network_.set_optimizer_state(learning_rate=0.1, v=np.ones(mlp.network_.n_parameters)),
    lambda mlp: mlp.network_.parameters.fill(0.1), lambda mlp: mlp.coefs_.__setitem__(0, np.ones((4, 5))),
    lambda mlp: mlp.network_.train_on_batch(X, Y),
    lambda mlp: mlp.network_.fit(X, Y, epochs=1, shuffle=False, resume=True),
    lambda mlp: mlp.network_.fit(X, Y, epochs=1, shuffle=False), lambda mlp: mlp.fit(X[:9], Y[:9]),
    lambda mlp: mlp.network_.fit(X, Y, epochs=1, shuffle=False, resume=True, regularization=fastbp.Regularization(
        trainable=np.arange(mlp.network_.n_parameters) % 2 == 0)),
    lambda mlp: mlp.network_.fit(X, Y, epochs=1, shuffle=False, resume=True, optimizer=fastbp.Adam(0.1, beta1=0.5)),
    lambda mlp: mlp.set_params(learning_rate_init=0.1).partial_fit(X, Y).set_params(learning_rate_init=0.001),
])
def test_what_is_changed_between_calls_acts(change, fits):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), random_state=0, max_iter=2) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
    assert one._again is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two epochs are few
        change(one), change(other)
    for _ in range(4):
        same(learn(one), fits(other))


def test_nothing_holds_the_samples_of_a_call_that_has_ended():
    """`conversion.hold` has memory stay where it is: a user may want to resize an array, or to close its file."""
    mlp, X_, Y_ = MLPRegressor(hidden_layer_sizes=(5,), random_state=0), X.copy(), Y.copy()
    for _ in range(3):
        mlp.partial_fit(X_, Y_)
    assert mlp._again is not None and mlp._again.bound is not None
    for array in (X_, Y_):
        array.resize(1, refcheck=False)  # which is refused while it is held


def test_an_early_stopping_of_a_fit_before_begins_to_wait_anew():
    mlp = MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
    for _ in range(3):
        learn(mlp)
    mlp.network_.fit(X, Y, epochs=2, shuffle=False, resume=True, callbacks=[fastbp.EarlyStopping(patience=5)])
    assert mlp.network_._progress.stopping
    learn(mlp)
    assert mlp._again.progress is mlp.network_._progress and not mlp.network_._progress.stopping


def test_weights_of_one_call_are_not_those_of_the_next(fits):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), batch_size=1, alpha=0.1, random_state=0) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
        for mlp in (one, other):
            mlp.partial_fit(X[:32], Y[:32], np.linspace(1, 3, 32))
        same(learn(one), fits(other))
        same(learn(one), fits(other))


def test_estimators_that_share_their_workspaces_do_not_meet(fits):
    ones, others = ([MLPRegressor(hidden_layer_sizes=(5,), random_state=i, dropout=0.1 * i) for i in range(3)]
                    for _ in range(2))
    for _ in range(4):
        for one, other in zip(ones, others, strict=True):
            same(learn(one), fits(other))
    pool = ones[0]._again.bound.pool
    taken = pool.pop()  # as another thread would
    same(learn(ones[0]), fits(others[0]))
    pool.append(taken)
    count = len(pool)
    for _ in range(2):
        same(learn(ones[0]), fits(others[0]))
        assert len(pool) == count and ones[0]._again.bound.plan is taken


def test_no_two_fits_have_a_tuner_at_the_same_time():
    mlp = MLPRegressor(hidden_layer_sizes=(5, 6), random_state=0, n_threads=2)  # no other test has such workspaces
    for _ in range(3):
        learn(mlp)
    tuners, steps = mlp.network_._workspaces.tuners, mlp._again.steps
    (like, tuner), = tuners.items()
    learn(mlp)
    assert steps.tuner is tuners[like] is tuner  # what one call has learned the next knows
    del tuners[like]  # as a fit in another thread would take it
    learn(mlp)
    assert mlp._again.steps is steps and steps.tuner is tuners[like] is not tuner


def test_an_estimator_that_is_copied_begins_with_nothing_kept(fits):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), random_state=0) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
    for twin in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert not hasattr(twin, "_again")
        for _ in range(3):
            learn(twin)
    same(learn(one), fits(other))


@pytest.mark.parametrize("wrong, says", [
    ((X[:32, :3], Y[:32]), "3 features"), ((X[:32], Y[:31]), "inconsistent numbers of samples"),
    ((np.where(X > 0.9, np.nan, X), Y), "Input X contains NaN"), ((X[:32], np.full(32, np.inf)), "infinity"),
    ((X[:32], np.ones((32, 2))), "y needs 2 outputs"),
])
def test_what_is_wrong_is_said_as_ever_and_changes_nothing(wrong, says, fits):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), random_state=0) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
    with pytest.raises(ValueError, match=says):
        one.partial_fit(*wrong)
    same(learn(one), fits(other))


def test_a_call_that_diverges_leaves_the_parameters(fits):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", batch_size=8, random_state=0) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
    for mlp in (one, other):
        mlp.network_.parameters.fill(0.2)
        mlp.network_.set_optimizer_state(learning_rate=1e300)
        mlp.set_params(learning_rate="adaptive")  # so that it stays
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            learn(mlp) if mlp is one else fits(mlp)
        assert (mlp.network_.parameters == 0.2).all()
        assert mlp.network_._progress is None
    same(one.coefs_, other.coefs_)
    for mlp in (one, other):
        mlp.network_.parameters.fill(0.1)
    for _ in range(4):  # with an optimizer that begins anew
        same(learn(one), fits(other))


def test_ctrl_c_ends_a_call_and_leaves_all_in_order(fits, monkeypatch):
    one, other = (MLPRegressor(hidden_layer_sizes=(5,), batch_size=8, random_state=0) for _ in range(2))
    for _ in range(3):
        learn(one), fits(other)
    pool, run = one._again.bound.pool, MiniBatches.run
    count = len(pool)

    def interrupted(self, last, epochs_ended):
        if blocks:
            self.blocks = blocks
            run(self, last, epochs_ended)
        raise KeyboardInterrupt

    for blocks in (0, 2, 9):  # before a batch, in the midst of the epoch, at its end
        for mlp in (one, other):
            with monkeypatch.context() as patch:
                patch.setattr(MiniBatches, "run", interrupted)
                with pytest.warns(UserWarning, match="Training interrupted by user"):
                    learn(mlp) if mlp is one else fits(mlp)
        assert len(pool) == count and not one.network_._lock.locked()
        assert len(one.network_.history) == len(other.network_.history) == 3 + blocks // 9
    for _ in range(3):
        same(learn(one)[:5], fits(other)[:5])


def test_nothing_is_kept_of_large_batches_and_networks():
    rows = MOST_NUMBERS // 4 + 1
    large, wide = MLPRegressor(hidden_layer_sizes=(2,), random_state=0), MLPRegressor(
        hidden_layer_sizes=(180, 180), random_state=0)
    many = np.resize(X, (rows, 4))
    for _ in range(3):
        large.partial_fit(many, many[:, 0])
        learn(wide)
    assert not hasattr(large, "_again") and not hasattr(wide, "_again") and wide.network_.n_parameters > MOST_NUMBERS
