"""Names as users of other libraries type them, and hints that lead to what was meant."""

import enum
import pickle

import numpy as np
import pytest

import fastbp
from fastbp import activations, cfunctions, costs, initializers, optimizers, schedules
from fastbp.util.names import canonical, plain

CATALOGUES = {
    "activation": (activations.ACTIVATIONS, activations.NAMES),
    "cost": (costs.COSTS, costs.NAMES),
    "optimizer": (optimizers.OPTIMIZERS, optimizers.NAMES),
    "schedule": (schedules.SCHEDULES, schedules.NAMES),
    "init": (initializers.INITIALIZERS, initializers.NAMES),
    "form": (cfunctions.FORMS, cfunctions.NAMES),
}

TYPED = [
    # scikit-learn
    ("activation", "logistic", "logistic"), ("cost", "log_loss", "cross_entropy"), ("cost", "pinball", "quantile"),
    ("optimizer", "lbfgs", "lbfgs"), ("schedule", "invscaling", "inversescaling"),
    ("cost", "mean_pinball_loss", "quantile"),
    # PyTorch
    ("activation", "Sigmoid", "logistic"), ("activation", "ReLU", "relu"), ("activation", "LeakyReLU", "leaky_relu"),
    ("activation", "Hardtanh", "hard_tanh"), ("activation", "SiLU", "silu"), ("cost", "MSELoss", "squared_error"),
    ("cost", "L1Loss", "absolute_error"), ("cost", "SmoothL1Loss", "huber"),
    ("cost", "BCELoss", "binary_cross_entropy"), ("cost", "BCEWithLogitsLoss", "binary_cross_entropy"),
    ("cost", "CrossEntropyLoss", "cross_entropy"),
    ("cost", "NLLLoss", "cross_entropy"), ("cost", "PoissonNLLLoss", "poisson"), ("optimizer", "SGD", "sgd"),
    ("optimizer", "RMSprop", "rmsprop"), ("optimizer", "LBFGS", "lbfgs"), ("init", "xavier_uniform_", "glorot_uniform"),
    ("init", "kaiming_normal_", "he_normal"), ("schedule", "CosineAnnealingLR", "cosine"),
    ("schedule", "ReduceLROnPlateau", "reduceonplateau"), ("schedule", "OneCycleLR", "onecycle"),
    # Keras
    ("activation", "linear", "identity"), ("activation", "sigmoid", "logistic"), ("activation", "swish", "silu"),
    ("activation", "exponential", "exp"), ("cost", "mse", "squared_error"), ("cost", "mae", "absolute_error"),
    ("cost", "binary_crossentropy", "binary_cross_entropy"), ("cost", "categorical_crossentropy", "cross_entropy"),
    ("cost", "sparse_categorical_crossentropy", "cross_entropy"), ("cost", "logcosh", "log_cosh"),
    ("init", "GlorotUniform", "glorot_uniform"), ("schedule", "ExponentialDecay", "exponential"),
    # JAX and optax
    ("activation", "leaky-relu", "leaky_relu"), ("cost", "l2_loss", "squared_error"),
    ("cost", "softmax_cross_entropy", "cross_entropy"), ("cost", "huber_loss", "huber"),
    ("cost", "sigmoid_binary_cross_entropy", "binary_cross_entropy"), ("optimizer", "adamw", "adamw"),
    ("schedule", "cosine_decay_schedule", "cosine"),
    # MATLAB
    ("activation", "tansig", "tanh"), ("activation", "logsig", "logistic"), ("activation", "purelin", "identity"),
    ("activation", "poslin", "relu"), ("activation", "radbas", "gaussian"),
    ("optimizer", "trainlm", "levenbergmarquardt"), ("optimizer", "trainbr", "bayesianregularization"),
    ("optimizer", "trainscg", "scaledconjugategradient"),
    ("cost", "crossentropy", "cross_entropy"), ("init", "initnw", "nguyen_widrow"),
    # SciPy, and what people say
    ("optimizer", "L-BFGS-B", "lbfgs"), ("optimizer", "BFGS", "lbfgs"), ("optimizer", "CG", "conjugategradient"),
    ("optimizer", "scg", "scaledconjugategradient"), ("optimizer", "lm", "levenbergmarquardt"),
    ("optimizer", "levenberg_marquardt", "levenbergmarquardt"),
    ("optimizer", "Levenberg Marquardt", "levenbergmarquardt"),
    ("optimizer", "iRprop+", "rprop"), ("cost", "bce", "binary_cross_entropy"), ("cost", "nll", "cross_entropy"),
    ("cost", "l1", "absolute_error"), ("cost", "l2", "squared_error"), ("form", "nquad", "quad"),
]

HINTED = [
    ("activation", "relu6", "'relu'"), ("activation", "PReLU", "'leaky_relu'"),
    ("activation", "log_softmax", "'softmax' with the cost 'cross_entropy'"),
    ("activation", "hardlim", "'logistic'"), ("activation", "sigmiod", "'logistic'"), ("activation", "tahn", "'tanh'"),
    ("cost", "kl_div", "'cross_entropy'"), ("cost", "rmse", "'squared_error'"), ("cost", "mape", "'absolute_error'"),
    ("cost", "hinge", "'cross_entropy' or 'binary_cross_entropy'"), ("cost", "pinbal", "'quantile'"),
    ("optimizer", "momentum", "fastbp.SGD(momentum=0.9)"), ("optimizer", "newton", "'levenbergmarquardt' or 'lbfgs'"),
    ("optimizer", "irprop-", 'fastbp.Rprop(variant="irprop-")'), ("optimizer", "adma", "'adam'"),
    ("init", "xavier", "'glorot_uniform'"), ("init", "he", "'he_uniform'"), ("schedule", "constant", "a number"),
]


