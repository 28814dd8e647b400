"""First weights: their spread, their geometry, given ones, and that a network keeps what it began with."""

import copy
import json

import numpy as np
import pytest
from helpers import DTYPES
from safetensors import safe_open
from safetensors.numpy import save_file

from fastbp import Network, activations
from fastbp.initializers import INITIALIZERS, Constant

W1, W2 = np.arange(6.0).reshape(3, 2) / 8, np.array([[0.5, -1.0, 2.0]])
B1, B2 = np.array([1.0, 2.0, 3.0]), np.array([-4.0])


@pytest.mark.parametrize("init", [name for name in INITIALIZERS
                                  if name.split("_")[0] in ("zeros", "glorot", "he", "lecun")])
def test_deviations(init):
    n_in, n_out = 300, 200
    net = Network((n_in, n_out), init=init, seed=0, dtype="float64")
    W = net.weights[0]
    deviation = {"zeros": 0, "glorot": np.sqrt(2 / (n_in + n_out)), "he": np.sqrt(2 / n_in),
                 "lecun": np.sqrt(1 / n_in)}[init.split("_")[0]]
    assert (net.biases[0] == 0).all()
    assert abs(W.std() - deviation) <= 0.01 * deviation
    assert abs(W.mean()) <= 5 * deviation / np.sqrt(W.size)
    if init.endswith("uniform"):
        assert abs(W).max() <= np.sqrt(3) * deviation
    if init.endswith("normal"):
        assert abs(W).max() > np.sqrt(3) * deviation


@pytest.mark.parametrize(("n_in", "n_out"), [(7, 4), (4, 7), (5, 5), (1, 3)])
def test_orthogonal(n_in, n_out):
    W = Network((n_in, n_out), init="orthogonal", seed=0, dtype="float64").weights[0]
    product = W @ W.T if n_out <= n_in else W.T @ W
    np.testing.assert_allclose(product, np.eye(min(n_in, n_out)), atol=1e-14)


def test_orthogonal_is_uniform():
    """Without the correction of signs, QR gives a first column whose first element is never positive."""
    corners = [Network((3, 3), init="orthogonal", seed=seed).weights[0][0, 0] for seed in range(200)]
    assert 0.4 < np.mean(np.array(corners) > 0) < 0.6


@pytest.mark.parametrize("bias", [True, False])
def test_nguyen_widrow(bias):
    """Rows of length 0.7 n^(1/n_in), biases within it; the bends of one input's neurons spread over -1 to 1."""
    net = Network((3, 200, 1), init="nguyen_widrow", seed=0, dtype="float64", bias=bias)
    length = 0.7 * 200 ** (1 / 3)
    np.testing.assert_allclose(np.linalg.norm(net.weights[0], axis=1), length)
    assert abs(net.weights[0].mean()) < 0.1 * length
    if bias:
        assert 0.95 * length < abs(net.biases[0]).max() <= length and abs(net.biases[0].mean()) < 0.2 * length
        one = Network((1, 50, 1), init="nguyen_widrow", seed=0, dtype="float64")
        bends = np.sort(-one.biases[0] / one.weights[0][:, 0])
        assert abs(bends).max() <= 1 and np.diff(bends).max() < 0.3


@pytest.mark.parametrize(("init", "bound"), [
    ("pytorch", 1 / np.sqrt(300)), ("scikit-learn", np.sqrt(6 / 500)), ("sklearn_logistic", np.sqrt(2 / 500))])
def test_those_of_other_libraries_draw_biases_too(init, bound):
    net = Network((300, 200), init=init, seed=0, dtype="float64")
    for drawn in (net.weights[0], net.biases[0]):
        assert 0.98 * bound < abs(drawn).max() <= bound
        assert abs(drawn.mean()) < 5 * bound / np.sqrt(3 * drawn.size)
    bare = Network((300, 200), init=init, seed=0, dtype="float64", bias=False)
    np.testing.assert_array_equal(bare.weights[0], net.weights[0])


def test_scikit_learns_bounds_are_those_of_scikit_learn():
    from sklearn.neural_network import MLPRegressor

    X = np.zeros((40, 300))
    for activation, init in (("tanh", "scikit_learn"), ("logistic", "scikit_learn_logistic")):
        theirs = MLPRegressor(hidden_layer_sizes=(200,), activation=activation, learning_rate_init=1e-12, tol=1e9,
                              n_iter_no_change=1, random_state=0).fit(X, X[:, 0])
        ours = Network((300, 200), init=init, seed=0, dtype="float64")
        for one, other in ((theirs.coefs_[0], ours.weights[0]), (theirs.intercepts_[0], ours.biases[0])):
            assert abs(abs(one).max() / abs(other).max() - 1) < 0.03


def test_auto_picks_by_activation():
    names = ["tanh", "relu", "selu", "logistic"]
    auto = Network((5, 40, 40, 40, 40, 3), names, seed=1)
    rules = [activations.get(name).initializer for name in (*names, "identity")]
    assert len(set(rules)) == 3
    assert (auto.parameters == Network((5, 40, 40, 40, 40, 3), names, init=rules, seed=1).parameters).all()


