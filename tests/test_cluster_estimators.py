"""Estimators on a Dask cluster: `make engines`; by hand: pip install -e '.[dask,sklearn]' pandas."""

import pickle
import time
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from helpers import compiled_only

import fastbp
import fastbp.dask

preparation = pytest.importorskip("fastbp.dask.preparation")
NEEDED = "distributed", "pandas", "sklearn"
pytestmark = [compiled_only, pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED),
                                                reason="needs pip install fastbp[dask,sklearn] pandas")]

CHUNKS = (300, 1, 0, 250, 250, 200)  # one is empty, one has a row


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as found:
        with Client(found) as client:
            yield client


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal((0, 5, 1000), (1, 10, 100), (1001, 3)).astype("float32")
    return X, np.where(X[:, 0] > 0.5, "b", np.where(X[:, 1] > 5, "aa", "c"))


def lazy(*arrays):
    import dask.array as da

    return [da.from_array(array, chunks=(CHUNKS, *array.shape[1:])) for array in arrays]


def agree(found, alone, X):
    """Whether the same has been learned, to rounding: of sums of shards, in float32."""
    assert found.n_iter_ == alone.n_iter_
    assert np.allclose(found.loss_curve_[:10], alone.loss_curve_[:10], rtol=1e-4)
    assert np.allclose(found.input_scaler_.mean_, alone.input_scaler_.mean_, rtol=1e-12)
    assert np.allclose(found.input_scaler_.scale_, alone.input_scaler_.scale_, rtol=1e-12)
    x, = lazy(X)
    assert np.array_equal(found.predict(x).compute(), found.predict(X))


@pytest.mark.parametrize("settings", [{}, {"class_weight": "balanced"}, {"class_weight": {"aa": 2, "b": 1, "c": 0.5}}])
def test_a_classifier_learns_what_one_process_does(client, data, settings):
    X, y = data
    weights = np.linspace(0, 1, len(X))
    known = dict(hidden_layer_sizes=(6,), standardize=True, random_state=0, max_iter=10, **settings)
    x, labels, w = lazy(X, y, weights)
    found = fastbp.dask.DaskMLPClassifier(**known).fit(x, labels, sample_weight=w, validation_data=(X[:9], y[:9]))
    with pytest.warns(match="Maximum iterations"):
        alone = fastbp.MLPClassifier(solver=fastbp.LBFGS(), **known).fit(X, y, weights, validation_data=(X[:9], y[:9]))
    agree(found, alone, X)
    assert np.allclose(found.validation_loss_curve_, alone.validation_loss_curve_, rtol=1e-2)
    assert found.classes_.tolist() == ["aa", "b", "c"] and found.n_features_in_ == 3
    proba = found.predict_proba(x)
    assert proba.chunks == (CHUNKS, (3,)) and np.array_equal(proba.compute(), found.predict_proba(X))
    assert np.allclose(proba.compute(), alone.predict_proba(X), atol=0.02)
    assert found.score(x, labels) == found.score(X, y) == found.to_local().score(X, y) > 0.8


def test_what_is_fitted_goes_without_a_cluster(client, data):
    from sklearn.base import clone

    X, y = data
    x, labels = lazy(X, (y == "b").astype(int))
    found = fastbp.dask.DaskMLPClassifier((4,), client=client, max_iter=3).fit(x, labels)
    assert found.client_ is client and clone(found).client is client and not hasattr(clone(found), "classes_")
    there = pickle.loads(pickle.dumps(found))
    assert there.client is None and np.array_equal(there.predict_proba(X), found.predict_proba(X))
    local = found.to_local()
    assert type(local) is fastbp.MLPClassifier and local.get_params()["max_iter"] == 3
    assert local.predict_proba(X).shape == (1001, 2) and local.network_ is not found.network_
    several = np.stack([y == "b", y != "aa"], 1).astype(int)
    of_labels = fastbp.dask.DaskMLPClassifier((4,), max_iter=3).fit(*lazy(X, several))
    assert of_labels.predict(x).compute().shape == (1001, 2) and of_labels.predict(x).chunks[1] == (2,)
    assert np.array_equal(of_labels.predict_proba(x).compute(), of_labels.predict_proba(X))


