"""Networks from MATLAB's files of genFunction and structs, against Octave, which ran the same files."""

import re

import numpy as np
import pytest
from foreign_files import FILES, OUTPUTS, X
from scipy.io import loadmat

import fastbp

READ = {"regression.m": ("tanh", "identity"), "classes.m": ("hard_tanh", "softmax"),
        "limited.m": ("identity", "tanh", "identity")}


@pytest.mark.parametrize("name", READ)
def test_files_give_what_octave_computes(name):
    network = fastbp.from_matlab(FILES / name)
    assert network.activations == READ[name] and network.layers[0] == 3 and network.dtype == np.float64
    np.testing.assert_allclose(network.predict(X.astype("f4")), OUTPUTS[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"simplify_cells": True}, {"squeeze_me": True}, {"struct_as_record": False}])
def test_so_does_a_struct_however_it_is_loaded(options):
    struct = loadmat(FILES / "struct.mat", **options)
    network = fastbp.from_matlab(struct)
    np.testing.assert_allclose(network.predict(X.astype("f4")), OUTPUTS["struct.mat"], rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(fastbp.from_matlab({"s": struct}).parameters, network.parameters)


def cell(*parts):
    return np.array([*parts, None], object)[:-1]


def struct(**changes):
    """Return a struct of 3 inputs, 2 tansig and 1 purelin."""
    return {"IW": cell(np.ones((2, 3)), np.zeros((0, 0))), "b": cell(np.zeros((2, 1)), np.ones((1, 1))),
            "LW": cell(*[np.zeros((0, 0))] * 2, np.ones((1, 2)), np.zeros((0, 0))).reshape(2, 2),
            "transferFcn": cell("tansig", "purelin")} | changes


@pytest.mark.parametrize("name", ["tansig", "logsig", "purelin", "poslin", "satlins", "satlin", "radbas", "elliotsig"])
def test_transfer_functions(name):
    exact = {"tansig": np.tanh, "logsig": lambda n: 1 / (1 + np.exp(-n)), "purelin": lambda n: n,
             "poslin": lambda n: np.maximum(n, 0), "satlins": lambda n: np.clip(n, -1, 1),
             "satlin": lambda n: np.clip(n, 0, 1), "radbas": lambda n: np.exp(-n * n),
             "elliotsig": lambda n: n / (1 + abs(n))}[name]
    network = fastbp.from_matlab(struct(transferFcn=cell(name, "purelin")))
    np.testing.assert_allclose(network.predict(X), 2 * exact(X.sum(axis=1, keepdims=True)) + 1, rtol=1e-12, atol=1e-14)


def test_rows_that_were_removed_are_inputs_without_weight():
    step = {"keep": np.array([1, 3, 4]), "xrows": 5}
    network = fastbp.from_matlab(struct(inputSettings=[step]))
    assert network.layers[0] == 5
    assert (network.weights[0] == [1, 0, 1, 1, 0]).all()


@pytest.mark.parametrize(("changes", "words"), [
    ({"transferFcn": cell("hardlim", "purelin")}, "'hardlim' has no counterpart"),
    ({"transferFcn": cell("tansig", 3)}, "expected its name"),
    ({"transferFcn": cell("tansig")}, "2 input weights, 4 layer weights and 2 biases for 1"),
    ({"netInputFcn": cell("netsum", "netprod")}, "'netprod' has no counterpart"),
    ({"b": cell(np.zeros(3), np.ones(1))}, r"biases of shape \(3,\)"),
    ({"b": cell("x", np.ones(1))}, "b of layer 1 has dtype <U1"),
    ({"IW": cell(np.ones((2, 3)), np.ones((1, 3)))}, r"layer 2 reads \[0, 1\]"),
    ({"IW": cell(np.full((2, 3), np.nan), np.zeros((0, 0)))}, "not finite"),
    ({"inputSettings": [{"maximum": 3}]}, "a processing step has nothing"),
    ({"inputSettings": [{"xoffset": np.ones(2), "gain": np.ones(3), "ymin": -1}]}, "settings for 3 numbers|expected 3"),
    ({"inputSettings": [{"keep": np.array([1, 2, 2]), "xrows": 5}]}, "expected 3 of them"),
    ({"inputSettings": [{"keep": np.array([1, 2, 2.5]), "xrows": 5}]}, "whole numbers from 1 up"),
    ({"inputSettings": [{"keep": np.array([1, 2, 3]), "xrows": 1e9}]}, "hardly meant"),
    ({"outputSettings": [{"keep": np.array([1]), "xrows": 2}]}, "has removed outputs"),
    ({"outputSettings": [{"xoffset": 0, "gain": 0, "ymin": -1}]}, "divides by 0"),
])
def test_what_has_no_counterpart_is_named(changes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        fastbp.from_matlab(struct(**changes))


def test_what_is_no_struct_is_refused():
    with pytest.raises(TypeError, match="expected a struct"):
        fastbp.from_matlab(3)
    with pytest.raises(ValueError, match="no IW, LW, b, transferFcn"):
        fastbp.from_matlab({"a": 1, "b2": 2})
    with pytest.raises(ValueError, match=r"is a .mat file: give what scipy.io.loadmat"):
        fastbp.from_matlab(FILES / "struct.mat")


@pytest.mark.parametrize(("old", "new", "words"), [
    (r"Q = size", "x = tapdelay; Q = size", "has delays"),
    (r"LW2_1\*a1", "LW2_1*a2", "layer 2 is not a layer on the one before"),
    (r"IW1_1 = ", "IW1_2 = ", "not a file that genFunction writes"),
    (r"b1 = \[", "b1 = [1 2;", "expected numbers, and rows of one length"),
    (r"b1 = .*", "b1 = foo(3);", "b1 is 'foo"),
    (r"b1 = (.*)", r"b1 = \1\nb1 = \1", "says twice what b1 is"),
    (r"tansig_apply\(repmat", "hardlim_apply(repmat", "'hardlim' has no counterpart"),
    (r"repmat\(b1,1,Q\) \+ ", "", "layer 1 is not a layer on the one before"),
    (r"x1_step1.gain", "x1_step1.transform", "a processing step has transform, xoffset, ymin"),
    (r"x1_step1", "x2_step1", "more than one input"),
    (r"(?s).*", "", "not a file that genFunction writes"),
])
def test_files_that_are_something_else_are_refused(old, new, words, tmp_path):
    text, changes = re.subn(old, new, (FILES / "regression.m").read_text(), count=1)
    assert changes
    (tmp_path / "x.m").write_text(text)
    with pytest.raises(ValueError, match=words):
        fastbp.from_matlab(tmp_path / "x.m")


def test_comments_continued_lines_and_line_ends_do_not_matter(tmp_path):
    text = (FILES / "regression.m").read_text()
    text = re.sub(r"b1 = \[([^;]*);", r"b1 = [\1; ...\r\n  ", text).replace("\n", "\r\n")
    text = text.replace("x1_step1.ymin = -1;", "x1_step1.ymin = -1; % x1_step1.ymin = 5;")
    (tmp_path / "x.m").write_text(text, newline="")
    np.testing.assert_array_equal(fastbp.from_matlab(tmp_path / "x.m").parameters,
                                  fastbp.from_matlab(FILES / "regression.m").parameters)


def test_many_blanks_take_no_long_time(tmp_path):
    """No pattern goes back over what it has seen."""
    for text in ("a1=" + " " * 200_000 + "x", "\n" * 200_000, "b1 = [" + "1" * 200_000 + "x];", "a1" * 100_000,
                 "b1 = " + "- " * 100_000, "." * 200_000):
        (tmp_path / "x.m").write_text(text)
        with pytest.raises(ValueError, match=r"x\.m"):
            fastbp.from_matlab(tmp_path / "x.m")
