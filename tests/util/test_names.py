"""Names as users of other libraries type them, and hints that lead to what was meant."""

import enum
import math
import pickle

import numpy as np
import pytest

import fastbp
from fastbp import activations, cfunctions, costs, initializers, metrics, optimizers, schedules
from fastbp.util.names import canonical, plain

CATALOGUES = {
    "activation": (activations.ACTIVATIONS, activations.NAMES),
    "cost": (costs.COSTS, costs.NAMES),
    "optimizer": (optimizers.OPTIMIZERS, optimizers.NAMES),
    "schedule": (schedules.SCHEDULES, schedules.NAMES),
    "init": (initializers.INITIALIZERS, initializers.NAMES),
    "form": (cfunctions.FORMS, cfunctions.NAMES),
    "metric": (metrics.METRICS, metrics.NAMES),
}

TYPED = [
    # scikit-learn
    ("activation", "logistic", "logistic"), ("cost", "log_loss", "cross_entropy"), ("cost", "pinball", "quantile"),
    ("optimizer", "lbfgs", "lbfgs"), ("schedule", "invscaling", "inversescaling"),
    ("cost", "mean_pinball_loss", "quantile"), ("activation", "identity", "identity"),
    ("cost", "squared_error", "squared_error"), ("cost", "absolute_error", "absolute_error"),
    ("schedule", "adaptive", "reduceonplateau"), ("metric", "roc_auc_score", "auc"), ("metric", "r2_score", "r2"),
    # PyTorch
    ("activation", "Sigmoid", "logistic"), ("activation", "ReLU", "relu"), ("activation", "LeakyReLU", "leaky_relu"),
    ("activation", "Hardtanh", "hard_tanh"), ("activation", "SiLU", "silu"), ("cost", "MSELoss", "mean_squared_error"),
    ("cost", "L1Loss", "absolute_error"), ("cost", "SmoothL1Loss", "huber"),
    ("cost", "BCELoss", "binary_cross_entropy"), ("cost", "BCEWithLogitsLoss", "binary_cross_entropy"),
    ("cost", "CrossEntropyLoss", "cross_entropy"),
    ("cost", "NLLLoss", "cross_entropy"), ("cost", "PoissonNLLLoss", "poisson"), ("optimizer", "SGD", "sgd"),
    ("optimizer", "RMSprop", "rmsprop"), ("optimizer", "LBFGS", "lbfgs"), ("init", "xavier_uniform_", "glorot_uniform"),
    ("init", "kaiming_normal_", "he_normal"), ("schedule", "CosineAnnealingLR", "cosine"),
    ("schedule", "ReduceLROnPlateau", "reduceonplateau"), ("schedule", "OneCycleLR", "onecycle"),
    ("activation", "ELU", "elu"), ("activation", "SELU", "selu"), ("activation", "GELU", "gelu"),
    ("activation", "Softplus", "softplus"), ("activation", "Mish", "mish"),
    ("activation", "Hardsigmoid", "hard_sigmoid"), ("cost", "HuberLoss", "huber"), ("optimizer", "AdamW", "adamw"),
    ("optimizer", "NAdam", "nadam"),
    ("optimizer", "Rprop", "rprop"), ("init", "kaiming_uniform_", "he_uniform"), ("init", "orthogonal_", "orthogonal"),
    ("init", "zeros_", "zeros"), ("schedule", "StepLR", "step"), ("schedule", "ExponentialLR", "exponential"),
    ("schedule", "CosineAnnealingWarmRestarts", "cosine"),
    # Keras
    ("activation", "linear", "identity"), ("activation", "sigmoid", "logistic"), ("activation", "swish", "silu"),
    ("activation", "exponential", "exp"), ("cost", "mse", "mean_squared_error"),
    ("cost", "l2_loss", "squared_error"), ("cost", "mae", "absolute_error"),
    ("metric", "R2Score", "r2"), ("metric", "CategoricalAccuracy", "accuracy"), ("metric", "AUC", "auc"),
    ("cost", "binary_crossentropy", "binary_cross_entropy"), ("cost", "categorical_crossentropy", "cross_entropy"),
    ("cost", "sparse_categorical_crossentropy", "cross_entropy"), ("cost", "logcosh", "log_cosh"),
    ("init", "GlorotUniform", "glorot_uniform"), ("schedule", "ExponentialDecay", "exponential"),
    ("cost", "MeanSquaredError", "mean_squared_error"), ("cost", "MeanAbsoluteError", "absolute_error"),
    ("cost", "Huber", "huber"), ("cost", "Poisson", "poisson"), ("cost", "LogCosh", "log_cosh"),
    ("optimizer", "Nadam", "nadam"), ("optimizer", "Lion", "lion"), ("optimizer", "Adadelta", "adadelta"),
    ("init", "HeNormal", "he_normal"), ("init", "LecunUniform", "lecun_uniform"), ("init", "Zeros", "zeros"),
    ("schedule", "CosineDecay", "cosine"), ("schedule", "InverseTimeDecay", "inversescaling"),
    # JAX and optax
    ("activation", "leaky-relu", "leaky_relu"), ("cost", "l2_loss", "squared_error"),
    ("cost", "GaussianNLLLoss", "gaussian_nll"),
    ("cost", "softmax_cross_entropy", "cross_entropy"), ("cost", "huber_loss", "huber"),
    ("cost", "sigmoid_binary_cross_entropy", "binary_cross_entropy"), ("optimizer", "adamw", "adamw"),
    ("cost", "softmax_cross_entropy_with_integer_labels", "cross_entropy"), ("optimizer", "adabelief", "adabelief"),
    ("schedule", "cosine_onecycle_schedule", "onecycle"), ("schedule", "exponential_decay", "exponential"),
    ("init", "xavier_normal", "glorot_normal"),
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
    ("form", "quadpack", "quad"), ("form", "generic_filter", "filter"), ("form", "Arrays", "arrays"),
    ("optimizer", "gradient descent", "sgd"), ("optimizer", "iRprop+", "rprop"),
]