def test_a_regressor_of_frames(client, data):
    import dask.dataframe as dd
    import pandas as pd

    X, _ = data
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=3 * X[:, 0] + X[:, 1], z=X[:, 2], w=np.linspace(0, 1, 1001))
    rows = dd.concat([dd.from_pandas(part, npartitions=1) for part in (frame[:300], frame[300:300], frame[300:])])
    for targets, columns in (("y", "y"), (["y", "z"], list("yz"))):
        known = dict(hidden_layer_sizes=(6,), standardize=True, random_state=0, max_iter=10)
        found = fastbp.dask.DaskMLPRegressor(**known).fit(rows[list("abc")], rows[columns], sample_weight=rows["w"])
        with pytest.warns(match="Maximum iterations"):
            alone = fastbp.MLPRegressor(solver=fastbp.LBFGS(), **known).fit(frame[list("abc")], frame[targets],
                                                                          frame["w"])
        assert np.allclose(found.target_scaler_.scale_, alone.target_scaler_.scale_, rtol=1e-12)
        assert found.feature_names_in_.tolist() == list("abc")
        predicted = found.predict(rows[list("abc")]).compute()
        assert np.array_equal(predicted, found.predict(frame[list("abc")])) and predicted.dtype == np.float64
        assert np.allclose(predicted, alone.predict(frame[list("abc")]), rtol=0.01, atol=1)
        assert found.score(rows[list("abc")], rows[columns]) > 0.9
        with pytest.raises(ValueError, match="X has columns .* expected .*, in this order"):
            found.predict(rows[list("bac")])


def test_a_fit_and_a_score_compute_once_what_samples_and_predictions_share(client, tmp_path):
    import dask
    import dask.array as da

    def read(number):
        (tmp_path / f"{number}-{time.time_ns()}").touch()
        return np.random.default_rng(number).normal(size=(50, 2))

    def rows():  # anew, since Dask may remember for a while how it computed what has the same names
        return da.concatenate([da.from_delayed(dask.delayed(read)(i), (50, 2), float) for i in range(3)])

    X = rows()
    found = fastbp.dask.DaskMLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, X[:, 0], X[:, 1] ** 2)
    assert len(list(tmp_path.iterdir())) == 3
    X = rows()
    assert found.score(X, X[:, 0], sample_weight=X[:, 1] ** 2) <= 1 and len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("backend", ["dask", "loky"])
def test_ordinary_estimators_inside_joblib(client, data, backend):
    import joblib
    from sklearn.model_selection import cross_val_score

    X, y = data
    model = fastbp.MLPClassifier((4,), solver="rprop", max_iter=5, random_state=0, tol=0)
    with pytest.warns(match="Maximum iterations"):
        alone = cross_val_score(model, X, y, cv=2)
    with joblib.parallel_backend(backend, n_jobs=2), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer", UserWarning)  # on threads of this process
        assert np.array_equal(cross_val_score(model, X, y, cv=2), alone)


def test_local_training_of_estimators(client, data):
    X, y = data
    found = fastbp.dask.DaskMLPClassifier((8,), solver="adam", learning_rate_init=0.02, average_every=2, batch_size=20,
                                          max_iter=30, random_state=0, standardize=True).fit(*lazy(X, y))
    assert found.n_iter_ == 30 and found.score(X, y) > 0.9


def test_what_does_not_fit_is_said(client, data):
    from sklearn.exceptions import NotFittedError

    X, y = data
    x, labels = lazy(X, y)
    bad = X.copy()
    bad[600] = np.nan
    model = fastbp.dask.DaskMLPClassifier((4,), max_iter=2)
    for early in (lambda: model.predict(X), lambda: model.to_local(), lambda: model.score(x, labels)):
        with pytest.raises(NotFittedError):
            early()
    with pytest.raises(AttributeError, match="not fitted yet"):
        _ = model.classes_
    before = model.fit(x, labels).predict_proba(X)
    cases = [({}, x, X[:, 0], "y is of type ndarray"), ({}, x, labels[:300], "y has 1 partitions, but X has"),
             ({}, x, lazy(X[:, 0])[0], "of y cannot be classes"),
             ({}, x, lazy(np.where(y == "b", None, y))[0], "cannot be classes"), ({}, x[:0], labels[:0], "no rows"),
             ({}, lazy(bad)[0], labels, "X holds nan in row 600"), ({}, x, lazy(np.stack([y, y], 1))[0], "of 0 and 1"),
             ({"standardize": True}, lazy(bad)[0], labels, "partition 4 of X holds numbers that are not finite"),
             ({"solver": "adam"}, x, labels, "give average_every"), ({"max_iter": 0}, x, labels, "max_iter"),
             ({"average_every": 1, "callbacks": [print]}, x, labels, "no callbacks"),
             ({"class_weight": {"z": 1}}, x, labels, "class_weight"), ({"client": 3}, x, labels, "client is of type"),
             ({"class_weight": "balanced"}, x, lazy(np.stack([y == "b", y == "c"], 1) * 1)[0], "2 labels a sample")]
    for settings, one, other, said in cases:
        kept = model.get_params()
        with pytest.raises((ValueError, TypeError), match=said):
            model.set_params(**settings).fit(one, other)
        assert np.array_equal(model.set_params(**kept).predict_proba(X), before)
    with pytest.raises(ValueError, match="X has shape"):
        model.predict(x[:, :2])
    with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
        model.set_params(standardize=True).fit(x, labels, sample_weight=lazy(np.zeros(1001))[0])
    with pytest.raises(ValueError, match="texts in some partitions"):
        preparation.joined_classes([(np.array(["a"]), np.ones(1)), None, (np.array([1]), np.ones(1))])