def test_constants_and_a_rule_for_each_layer():
    net = Network((2, 3, 3, 1), init=["nguyen_widrow", Constant(0.25), "zeros"], seed=0)
    assert (net.weights[1] == 0.25).all() and (net.weights[2] == 0).all() and net.weights[0].std() > 0
    assert (net.biases[0] != 0).all() and (net.biases[1] == 0).all()
    half = Network((2, 3, 1), init=Constant(np.float32(0.5)))
    assert (half.parameters == [0.5] * 6 + [0] * 3 + [0.5] * 3 + [0]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_given(dtype):
    net = Network((2, 3, 1), init=[(W1, B1), W2.tolist()], dtype=dtype)
    for found, expected in zip([*net.weights, *net.biases], [W1, W2, B1, [0]], strict=True):
        assert found.dtype == dtype and (found == expected).all()


def test_given_arrays_are_copied():
    W = W1.copy()
    net = Network((2, 3, 1), init=[W, "zeros"])
    net.fit(np.ones((4, 2)), np.ones(4), epochs=1)
    assert (W == W1).all()
    W[:] = 9
    net.reset()
    assert (net.weights[0] == W1).all()


KEPT = [
    ["auto", "orthogonal"],
    Constant(0.1),
    [Constant(-2), "nguyen_widrow"],
    [(W1, B1), W2],
    ["he_normal", (W2, B2)],
]


@pytest.mark.parametrize("init", KEPT, ids=str)
def test_a_network_keeps_what_it_began_with(init, tmp_path):
    net = Network((2, 3, 1), init=init, seed=4, dtype="float64")
    first = net.parameters.copy()
    net.fit(np.ones((4, 2)), np.ones(4), epochs=2)
    net.save(tmp_path / "net")
    for other in (net.copy(), Network.load(tmp_path / "net"), Network((2, 3, 1), init=net.init, dtype="float64")):
        if other.seed is not None:
            assert (other.parameters == net.parameters).all() and not (other.parameters == first).all()
        assert (other.reset(4).parameters == first).all()
        assert repr(other) == repr(net) and other.architecture() == net.architecture()


def test_repr():
    assert repr(Network((2, 3, 1), init=[(W1, B1), "zeros"])) == (
        "<Network((2, 3, 1), init=(<given (3, 2)>, 'zeros'))>")
    assert repr(Network((2, 3, 1), init=Constant(1))) == "Network((2, 3, 1), init=Constant(value=1.0))"


@pytest.mark.parametrize("edit", [
    lambda tensors, header: tensors.pop("init.biases.0"),
    lambda tensors, header: tensors.pop("init.weights.1"),
    lambda tensors, header: tensors.update({"init.weights.7": W1}),
    lambda tensors, header: tensors.update({"init.weights.0": W2}),
    lambda tensors, header: tensors.update({"init.weights.0": W1 * np.nan}),
    lambda tensors, header: header.update(init=["zeros"]),
    lambda tensors, header: header.update(init=[{"taken": 1}, "zeros"]),
    lambda tensors, header: header.update(init=[{"constant": "much"}, "zeros"]),
    lambda tensors, header: header.update(init="zeros"),
    lambda tensors, header: header.update(init=7),
], ids=range(10))  # fmt: skip
def test_a_corrupt_file_is_named(edit, tmp_path):
    path = tmp_path / "net"
    Network((2, 3, 1), init=[(W1, B1), W2]).save(path)
    with safe_open(path, framework="numpy") as content:
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        header = json.loads(content.metadata()["fastbp"])
    edit(tensors, header["architecture"])
    save_file(tensors, path, {"fastbp": json.dumps(header)})
    with pytest.raises(ValueError, match="net (has a corrupt header|holds)"):
        Network.load(path)


@pytest.mark.parametrize(("init", "error", "says"), [
    ("glorot", ValueError, "unknown init 'glorot': did you mean 'glorot_"),
    (["auto", "hee_normal"], ValueError, "did you mean 'he_normal'"),
    (7, TypeError, "init is of type int, expected a name, fastbp.initializers.Constant, or a list"),
    (W1, TypeError, "init is of type ndarray, expected"),
    ([W1], ValueError, "init has 1 entries, expected 2: one for each layer of weights"),
    ([W1.T, W2], ValueError, r"init\[0\] has shape \(2, 3\), expected \(3, 2\)"),
    ([W1, (W2, B1)], ValueError, r"init\[1\]'s biases has shape \(3,\), expected \(1,\)"),
    ([W1, W2 * np.inf], ValueError, r"init\[1\] holds inf, expected finite numbers within float32"),
    ([W1, "zeros", W2], ValueError, "init has 3 entries, expected 2"),
    ([W1, None], TypeError, r"init\[1\] is None"),
    ([W1, {}], TypeError, r"init\[1\] has dtype object"),
], ids=range(11))  # fmt: skip
def test_bad_settings(init, error, says):
    with pytest.raises(error, match=says):
        Network((2, 3, 1), init=init)


def test_biases_for_a_network_without():
    with pytest.raises(ValueError, match=r"init\[0\] has biases, but the network has none"):
        Network((2, 3, 1), init=[(W1, B1), W2], bias=False)
    assert (Network((2, 3, 1), init=[W1, W2], bias=False).weights[0] == W1).all()


def test_constant_takes_numbers():
    with pytest.raises(ValueError, match="Constant: value is nan"):
        Constant(float("nan"))
    assert copy.deepcopy(Constant(2)) == Constant(2.0)
