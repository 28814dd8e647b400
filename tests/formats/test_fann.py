"""Networks from FANN's files and back, and its training data, against what libfann computed."""

import ctypes
import ctypes.util
import re

import numpy as np
import pytest
from foreign_files import FILES, OUTPUTS, X, path_of

import fastbp
from fastbp.formats import fann

READ = {
    "plain.net": ("logistic", "tanh", "identity"),
    "wave.net": ("sin", "sin", "sin", "identity"),
    "elliot.net": ("softsign", "softsign", "gaussian", "identity"),
    "piece.net": ("hard_tanh", "hard_tanh", "gaussian"),
    "cos.net": ("sin", "gaussian", "hard_tanh", "identity"),
}


@pytest.mark.parametrize("name", READ)
def test_files_of_fann_give_what_it_computes(name):
    network = fastbp.from_fann(FILES / name, dtype="float64")
    assert network.activations == READ[name] and network.dtype == np.float64
    np.testing.assert_allclose(network.predict(X), OUTPUTS[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["float.net", "comma.net"])
def test_so_do_those_of_floats_and_with_decimal_commas(name):
    network = fastbp.from_fann(FILES / name)
    assert network.cost_function.name == "binary_cross_entropy" and network.dtype == np.float32
    np.testing.assert_allclose(network.predict(X), OUTPUTS[name], rtol=1e-6)


def test_stepwise_functions_are_read_as_smooth_ones_if_that_is_wanted():
    with pytest.raises(ValueError, match="SIGMOID_STEPWISE, which has no counterpart here; stepwise=True reads"):
        fastbp.from_fann(FILES / "stepwise.net")
    network = fastbp.from_fann(FILES / "stepwise.net", stepwise=True)
    assert network.activations == ("logistic", "tanh")
    assert 1e-4 < abs(network.predict(X) - OUTPUTS["stepwise.net"]).max() < 0.2


@pytest.mark.parametrize(("name", "layers"), [("scaled.net", (3, 4, 2)), ("scaled_tanh.net", (3, 4, 2, 2))])
def test_scaling_is_folded_if_that_is_wanted(name, layers):
    """The file has six decimals of it, and outputs are about 100."""
    network = fastbp.from_fann(FILES / name, scaling=True, dtype="float64")
    assert network.layers == layers
    np.testing.assert_allclose(network.predict(X), OUTPUTS[name], rtol=1e-6, atol=1e-4)
    plain = fastbp.from_fann(FILES / name, dtype="float64")
    np.testing.assert_allclose(plain.predict(X), OUTPUTS[f"{name} unscaled"], rtol=1e-12)
    with pytest.raises(ValueError, match="has no scaling"):
        fastbp.from_fann(FILES / "plain.net", scaling=True)


@pytest.mark.parametrize(("name", "words"), [
    ("sparse.net", "is a sparse network"),
    ("shortcut.net", "is a shortcut network"),
    ("fixed.net", "FANN's build for fixed point"),
    ("train.data", "begins with '5 3 2', expected FANN_FLO_2.1"),
])
def test_what_is_not_read_is_named(name, words):
    with pytest.raises(ValueError, match=words):
        fastbp.from_fann(FILES / name)


@pytest.mark.parametrize(("old", "new", "words"), [
    (r"layer_sizes=4 5", "layer_sizes=4 6", "layer_sizes are"),
    (r"layer_sizes=4 5", "layer_sizes=999999999 5", "layer_sizes are"),
    (r"layer_sizes=.*", "", "no field layer_sizes"),
    (r"layer_sizes=4", "layer_sizes=x", "'x' is not a whole number"),
    (r"\(4, 3,", "(3, 3,", "layer 1 is not fully connected"),
    (r"\(4, 3,", "(4, 5,", "neurons with different functions"),
    (r"\(4, 3,", "(4, 77,", "different functions"),
    (r"\(4, 3, [^)]*", "(4, 3, x", "which is not as FANN writes it"),
    (r"weight\)=\(0, ", "weight)=(1, ", "layer 1 has connections that are not one from each"),
    (r"weight\)=\(0, ", "weight)=(999999999, ", "layer 1 has connections that are not one from each"),
    (r"weight\)=\(0, [^)]*\)", "weight)=", "connections"),
    (r"weight\)=\(0, [^)]*\)", "weight)=(0, nan)", "which is not as FANN writes it"),
    (r"weight\)=\(0, [^)]*\)", "weight)=(0, 1e999)", "not finite"),
    (r"connection_rate=1", "connection_rate=x", "'x.000000' is not a number"),
])
def test_damaged_files_are_refused(old, new, words, tmp_path):
    text, changes = re.subn(old, new, (FILES / "plain.net").read_text(), count=1)
    assert changes
    (tmp_path / "x.net").write_text(text)
    with pytest.raises(ValueError, match=words):
        fastbp.from_fann(tmp_path / "x.net")


def test_only_what_is_needed_must_be_there(tmp_path):
    """Releases and other programs differ in the fields that they write, and in their order."""
    lines = (FILES / "plain.net").read_text().splitlines()
    kept = [line for line in lines[1:] if re.match(r"(layer_sizes|neurons|connections)", line)]
    (tmp_path / "x.net").write_text("\r\n".join([lines[0], "adam_beta1=0.9", *kept[::-1]]))
    again, whole = fastbp.from_fann(tmp_path / "x.net"), fastbp.from_fann(FILES / "plain.net")
    np.testing.assert_array_equal(again.parameters, whole.parameters)


# ---------------------------------------------------------------------------------------------------------- writing

@pytest.mark.parametrize("name", sorted(fann.WRITTEN | fann.NEWER))
@pytest.mark.parametrize("bias", [True, False])
def test_what_is_written_is_read_again(name, bias, tmp_path):
    network = fastbp.Network((3, 5, 2), name, name, bias=bias, seed=0)
    network.to_fann(tmp_path / "x.net", relu=name in fann.NEWER, linear_steepness=2**-10)
    again = fastbp.from_fann(tmp_path / "x.net")
    assert again.activations == network.activations
    for own, found in zip(network.weights, again.weights, strict=True):
        np.testing.assert_array_equal(found, own)
    assert (again.biases[0] == (network.biases[0] if bias else 0)).all()


def test_the_fields_are_those_of_fann_in_its_order(tmp_path):
    """It reads them by position."""
    fastbp.Network((3, 4, 3, 2), ["logistic", "tanh"]).to_fann(tmp_path / "x.net")

    def shape(path):
        return [re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "0", line.split("steepnesses=")[0])
                for line in path.read_text().split("\n")]

    assert shape(tmp_path / "x.net") == shape(FILES / "plain.net")


