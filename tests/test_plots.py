"""Displays, drawn by matplotlib's Agg: what lies on the axes is what the network has."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp import History, Network, plots

matplotlib = pytest.importorskip("matplotlib", reason="belongs to the test extra")


@pytest.fixture(autouse=True)
def agg():
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def estimator():
    """What an estimator shows of itself."""
    net = Network((2, 5, 3), cost="cross_entropy", seed=0)
    return SimpleNamespace(network_=net, classes_=np.array(["a", "b", "c"]), predict_proba=net.predict,
                           loss_curve_=[3.0, 2.0])


def fitted(history):
    net = Network((2, 1), seed=0)
    net.history = history
    return net


def test_cost_curves():
    from matplotlib import pyplot

    net = fitted(History([(1, 4.0, 5.0, 0.1), (2, 2.0, 3.0, 0.2)]))
    axes = pyplot.subplots()[1]
    display = plots.CostCurveDisplay.from_network(net, name="title", ax=axes)
    assert display.ax_ is axes and display.figure_ is axes.figure and axes.get_title() == "title"
    assert [line.get_ydata().tolist() for line in axes.lines] == [[4, 2], [5, 3]]
    assert display.plot().ax_ is not axes


@pytest.mark.parametrize(("other", "scale"), [(3.0, "log"), (np.nan, "log"), (0.0, "linear"), (-1.0, "linear")])
def test_a_logarithmic_scale_holds_all_costs(other, scale):
    axes = History([(1, 4.0, 5.0, 0.1), (2, 2.0, other, 0.2)]).plot()
    assert axes.get_yscale() == scale


def test_cost_curves_of_an_estimator(estimator):
    display = plots.CostCurveDisplay.from_estimator(estimator)
    assert display.ax_.lines[0].get_xydata().tolist() == [[1, 3], [2, 2]]
    assert display.ax_.get_title() == "SimpleNamespace" and len(display.ax_.lines) == 1
    estimator.network_ = fitted(History([(1, 7.0, np.nan, 0.1)]))
    estimator.validation_loss_curve_ = [5.0, 4.0]
    both = plots.CostCurveDisplay.from_estimator(estimator).ax_.lines
    assert [line.get_ydata().tolist() for line in both] == [[3, 2], [5, 4]], "not those of another training"
    estimator.validation_loss_curve_ = [4.0]
    assert len(plots.CostCurveDisplay.from_estimator(estimator).ax_.lines) == 1
    estimator.loss_curve_ = []
    assert plots.CostCurveDisplay.from_estimator(estimator).ax_.lines[0].get_ydata().tolist() == [7]


def test_regions_of_a_network():
    net = Network((2, 3), cost="cross_entropy", dtype="float64", seed=0)
    X, y = np.array([[-1.0, 0], [1, 4], [0, 2], [1, 0]]), np.array([0, 2, 2, 0])
    display = plots.DecisionRegionDisplay.from_network(net, X, y, grid_resolution=20, margin=0.5)
    assert display.xx0.shape == (20, 20)
    assert (display.xx0.min(), display.xx0.max(), display.xx1.min(), display.xx1.max()) == (-2, 2, -2, 6)
    half = (2 / 19, 4 / 19)  # a pixel lies around its point
    np.testing.assert_allclose(display.surface_.get_extent(),
                               [-2 - half[0], 2 + half[0], -2 - half[1], 6 + half[1]])
    points = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_array_equal(display.response.ravel(), net.predict(points).argmax(axis=1))
    assert [len(dots.get_offsets()) for dots in display.scatter_] == [2, 0, 2]
    colours = display.surface_.get_array()
    same = display.response == display.response[0, 0]
    assert np.ptp(colours[same].argmax(axis=1)) == 0, "one class, one colour"
    assert display.plot().scatter_ == []


def test_regions_of_one_output():
    net = Network((2, 1), cost="binary_cross_entropy", dtype="float64", init="zeros")
    net.parameters[:] = 5, 0, 0
    display = plots.DecisionRegionDisplay.from_network(net, [[-1, -1], [1, 1]], grid_resolution=10)
    np.testing.assert_array_equal(display.response, display.xx0 > 0)
    assert display.scatter_ == [] and display.chances.shape == (10, 10, 2)


def test_regions_of_an_estimator(estimator):
    X = np.array([[0.0, 1], [1, 0], [1, 1]])
    display = plots.DecisionRegionDisplay.from_estimator(estimator, X, ["b", "a", "b"], grid_resolution=10)
    assert [len(dots.get_offsets()) for dots in display.scatter_] == [1, 2, 0]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "b", "c"]


def test_there_are_no_regions_without_classes(estimator):
    X = np.array([[0.0, 1], [1, 0]])
    regressor = SimpleNamespace(network_=estimator.network_)
    with pytest.raises(TypeError, match="has no classes_ and predict_proba: regions are those of a classifier"):
        plots.DecisionRegionDisplay.from_estimator(regressor, X)
    estimator.network_ = Network((2, 3), cost="binary_cross_entropy", seed=0)
    with pytest.raises(ValueError, match="gives each sample 3 labels of their own, which overlap"):
        plots.DecisionRegionDisplay.from_estimator(estimator, X)


def test_a_network_with_its_deltas():
    net = Network((2, 4, 3), cost="cross_entropy", dtype="float64", seed=0)
    x = np.array([0.3, -1])
    display = plots.NetworkDisplay.from_network(net, x, 1)
    expected = net.trace(x[None], [1]).delta
    for neurons, delta in zip(display.neurons_[1:], expected, strict=True):
        np.testing.assert_array_equal(neurons.get_array(), delta[0])
    np.testing.assert_allclose(np.sort(display.lines_.get_array()),
                               np.sort(np.concatenate([W.ravel() for W in net.weights])))
    assert len(display.figure_.axes) == 3, "the network and two scales"
    net.parameters[:] = 0
    assert abs(display.weights[0]).max() > 0, "a display keeps what it showed"
    drawn = [line.get_text() for line in display.ax_.texts]
    assert {"inputs\n2", "layer 1\n4", "outputs\n3"} <= set(drawn)


def test_a_network_without_a_pair():
    display = plots.NetworkDisplay.from_network(Network((1, 1), init="zeros"))
    assert display.deltas is None and len(display.figure_.axes) == 2


def test_of_wide_layers_the_neurons_that_matter():
    net = Network((30, 40, 20), dtype="float64", seed=0)
    display = plots.NetworkDisplay.from_network(net, np.ones(30), np.zeros(20), most=5)
    delta = abs(net.trace(np.ones((1, 30)), np.zeros((1, 20))).delta[0][0])
    assert set(display.shown[1]) == set(np.argsort(delta)[-5:]) and len(display.lines_.get_array()) == 50
    assert "layer 1\n5 of 40" in [line.get_text() for line in display.ax_.texts]


def test_a_network_of_an_estimator(estimator):
    assert plots.NetworkDisplay.from_estimator(estimator, [1, 2], 0).deltas is not None


def test_what_cannot_be_drawn(estimator, monkeypatch):
    with pytest.raises(ValueError, match="fit first"):
        plots.CostCurveDisplay.from_network(Network((2, 1)))
    with pytest.raises(TypeError, match="int has no network_: fit it first"):
        plots.CostCurveDisplay.from_estimator(3)
    with pytest.raises(ValueError, match=r"X has shape \(4, 3\), expected \(n_samples, 2\)"):
        plots.DecisionRegionDisplay.from_network(Network((3, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="give both x and y"):
        plots.NetworkDisplay.from_network(estimator.network_, x=[1, 2])
    with pytest.raises(ValueError, match="most is 0, expected 1 or more"):
        plots.NetworkDisplay.from_network(estimator.network_, most=0)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install fastbp\[plot\]"):
        plots.NetworkDisplay.from_network(estimator.network_)


def test_learning_curves():
    from matplotlib import pyplot

    losses = {"training": {"rmse": [3.0, 2.0, 1.0]}, "validation": {"rmse": [4.0, 2.5, 2.6]}}
    display = plots.LearningCurveDisplay.from_estimator(SimpleNamespace(evals_result_=losses, best_epoch_=2))
    assert [line.get_xydata().tolist() for line in display.ax_.lines[:2]] == [[[1, 3], [2, 2], [3, 1]],
                                                                              [[1, 4], [2, 2.5], [3, 2.6]]]
    assert display.ax_.lines[2].get_xdata()[0] == 2 and display.ax_.get_ylabel() == "rmse"
    assert display.ax_.get_title() == "SimpleNamespace" and display.ax_.get_yscale() == "log"
    axes = pyplot.subplots()[1]
    several = plots.LearningCurveDisplay({"training": {"log_loss": [0.0, -1.0]}}, np.array([1, 2]), name="a").plot(axes)
    assert several.ax_ is axes and axes.get_yscale() == "linear" and axes.get_ylabel() == "log-loss"
    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [1, 2]
    with pytest.raises(TypeError, match="no evals_result_"):
        plots.LearningCurveDisplay.from_estimator(SimpleNamespace())
    with pytest.raises(ValueError, match="no epochs"):
        plots.LearningCurveDisplay({"training": {"rmse": []}}).plot()


def test_reliability_by_hand():
    said = [0.05, 0.15, 0.12, 0.95, 1.0]
    display = plots.ReliabilityDisplay.from_predictions([False, True, False, True, True], said)
    np.testing.assert_allclose(display.said, [0.05, 0.135, 0.975])
    np.testing.assert_allclose(display.came_true, [0, 0.5, 1])
    assert display.counts.tolist() == [1, 2, 2]
    assert display.calibration_error == pytest.approx((0.05 + 2 * 0.365 + 2 * 0.025) / 5)
    assert display.ax_.lines[1].get_xydata().tolist() == np.column_stack([display.said, display.came_true]).tolist()


def test_reliability_of_classes():
    p = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
    most = plots.ReliabilityDisplay.from_predictions([0, 1, 1], p, n_bins=5, name="title")
    np.testing.assert_allclose(most.said, [0.4, 0.7, 0.8])
    assert most.came_true.tolist() == [0, 1, 1] and most.ax_.get_title() == "title"
    classifier = SimpleNamespace(classes_=np.array(["no", "yes"]), predict_proba=lambda X: np.array([[0.9, 0.1]] * 2))
    two = plots.ReliabilityDisplay.from_estimator(classifier, None, ["no", "yes"])
    assert two.said.tolist() == [0.1] and two.came_true.tolist() == [0.5]
    with pytest.raises(ValueError, match="the class 'maybe'"):
        plots.ReliabilityDisplay.from_estimator(classifier, None, ["no", "maybe"])


@pytest.mark.parametrize(("truth", "p", "settings", "message"), [
    ([1, 0], [0.5], {}, "shape"), ([], [], {}, "shape"), ([1], [1.5], {}, "0 to 1"), ([1], [np.nan], {}, "0 to 1"),
    ([1], [0.5], {"n_bins": 0}, "n_bins"),
])
def test_what_is_no_reliability(truth, p, settings, message):
    with pytest.raises(ValueError, match=message):
        plots.ReliabilityDisplay.from_predictions(truth, p, **settings)
