"""Ensembles in files: whole, with all that they know, and everything checked."""

import json
import os

import numpy as np
import pytest
from helpers import network
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

import fastbp
from fastbp import Ensemble, Network
from fastbp.persistence.networks import described_network

SETTINGS = {"epochs": 2, "batch_size": 8}


def data(kind, rng, n=20):
    X = rng.normal(size=(n, 3))
    if kind == "numbers":
        return network((3, 4, 2), dtype="float64"), X, X[:, :2]
    if kind == "means and variances":
        return network((3, 4, 4), cost="gaussian_nll", dtype="float64"), X, X[:, :2]
    if kind == "answers":
        return network((3, 2), cost="binary_cross_entropy"), X, (X[:, :2] > 0).astype(float)
    Y = rng.integers(3, size=n)
    return network((3, 4, 3), cost="cross_entropy"), X, Y if kind == "classes" else np.full((n, 3), 1 / 3)


def ensembles(kind, rng):
    net, X, Y = data(kind, rng)
    weights = rng.uniform(1, 2, len(X))
    yield Ensemble([net, net.copy().reset(3)])
    yield Ensemble.folds(net, X, Y, k=3, seed=0, **SETTINGS)
    yield Ensemble.bootstrap(net, X, Y, n=2, seed=0, sample_weight=weights, **SETTINGS).calibrate(X[:11], Y[:11])
    yield Ensemble([net]).calibrate(X, Y)


def all_answers(ensemble, X):
    """What an ensemble says, with the errors where it knows nothing."""
    found = [ensemble.predict_all(X), ensemble.std(X), *ensemble.uncertainty(X)]
    for ask in (lambda: ensemble.predict_interval(X), lambda: ensemble.predict_interval(X, 0.8, "cv+"),
                lambda: ensemble.predict_set(X, 0.8), lambda: ensemble.oob_score, lambda: ensemble.oob_predictions,
                lambda: ensemble.unseen):
        try:
            found.append(ask())
        except (AttributeError, ValueError) as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize("kind", ["numbers", "means and variances", "answers", "classes", "probabilities"])
def test_round_trip(kind, rng, tmp_path):
    X = rng.normal(size=(7, 3))
    for ensemble in ensembles(kind, rng):
        ensemble.save(tmp_path / "e")
        again = Ensemble.load(str(tmp_path / "e"))
        assert type(again) is Ensemble and repr(again) == repr(ensemble)
        for one, other in zip(again, ensemble, strict=True):
            np.testing.assert_array_equal(one.parameters, other.parameters)
            assert one.architecture() == other.architecture() and one.parameters.flags.writeable
        for one, other in zip(all_answers(again, X), all_answers(ensemble, X), strict=True):
            np.testing.assert_array_equal(one, other)
        n_targets = again[0].layers[-1] // again[0].cost_function.outputs_per_target
        again[0].fit(X, np.full((7, n_targets), 1 / n_targets), epochs=1)
        before = (tmp_path / "e").read_bytes()
        Ensemble.load(tmp_path / "e").save(tmp_path / "e")
        assert (tmp_path / "e").read_bytes() == before
    assert os.listdir(tmp_path) == ["e"]


def test_members_of_all_sizes_and_first_weights(rng, tmp_path):
    networks = [network((3, 2), init=[rng.normal(size=(2, 3))], bias=False), network((3, 5, 4, 2), "relu", seed=9),
                network((3, 4, 2), cost=fastbp.huber(0.3), init="he_normal")]
    Ensemble(networks).save(tmp_path / "e")
    again = Ensemble.load(tmp_path / "e")
    for one, other in zip(again, networks, strict=True):
        assert one.architecture() == other.architecture()
        np.testing.assert_array_equal(one.parameters, other.parameters)
    np.testing.assert_array_equal(again[0].reset().parameters, networks[0].copy().reset().parameters)  # those given
    assert load_file(tmp_path / "e")["members.1.weights.2"].shape == (2, 4)