HINTED = [
    ("activation", "relu6", "'relu'"), ("activation", "PReLU", "fastbp.parametric('relu', alpha=0.75)"),
    ("activation", "log_softmax", "'softmax' with the cost 'cross_entropy'"),
    ("activation", "hardlim", "'logistic'"), ("activation", "sigmiod", "'logistic'"), ("activation", "tahn", "'tanh'"),
    ("cost", "beta_nll", "fastbp.gaussian_nll(beta=0.5)"),
    ("cost", "kl_div", "'cross_entropy'"), ("cost", "rmse", "'squared_error'"), ("cost", "mape", "'absolute_error'"),
    ("cost", "hinge", "'cross_entropy' or 'binary_cross_entropy'"), ("cost", "pinbal", "'quantile'"),
    ("optimizer", "momentum", "fastbp.SGD(momentum=0.9)"), ("optimizer", "newton", "'levenbergmarquardt' or 'lbfgs'"),
    ("optimizer", "irprop-", 'fastbp.Rprop(variant="irprop-")'), ("optimizer", "adma", "'adam'"),
    ("init", "xavier", "'glorot_uniform'"), ("init", "he", "'he_uniform'"), ("schedule", "constant", "a number"),
    ("activation", "CELU", "'elu', which is celu with alpha=1"), ("activation", "gelu_tanh", "'gelu', which is exact"),
    ("activation", "softmin", "'softmax'"), ("activation", "softshrink", "'identity'"),
    ("activation", "none", "'identity'"),
    ("activation", "squareplus", "'softplus'"), ("cost", "KLDivLoss", "'cross_entropy', whose gradient is the same"),
    ("cost", "MultiLabelSoftMarginLoss", "'binary_cross_entropy'"), ("cost", "ctc_loss", "'cross_entropy'"),
    ("cost", "msereg", r"'squared_error' with fastbp.Regularization(l2=...)"), ("cost", "brier", "'squared_error'"),
    ("optimizer", "sgdm", "fastbp.SGD(momentum=0.9)"), ("optimizer", "nag", "fastbp.SGD(momentum=0.9, nesterov=True)"),
    ("optimizer", "TNC", "'lbfgs'"), ("optimizer", "trust-constr", "'levenbergmarquardt' or 'lbfgs'"),
    ("optimizer", "SparseAdam", "'adam'"), ("optimizer", "saga", "'sgd'"),
    ("init", "ones", "fastbp.initializers.Constant(1.0)"), ("init", "trunc_normal_", "'glorot_normal'"),
    ("init", "VarianceScaling", "'he_uniform'"), ("init", "eye_", "the weights themselves"),
    ("schedule", "LambdaLR", "a function of the number of epochs"), ("schedule", "MultiStepLR", "'step'"),
    ("schedule", "warmup_cosine_decay_schedule", "fastbp.schedules.WarmUp(fastbp.schedules.Cosine(...), epochs)"),
    ("schedule", "linear_schedule", "'inversescaling'"), ("schedule", "CyclicLR", "'onecycle'"),
    ("form", "dblquad", "'quad'"), ("metric", "val_loss", "the cost, which is recorded and watched in any case"),
    ("metric", "f1", "a function of your own"), ("metric", "acuracy", "'accuracy'"),
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
    typed = fastbp.Network((2, 3, 3, 1), ["Sigmoid", "swish"], "linear", "l2_loss",
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
    (lambda name: fastbp.register_cost(lambda y, o: o, name=name), "mse", "mean_squared_error"),
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


# --------------------------------------------------------- what docs/from/names.md says of our own, by formula

ACTIVATIONS = {
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0), 1),
    "gaussian": lambda x: math.exp(-x * x),
    "exp": math.exp,
}

GRID = np.linspace(-4, 4, 41)[:, None]


