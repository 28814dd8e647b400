"""Estimators in files: what comes back predicts the same; nothing that a file says is taken on trust."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

pytest.importorskip("sklearn", reason="belongs to the table extra")
from sklearn.utils.validation import check_is_fitted

import fastbp
from fastbp import TabularClassifier, TabularRegressor

X = np.array([[i % 7, "abc"[i % 3], None if i % 5 == 0 else i * 0.5, i % 2 == 0] for i in range(30)], object)
Y = {TabularRegressor: np.arange(30.0), TabularClassifier: np.array(list("xyzxy") * 6)}


def fitted(kind, y=None, **settings):
    return kind(**{"hidden_layer_sizes": [3], "epochs": 2, "n_pieces": 3, "n_frequencies": 2, "random_state": 0,
                   **settings}).fit(X, Y[kind] if y is None else y)


def answers(model):
    if isinstance(model, TabularClassifier):
        return [model.predict(X), model.predict_proba(X), model.oof_predictions_]
    return [model.predict(X, return_std=True), model.predict_interval(X, 0.6), model.predict_quantiles(X),
            model.oof_predictions_]


@pytest.mark.parametrize("members", [1, 2, 6])
@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_what_comes_back_says_the_same(kind, members, tmp_path):
    model = fitted(kind, n_members=members)
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model")
    check_is_fitted(again)
    for one, other in zip(answers(model), answers(again), strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))
    assert again.get_params() == model.get_params() and again.recipe_ == model.recipe_
    assert again.describe_columns() == model.describe_columns()
    np.testing.assert_array_equal(again.best_epoch_, model.best_epoch_)
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)
    assert vars(again).keys() == vars(model).keys()
    for part, losses in model.evals_result_.items():
        np.testing.assert_array_equal(again.evals_result_[part][model._loss], losses[model._loss])


def test_a_frame_and_several_targets(tmp_path):
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    pytest.importorskip("narwhals", reason="belongs to the table extra")
    frame = pandas.DataFrame({"a": np.arange(20.0), "t": pandas.date_range("2024-01-01", periods=20, freq="9h")})
    model = TabularRegressor(hidden_layer_sizes=[3], epochs=1, random_state=0, categorical_features=["a"]).fit(
        frame, np.ones((20, 2)) * np.arange(2))
    model.save(tmp_path / "model")
    again = TabularRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(frame[["t", "a"]]), model.predict(frame))
    assert again.feature_names_in_.tolist() == ["a", "t"]


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], [-3, 8], [0.5, 2.0]])
def test_names_of_classes(names, tmp_path):
    y = np.array(names * 15)
    y = y.astype(int) if names == [0.5, 2.0] else y
    for target in (y, y.astype(object)):
        model = fitted(TabularClassifier, target, class_weight=dict.fromkeys(y.tolist(), 2.0))
        model.save(tmp_path / "model")
        again = TabularClassifier.load(tmp_path / "model")
        assert again.classes_.dtype == model.classes_.dtype and again.classes_.tolist() == model.classes_.tolist()
        assert again.class_weight == model.class_weight


def test_names_take_no_more_memory_than_they_need(tmp_path):
    model = fitted(TabularClassifier, np.array(["no", "yes"] * 15))
    model.save(tmp_path / "model")
    changed(tmp_path / "model", set_in("targets", "dtype", value="<U5000"))
    assert TabularClassifier.load(tmp_path / "model").classes_.dtype == model.classes_.dtype == "U3"


def test_parameters_that_are_no_plain_values(tmp_path):
    model = fitted(TabularRegressor, random_state=np.random.RandomState(0), callbacks=[lambda record: None],
                   dropout=np.float64(0.25), categorical_features=np.array([0]))
    model.save(tmp_path / "model")
    again = TabularRegressor.load(tmp_path / "model")
    assert again.random_state is None and again.callbacks is None and again.dropout == 0.25
    assert again.categorical_features == [0]


def test_parametric_activations(tmp_path):
    model = fitted(TabularRegressor, activation="parametric(mish)")
    model.save(tmp_path / "model")
    again = TabularRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.ensemble_[0].alphas[0].shape == (3,)


def test_files_of_another_kind(tmp_path):
    fitted(TabularRegressor).save(tmp_path / "model")
    with pytest.raises(ValueError, match="holds a 'TabularRegressor', expected a 'TabularClassifier'"):
        TabularClassifier.load(tmp_path / "model")
    for kind in (fastbp.Network, fastbp.Ensemble):
        with pytest.raises(ValueError, match="holds an estimator"):
            kind.load(tmp_path / "model")
    network = fastbp.Network((2, 1), seed=0)
    network.save(tmp_path / "network")
    fastbp.Ensemble([network]).save(tmp_path / "ensemble")
    for name in ("Network", "Ensemble"):
        with pytest.raises(ValueError, match=f"use fastbp.{name}.load"):
            TabularRegressor.load(tmp_path / name.lower())
    with pytest.raises(OSError):
        TabularRegressor.load(tmp_path / "nothing")


def changed(path, change):
    """Write a file again, with its header or tensors changed."""
    with safe_open(path, "numpy") as content:
        tensors = {name: content.get_tensor(name) for name in content.keys()}
        header = json.loads(content.metadata()["fastbp"])
    change(header, tensors)
    save_file(tensors, path, {"fastbp": json.dumps(header)})


def set_in(*place, value):
    """Return a change of a header."""
    def change(header, tensors):
        inner = header["table"]
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value

    return change


def set_tensor(name, value):
    """Return a change of a tensor."""
    def change(header, tensors):
        tensors[f"table.{name}"] = np.array(value)

    return change


COMMON = {
    "no columns": set_in("columns", value={"columns": [], "named": False}),
    "columns of text": set_in("columns", value="?"),
    "a column more": lambda header, tensors: header["table"]["columns"]["columns"].append(
        header["table"]["columns"]["columns"][0]),
    "a setting of a column more": set_in("columns", "columns", 0, "more", value=1),
    "a kind of column": set_in("columns", "columns", 0, "kind", value="?"),
    "a scale": set_in("columns", "columns", 0, "scale", value=0.0),
    "a scale of text": set_in("columns", "columns", 0, "scale", value="1"),
    "names": set_in("columns", "named", value=1),
    "a parameter more": set_in("parameters", "more", value=1),
    "a parameter": set_in("parameters", "n_members", value=-1),
    "the recipe": set_in("recipe", "epochs", value="many"),
    "a recipe of nothing": set_in("recipe", value={}),
    "targets": set_in("targets", value=None),
    "members": set_in("ensemble", "members", value=[]),
    "no rows not seen": set_in("ensemble", "calibration", value=None),
    "importances": set_tensor("importances", [0.5, -1.0, np.nan, 0]),
    "fewer importances": set_tensor("importances", [1.0]),
    "best epochs": set_tensor("best_epochs", [-1]),
    "best epochs of text": set_tensor("best_epochs", [0.5]),
    "losses": set_tensor("losses", [1.0]),
    "out of fold": set_tensor("oof", [[1.0, 2.0, 3.0, 4.0]]),
    "a tensor more": set_tensor("more", [1.0]),
    "a tensor less": lambda header, tensors: tensors.pop("table.oof"),
    "a part less": lambda header, tensors: header["table"].pop("recipe"),
    "no estimator": lambda header, tensors: header.update(table=[]),
}
OF_KIND = {
    TabularRegressor: {
        "scale": set_tensor("scale", [0.0]), "a range": set_tensor("low", [99.0]),
        "center": set_tensor("center", [np.inf]), "single": set_in("targets", "single", value=2),
        "more of targets": set_in("targets", "more", value=True),
    },
    TabularClassifier: {
        "classes": set_in("targets", "classes", value=["x", "x", "y"]),
        "a dtype": set_in("targets", "dtype", value="V8"),
        "fewer classes": set_in("targets", "classes", value=["x", "y"]),
        "temperature": set_in("targets", "temperature", value=-1.0), "rows": set_in("targets", "rows", value=0),
        "classes of lists": set_in("targets", "classes", value=[["x"], ["y"], ["z"]]),
    },
}


@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind, own in OF_KIND.items() for what in (*COMMON, *own)])
def test_a_file_that_says_what_no_estimator_would(kind, what, tmp_path):
    path = tmp_path / "model"
    fitted(kind).save(path)
    changed(path, lambda header, tensors: None)
    kind.load(path)
    changed(path, (COMMON | OF_KIND[kind])[what])
    with pytest.raises(ValueError, match=str(path)):
        kind.load(path)


def test_an_ensemble_of_another_width(tmp_path):
    path = tmp_path / "model"
    fitted(TabularRegressor).save(path)
    fitted(TabularRegressor, np.ones((30, 2)) * np.arange(2)).save(tmp_path / "other")
    with safe_open(tmp_path / "other", "numpy") as content:
        header = json.loads(content.metadata()["fastbp"])["table"]["ensemble"]
        tensors = {name: content.get_tensor(name) for name in content.keys() if not name.startswith("table.")}

    def swap(own_header, own):
        own_header["table"]["ensemble"] = header
        for name in [name for name in own if not name.startswith("table.")]:
            del own[name]
        own.update(tensors)

    changed(path, swap)
    with pytest.raises(ValueError, match=str(path)):
        TabularRegressor.load(path)


def test_encoders_of_networks_come_back_and_fit_the_columns(tmp_path):
    path = tmp_path / "model"
    model = fitted(TabularRegressor, n_members=2, n_frequencies=4)
    model.save(path)
    again = TabularRegressor.load(path)
    assert [type(encoder).__name__ for encoder in again.ensemble_[0].encoders] == [
        "Periodic", "PiecewiseLinear", "Identity", "OneHot"]
    assert again.ensemble_[1].encoders == model.ensemble_[1].encoders
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    names = next(column for column in model._table.described()["columns"] if column["name"] == "x1")

    def fewer(header, tensors):
        levels = next(column for column in header["table"]["columns"]["columns"] if column["name"] == "x1")
        levels.update(levels=["a", "b"], rest=False)

    assert names["levels"] == ("a", "b", "c")
    changed(path, fewer)
    with pytest.raises(ValueError, match="its networks read codes from {1: 3}, its columns make {}"):
        TabularRegressor.load(path)


def test_a_file_that_is_cut(tmp_path):
    path = tmp_path / "model"
    fitted(TabularRegressor).save(path)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            TabularRegressor.load(path)