def test_a_subclass_and_functions_of_the_users_own(tmp_path):
    class Mine(Ensemble):
        pass

    Mine([network((3, 2))]).save(tmp_path / "e")
    assert type(Mine.load(tmp_path / "e")) is Mine
    fastbp.register_activation(lambda x: 2 * x, name="ensembles_double")
    Ensemble([network((3, 2, 2), "ensembles_double")]).save(tmp_path / "e")
    fastbp.register_activation(lambda x: 3 * x, name="ensembles_double")
    try:
        with pytest.raises(ValueError, match="the activation ensembles_double gives other values"):
            Ensemble.load(tmp_path / "e")
    finally:
        del fastbp.activations.ACTIVATIONS["ensembles_double"]


def test_networks_that_have_learned_since_are_told_from_a_file_too(rng, tmp_path):
    net, X, Y = data("numbers", rng)
    ensemble = Ensemble.folds(net, X, Y, k=3, seed=0, **SETTINGS)
    ensemble[0].parameters[0] += 1
    ensemble.save(tmp_path / "e")
    with pytest.raises(ValueError, match="have changed since"):
        Ensemble.load(tmp_path / "e").predict_interval(X)


def test_files_of_networks_and_of_ensembles(tmp_path):
    net = network((3, 2))
    net.save(tmp_path / "n")
    Ensemble([net]).save(tmp_path / "e")
    with pytest.raises(ValueError, match="n holds one network: use fastbp.Network.load"):
        Ensemble.load(tmp_path / "n")
    with pytest.raises(ValueError, match="e holds an ensemble of networks: use fastbp.Ensemble.load"):
        Network.load(tmp_path / "e")
    with pytest.raises(FileNotFoundError):
        Ensemble.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="none"):
        Ensemble([net]).save(tmp_path / "none" / "e")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Header and tensors of an ensemble of folds, calibrated, for classes."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("ensembles") / "e"
    net, X, Y = data("classes", rng)
    Ensemble.folds(net, X, Y, k=3, seed=0, **SETTINGS).calibrate(X[:5], Y[:5]).save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["fastbp"]), load_file(path)