def entry(kind, name):
    known, names = CATALOGUES[kind]
    return canonical(kind, name, known, names)


@pytest.mark.parametrize(("kind", "typed", "meant"), TYPED)
def test_names_of_other_libraries_find_what_they_mean(kind, typed, meant):
    assert entry(kind, typed) == meant


@pytest.mark.parametrize(("kind", "typed", "hint"), HINTED)
def test_a_name_of_something_else_leads_to_the_nearest_by_meaning(kind, typed, hint):
    with pytest.raises(ValueError, match=f"^unknown {kind} ") as error:
        entry(kind, typed)
    assert f"did you mean {hint}" in str(error.value)


@pytest.mark.parametrize(("kind", "typed"), [("activation", "gated"), ("cost", "triplet"), ("optimizer", "xyz")])
def test_no_hint_is_better_than_a_misleading_one(kind, typed):
    with pytest.raises(ValueError, match=f"^unknown {kind} '{typed}': Known: "):
        entry(kind, typed)


@pytest.mark.parametrize("kind", CATALOGUES)
def test_case_underscores_and_hyphens_do_not_matter(kind):
    known, names = CATALOGUES[kind]
    built_in = set(names.accepted.values())
    for name in built_in:
        for typed in (name.upper(), name.replace("_", "-"), name.replace("_", ""), name.replace("_", " ").title()):
            assert entry(kind, typed) == name
    assert built_in <= set(known)


@pytest.mark.parametrize("kind", CATALOGUES)
def test_a_name_has_one_meaning(kind):
    known, names = CATALOGUES[kind]
    for name in set(names.accepted.values()):
        assert names.accepted[plain(name)] == name, "a name in the catalogue is no synonym of another"
    assert not names.accepted.keys() & names.hints.keys()


def test_what_is_stored_shown_and_saved_is_the_name_of_the_catalogue(tmp_path):
    typed = fastbp.Network((2, 3, 3, 1), ["Sigmoid", "swish"], "linear", "mse",
                           init=["xavier_uniform", "auto", "LeCun-Normal"], seed=1)
    plain = fastbp.Network((2, 3, 3, 1), ["logistic", "silu"], "identity", "squared_error",
                           init=["glorot_uniform", "auto", "lecun_normal"], seed=1)
    assert typed.activations == ("logistic", "silu", "identity") and typed.cost_function.name == "squared_error"
    assert repr(typed) == repr(plain) and typed.architecture() == plain.architecture()
    typed.save(tmp_path / "typed")
    plain.save(tmp_path / "plain")
    assert (tmp_path / "typed").read_bytes() == (tmp_path / "plain").read_bytes()
    assert pickle.loads(pickle.dumps(typed)).activations == plain.activations
    X = np.linspace(-1, 1, 20).reshape(10, 2)
    typed.fit(X, X[:, :1], epochs=2, optimizer="L-BFGS")
    plain.fit(X, X[:, :1], epochs=2, optimizer="lbfgs")
    assert (typed.parameters == plain.parameters).all()


def test_strings_of_other_types_are_stored_as_plain_ones():
    Init = enum.Enum("Init", {"he": "he_normal"}, type=str)
    net = fastbp.Network((2, 3, 1), np.str_("relu"), init=[np.str_("zeros"), Init.he], seed=0)
    assert [type(name) for name in (*net.activations, *net.init)] == [str] * 4 and net.init[1] == "he_normal"


def test_softmax_by_another_spelling_is_for_the_output_layer_only():
    with pytest.raises(ValueError, match="'softmax' is not element-wise"):
        fastbp.Network((2, 3, 2), "Softmax")


@pytest.mark.parametrize(("register", "name", "other"), [
    (lambda name: fastbp.register_activation(lambda x: x, name=name), "swish", "silu"),
    (lambda name: fastbp.register_activation(lambda x: x, name=name), "ReLU", "relu"),
    (lambda name: fastbp.register_cost(lambda y, o: o, name=name), "mse", "squared_error"),
])
def test_a_function_of_ones_own_takes_no_name_of_a_built_in_one(register, name, other):
    """Else a file with that name, loaded where the function is not registered, would compute something else."""
    with pytest.raises(ValueError, match=f"'{name}' is another name of the built-in .* '{other}': choose another"):
        register(name)


def test_functions_of_ones_own_go_by_their_exact_names(monkeypatch):
    monkeypatch.setattr(activations, "ACTIVATIONS", activations.ACTIVATIONS | {"bent_one": None})
    assert activations.get("bent_one") is None
    with pytest.raises(ValueError, match="unknown activation 'Bent-One': did you mean 'bent_one'"):
        activations.get("Bent-One")


def test_a_schedule_by_any_name_is_told_its_settings():
    with pytest.raises(ValueError, match=r"fastbp\.schedules\.Cosine\(learning_rate, epochs"):
        fastbp.Adam("cosine_annealing")