def applied(name):
    """An activation, as a network applies it."""
    net = fastbp.Network((1, 1), output=name, bias=False, dtype="float64", init=fastbp.initializers.Constant(1.0))
    return net.predict(GRID)[:, 0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_what_the_table_of_names_says(name):
    np.testing.assert_allclose(applied(name), [ACTIVATIONS[name](x) for x in GRID[:, 0]], rtol=1e-13, atol=1e-15)


def test_the_approximation_of_gelu_by_tanh_is_as_far_off_as_the_table_says():
    x = GRID[:, 0]
    approximate = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    assert 3e-4 < np.abs(applied("gelu") - approximate).max() < 5e-4


COSTS = {
    "squared_error": lambda y, o: np.square(o - y).sum() / 2,
    "absolute_error": lambda y, o: np.abs(o - y).sum(),
    "huber": lambda y, o: np.where(abs(o - y) <= 1, (o - y) ** 2 / 2, abs(o - y) - 0.5).sum(),
    "log_cosh": lambda y, o: np.log(np.cosh(o - y)).sum(),
    "quantile": lambda y, o: np.abs(o - y).sum() / 2,
    "binary_cross_entropy": lambda y, o: -(y * np.log(o) + (1 - y) * np.log(1 - o)).sum(),
    "cross_entropy": lambda y, o: -(y * np.log(o)).sum(),
    "poisson": lambda y, o: (o - y * np.log(o)).sum(),
    "gaussian_nll": lambda y, o: (o[2:] + (y[:2] - o[:2]) ** 2 / np.exp(o[2:])).sum() / 2,
}


@pytest.mark.parametrize("name", COSTS)
def test_costs_are_what_the_table_of_names_says(name, rng):
    """Summed over outputs, averaged over samples, with the output activation that is the default."""
    net = fastbp.Network((2, 4 if name == "gaussian_nll" else 3), cost=name, dtype="float64", seed=0)
    X, Y = rng.normal(size=(7, 2)), rng.uniform(size=(7, 2 if name == "gaussian_nll" else 3))
    if name == "cross_entropy":
        Y = np.eye(3)[rng.integers(3, size=7)]
        assert net.cost(X, Y.argmax(axis=1)) == net.cost(X, Y)
    elif "error" in name or name == "huber":
        Y *= 4
    O = net.predict(X)  # noqa: E741
    assert math.isclose(net.cost(X, Y), np.mean([COSTS[name](y, o) for y, o in zip(Y, O, strict=True)]), rel_tol=1e-12)
    if name == "poisson":
        x = X @ net.weights[0].T + net.biases[0]
        assert math.isclose(net.cost(X, Y), (np.exp(x) - Y * x).sum() / 7, rel_tol=1e-12), "PyTorch's, log_input=True"


def test_smooth_l1_is_huber_over_delta(rng):
    delta, X, Y = 0.3, rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    net = fastbp.Network((2, 2), cost=fastbp.huber(delta), dtype="float64", seed=0)
    e = np.abs(net.predict(X) - Y)
    smooth = np.where(e < delta, e * e / (2 * delta), e - delta / 2).sum() / 9
    assert math.isclose(net.cost(X, Y) / delta, smooth, rel_tol=1e-12)


def test_momentum_has_the_learning_rate_within():
    """PyTorch has it without: another step after μ has changed."""
    def schedule(epoch):
        return (0.1, 0.01)[min(epoch, 1)]

    net = fastbp.Network((1, 1), bias=False, dtype="float64", init="zeros")
    w = v = 0.0
    net.fit([[1.0]], [[1.0]], epochs=3, batch_size=1, optimizer=fastbp.SGD(schedule, momentum=0.9))
    for rate in (0.1, 0.01, 0.01):
        v = 0.9 * v - rate * (w - 1)
        w += v
    assert math.isclose(net.parameters[0], w, rel_tol=1e-14)


def test_normal_distributions_are_not_cut_off():
    net = fastbp.Network((100, 100), output="relu", init="he_normal", dtype="float64", seed=0)
    assert np.abs(net.weights[0]).max() > 3 * math.sqrt(2 / 100)


def test_defaults_that_the_table_of_names_tells():
    assert fastbp.Adam().epsilon == 1e-8 and not fastbp.Adam().epsilon_hat
    assert fastbp.AdamW().weight_decay == 0.01 and fastbp.Adadelta().learning_rate == 1
    assert (fastbp.RMSprop().learning_rate, fastbp.RMSprop().decay) == (1e-3, 0.9)
    assert fastbp.quantile().parameter == 0.5 and fastbp.huber().parameter == 1
    assert fastbp.gaussian_nll().parameter == 0.5 and costs.get("gaussian_nll").parameter == 0
    assert fastbp.LBFGS().memory == 10 and fastbp.Rprop().variant == "irprop+"
    assert fastbp.schedules.InverseScaling(0.3, 0.7)(4) == pytest.approx(0.3 / 5**0.7, rel=1e-15)
    assert activations.ACTIVATIONS["selu"].initializer == "lecun_normal"