@pytest.mark.parametrize(("network", "options", "words"), [
    (lambda: fastbp.Network((3, 4, 1), "gelu"), {}, "FANN has no activation gelu, expected one of gaussian"),
    (lambda: fastbp.Network((3, 4, 1), "relu"), {}, "no activation relu.*relu=True writes it for a FANN"),
    (lambda: fastbp.Network((3, 4, 1), fastbp.parametric("tanh")), {}, r"no activation parametric\(tanh\)"),
    (lambda: fastbp.Network((2, 1), encoders=[fastbp.encoders.Periodic([0, 1])]), {}, "no place for encoders"),
    (lambda: fastbp.Network((2, 1)), {"linear_steepness": 0}, "linear_steepness is 0"),
    (lambda: fastbp.Network((2, 1), init=[np.full((1, 2), 1e300)], dtype="float64"), {"linear_steepness": 1e-300},
     "not finite"),
])
def test_what_fann_lacks_is_refused_and_nothing_written(network, options, words, tmp_path):
    with pytest.raises(ValueError, match=words), np.errstate(all="ignore"):
        network().to_fann(tmp_path / "x.net", **options)
    assert not (tmp_path / "x.net").exists()


@pytest.mark.skipif(ctypes.util.find_library("doublefann") is None, reason="FANN is not installed (Debian: libfann2)")
def test_fann_computes_the_same(tmp_path):
    """And limits a linear output of steepness s to 150/s, as is told."""
    library = ctypes.CDLL(ctypes.util.find_library("doublefann"))
    library.fann_create_from_file.restype = ctypes.c_void_p
    library.fann_run.restype = ctypes.POINTER(ctypes.c_double)

    def run(network, rows, **options):
        network.to_fann(tmp_path / "x.net", **options)
        made = ctypes.c_void_p(library.fann_create_from_file(str(tmp_path / "x.net").encode()))
        assert made
        found = [library.fann_run(made, (ctypes.c_double * len(row))(*row))[: network.layers[-1]]
                 for row in rows.tolist()]
        library.fann_destroy(made)
        return np.array(found)

    for name in fann.WRITTEN:
        network = fastbp.Network((3, 5, 2), name, name, seed=0, dtype="float64")
        np.testing.assert_allclose(run(network, X), network.predict(X), rtol=1e-12, atol=1e-13)
    large = fastbp.Network((1, 1), init=[np.array([[1000.0]])], dtype="float64")
    assert run(large, np.ones((1, 1))) == 150
    assert run(large, np.ones((1, 1)), linear_steepness=2**-10) == 1000


# ----------------------------------------------------------------------------------------------------- training data

def test_training_data_are_read(tmp_path):
    found_X, found_Y = fastbp.read_fann_data(path_of("train.data", tmp_path))
    np.testing.assert_array_equal(found_X, X.astype("f4"))
    np.testing.assert_array_equal(found_Y, OUTPUTS["train.data"])
    (tmp_path / "x").write_text("1 2 1\n0,5 -1e3\n\n 7")
    X_one, Y_one = fastbp.read_fann_data(tmp_path / "x")
    assert (X_one.tolist(), Y_one.tolist()) == ([[0.5, -1000]], [[7]])


@pytest.mark.parametrize(("text", "words"), [
    ("", "expected the numbers of samples"), ("1 2", "expected the numbers of samples"),
    ("1 1 1 0", "1 numbers behind"), ("1 1 1 0 0 0", "3 numbers behind"), ("0 1 1", "0 samples"),
    ("999999999 999999999 1 0", "999999999 samples"), ("1 1 1 0 x", "what is not a number"),
    ("1 -1 1", "'-1' is not a whole number"),
    ("1e9 1 1", "'1e9' is not a whole number"),
])
def test_data_that_are_damaged_are_refused(text, words, tmp_path):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=words):
        fastbp.read_fann_data(tmp_path / "x")


def test_flags_are_flags(tmp_path):
    """A text that says no is no False."""
    for call, name in ((lambda flag: fastbp.from_fann(FILES / "plain.net", scaling=flag), "scaling"),
                       (lambda flag: fastbp.from_fann(FILES / "plain.net", stepwise=flag), "stepwise"),
                       (lambda flag: fastbp.Network((2, 1)).to_fann(tmp_path / "x.net", relu=flag), "relu")):
        with pytest.raises(TypeError, match=f"{name} is 'no', expected True or False"):
            call("no")
    assert not [*tmp_path.iterdir()]