ENOUGH = np.zeros((20, 3))
HEADERS = [
    (lambda e: None, "an ensemble is expected to have members"),
    (lambda e: [], "an ensemble is expected to have members"),
    (lambda e: e | {"more": 1}, "an ensemble is expected to have members"),
    (lambda e: e | {"members": {}}, "an ensemble is expected to have members"),
    (lambda e: e | {"members": []}, "beside the tensors of 0 members"),
    (lambda e: e | {"members": e["members"][:2]}, "beside the tensors of 2 members"),
    (lambda e: e | {"members": e["members"] + e["members"][:1]}, r"e holds \[\], its header says"),
    (lambda e: e | {"members": [5, 5, 5]}, "corrupt header"),
    (lambda e: e | {"members": [{}, {}, {}]}, "corrupt header: KeyError"),
    (lambda e: e | {"members": [*e["members"][:2], described_network(network((3, 4, 2)))]},
     "members.2.weights.1 is F32"),
    (lambda e: e | {"members": [*e["members"][:2], described_network(network((3, 4, 3)))]},
     r"corrupt header: networks\[2\] differs from networks\[0\]"),
    (lambda e: e | {"resample": None}, "its header says"),
    (lambda e: e | {"resample": 5}, "corrupt resample: it tells 5"),
    (lambda e: e | {"resample": {}}, "corrupt resample"),
    (lambda e: e | {"resample": e["calibration"]}, "corrupt resample: origin is 'calibration', expected folds or"),
    (lambda e: e | {"calibration": e["resample"]}, "corrupt calibration: origin is 'folds'"),
    (lambda e: e | {"resample": e["resample"] | {"origin": []}}, r"origin is \[\]"),
    (lambda e: e | {"resample": e["resample"] | {"classes": 1}}, "classes is 1"),
    (lambda e: e | {"resample": e["resample"] | {"classes": False}}, r"targets is I64 \[20\], expected F64 \[20, 3\]"),
    (lambda e: e | {"resample": e["resample"] | {"digest": "0" * 31}}, "digest is"),
    (lambda e: e | {"resample": e["resample"] | {"digest": 7}}, "digest is 7"),
]
TENSORS = [
    ({"more": ENOUGH}, "holds .*'more'"),
    ({"members.03.weights.0": ENOUGH}, "holds .*'members.03.weights.0'"),
    ({"members.3.weights.0": ENOUGH}, "holds .*'members.3.weights.0'"),
    ({"members.0.weights.2": ENOUGH}, "members.0.weights.2.*its header says"),
    ({"members.0.init.weights.0": np.zeros((4, 3), "float32")}, "holds .*init.weights.0"),
    ({"resample.predictions": None}, "its header says"),
    ({"resample.predictions": ENOUGH[0]}, r"resample.predictions is \[3\], expected \[rows, 3\]"),
    ({"resample.predictions": ENOUGH[:0]}, "expected .rows, 3"),
    ({"resample.predictions": ENOUGH[:, :2]}, r"is F64 \[20, 2\], expected F64 \[20, 3\]"),
    ({"resample.predictions": ENOUGH[:19]}, r"resample.unseen is BOOL \[3, 20\], expected BOOL \[3, 19\]"),
    ({"resample.unseen": np.ones((3, 20), bool)}, "another number of members than one"),
    ({"resample.unseen": np.full((3, 20), 2, np.uint8).view(bool)}, "neither 0 nor 1"),
    ({"resample.unseen": np.ones((3, 20), np.uint8)}, "unseen is U8"),
    ({"calibration.unseen": np.zeros((3, 1), bool)}, "no member has seen the rows of a calibration"),
    ({"resample.targets": np.full(20, 3)}, "class 3 or 3, expected 0 to 2"),
    ({"resample.targets": np.full(20, -1)}, "class -1 or -1"),
    ({"resample.targets": np.zeros(20)}, "targets is F64"),
    ({"resample.weights": np.zeros(19)}, "weights is F64"),
    ({"resample.weights": np.full(20, -1.0)}, "weights are not finite, or negative"),
    ({"resample.weights": np.full(20, np.nan)}, "weights are not finite, or negative"),
]


def refused(path, header, tensors, message):
    path.write_bytes(to_bytes(tensors, {"fastbp": json.dumps(header)}))
    with pytest.raises(ValueError, match=message) as caught:
        Ensemble.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(("change", "message"), HEADERS, ids=[row[1][:40] for row in HEADERS])
def test_forged_headers(change, message, saved, tmp_path):
    header, tensors = saved
    refused(tmp_path / "e", header | {"ensemble": change(header["ensemble"])}, tensors, message)


@pytest.mark.parametrize(("changed", "message"), TENSORS, ids=[f"{next(iter(row[0]))} {i}"
                                                              for i, row in enumerate(TENSORS)])
def test_forged_tensors(changed, message, saved, tmp_path):
    header, tensors = saved
    changed = {name: array for name, array in (tensors | changed).items() if array is not None}
    refused(tmp_path / "e", header, changed, message)


def test_what_is_not_forged_loads(saved, tmp_path):
    header, tensors = saved
    (tmp_path / "e").write_bytes(to_bytes(tensors, {"fastbp": json.dumps(header)}))
    assert len(Ensemble.load(tmp_path / "e")) == 3


def test_targets_that_are_not_finite(rng, tmp_path):
    net, X, Y = data("numbers", rng)
    ensemble = Ensemble.folds(net, X, Y, k=3, **SETTINGS)
    ensemble._resample.targets[3, 1] = np.inf
    ensemble.save(tmp_path / "e")
    with pytest.raises(ValueError, match="corrupt resample: targets are not finite"):
        Ensemble.load(tmp_path / "e")
