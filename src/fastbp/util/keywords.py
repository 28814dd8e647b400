"""Words that users of other libraries type as keywords, and what fastbp has in their place."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

FIT: dict[str, str] = {
    "lr learning_rate learning_rate_init eta step_size": "the optimizer's: optimizer=fastbp.Adam({value})",
    "momentum": "the optimizer's: optimizer=fastbp.SGD(0.01, momentum={value})",
    "solver": "optimizer={value}",
    "scheduler lr_scheduler schedule": "the optimizer's: optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.01))",
    "weight_decay alpha l1 l2 dropout label_smoothing input_noise clipnorm clip_norm max_norm":
        "a regularization: regularization=fastbp.Regularization(...), see fastbp.Regularization",
    "trainable frozen freeze": "a regularization: regularization=fastbp.Regularization(trainable=...)",
    "verbose": "progress=True, or a callback that prints what it is given",
    "validation_data eval_set val_data": "validation=(X, Y)",
    "validation_split validation_fraction val_split": "validation={value}, which keeps back the last rows",
    "early_stopping monitor patience min_delta restore_best_weights tol n_iter_no_change":
        "a callback: callbacks=[fastbp.EarlyStopping(...)]",
    "random_state rng seed": "the network's: Network(..., seed=...)",
    "n_epochs num_epochs epoch max_iter n_iter iterations nb_epoch": "epochs={value}",
    "batch batchsize n_batch bs minibatch_size": "batch_size={value}",
    "sample_weights weights": "sample_weight=",
    "class_weight": "sample_weight=, a weight for each row; fastbp.MLPClassifier takes class weights",
    "callback": "callbacks=[...]",
    "loss cost criterion": "the network's: Network(..., cost=...)",
    "n_jobs num_threads workers": "threads={value}",
    "x inputs": "the first argument, X",
    "y targets labels": "the second argument, Y",
    "device": "not there: it computes on the CPU",
}
"""Of `Network.fit`: keywords of others, separated by spaces -> what to write."""

NETWORK: dict[str, str] = {
    "lr learning_rate learning_rate_init optimizer solver": "asked for by fit: fit(X, Y, optimizer=fastbp.Adam(0.01))",
    "epochs batch_size callbacks validation metrics regularization sample_weight threads shuffle":
        "asked for by fit: fit(X, Y, {name}=...)",
    "max_iter": "asked for by fit: fit(X, Y, epochs={value})",
    "weight_decay alpha l1 l2 dropout":
        "asked for by fit: fit(X, Y, regularization=fastbp.Regularization({name}={value}))",
    "random_state rng": "seed={value}",
    "loss criterion objective": "cost={value}",
    "hidden_layer_sizes hidden units sizes layer_sizes": "the first argument, all layers from inputs to outputs: "
                                                         "Network((2, 32, 1))",
    "activations hidden_activation act": "activation={value}",
    "output_activation out_activation final_activation": "output={value}",
    "use_bias": "bias={value}",
    "initializer kernel_initializer weight_init": "init={value}",
    "precision": "dtype={value}",
    "input_shape input_dim input_size n_inputs": "the first number of layers: Network((2, 32, 1))",
    "device": "not there: it computes on the CPU",
    "flat": "what results have after a fit on Y of shape (n,), and an attribute: net.flat = {value}",
}
"""Of `Network`."""

STEP: dict[str, str] = {
    "lr learning_rate learning_rate_init": "the optimizer's: optimizer=fastbp.Adam({value})",
    "sample_weight sample_weights weights": "fit's: fit(X, Y, sample_weight=..., epochs=1, batch_size=len(X), "
                                            "resume=True); or weigh U in train_on_output_gradients(X, U)",
    "regularization weight_decay l1 l2 dropout callbacks metrics target_jacobian signed_weights":
        "fit's: fit(X, Y, epochs=1, batch_size=len(X), resume=True)",
    "epochs batch_size": "not there: all rows of X are one batch, of which it makes one update",
}
"""Of `Network.train_on_batch`."""

OPTIMIZER: dict[str, str] = {
    "lr eta step_size lr0 learning_rate_init": "learning_rate={value}",
    "betas": "beta1=0.9, beta2=0.999",
    "beta_1": "beta1={value}",
    "beta_2": "beta2={value}",
    "eps": "epsilon={value}",
    "rho alpha": "decay={value}",
    "history_size maxcor m": "memory={value}",
    "amsgrad": "a class of its own: fastbp.AMSGrad(...)",
    "weight_decay": "a class of its own, fastbp.AdamW(...); or fit(..., regularization=fastbp.Regularization(...))",
    "momentum nesterov": "SGD's: fastbp.SGD(0.01, momentum=0.9)",
    "decay scheduler schedule lr_decay": "a schedule as the learning rate: fastbp.Adam(fastbp.schedules.Cosine(0.01))",
    "clipnorm clipvalue clip_norm max_grad_norm":
        "fit's: fit(..., regularization=fastbp.Regularization(clip_norm=...))",
    "params parameters": "not there: fit gives it the network's parameters",
    "max_iter epochs": "fit's: fit(X, Y, epochs={value})",
}
"""Of the optimizers; ``name=…`` only of those that have such a setting."""

EARLY_STOPPING: dict[str, str] = {
    "monitor": "what it watches: the validation cost where there is one; else metric='accuracy', of those that fit "
               "records",
    "restore_best_weights": "restore_best={value}",
    "mode": "higher_is_better=True",
    "tol": "min_delta={value}",
    "n_iter_no_change": "patience={value}",
}
"""Of `EarlyStopping`."""

SCHEDULE: dict[str, str] = {
    "lr base_lr initial_learning_rate init_value max_lr eta_max": "learning_rate={value}",
    "T_max T_0 total_steps decay_steps total_iters": "epochs={value}",
    "eta_min min_lr": "lowest={value}",
    "gamma decay_rate": "factor={value}",
    "step_size": "every={value}",
    "T_mult": "lengthen={value}",
    "monitor": "metric={value}",
    "optimizer": "not there: give the schedule as the learning rate of an optimizer, fastbp.Adam(schedule)",
}
"""Of the schedules; ``name=…`` only of those that have such a setting."""


def answers(hints: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Return a decorator: a class answers settings that it does not have by what fastbp has in their place."""
    def decorate(kind: type[T]) -> type[T]:
        changed: Any = kind
        made, settings = changed.__init__, set(inspect.signature(kind).parameters)
        own = {words: hint for words, hint in hints.items()
               if not (name := hint.partition("=")[0]).isidentifier() or name in settings}

        @functools.wraps(made)
        def init(self: T, *values: Any, **named: Any) -> None:
            if not settings.issuperset(named):
                unknown = {name: value for name, value in named.items() if name not in settings}
                check(kind, kind.__name__, (), unknown, own)
            made(self, *values, **named)

        changed.__init__ = init
        return kind

    return decorate


def check(function: Callable[..., Any], what: str, others: tuple[object, ...], unknown: Mapping[str, object],
          hints: Mapping[str, str]) -> None:
    """Raise TypeError if there are arguments that a function does not have, and say what it has in their place."""
    if not others and not unknown:
        return
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    first = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    if others:
        raise TypeError(f"{what} takes {len(first)} arguments without a name, {', '.join(first)}, but got "
                        f"{len(first) + len(others)}: write the others by name, {named[0]}={others[0]!r}")
    name, value = next(iter(unknown.items()))
    shown = repr(value) if isinstance(value, (str, int, float, bool)) else "..."
    hint = next((hint for words, hint in hints.items() if name in words.split()), None)
    if hint is not None:
        raise TypeError(f"{what} has no argument {name!r}; in fastbp it is " + hint.format(name=name, value=shown))
    near = difflib.get_close_matches(name, first + named, 1)
    raise TypeError(f"{what} has no argument {name!r}" + (f": did you mean {near[0]!r}?" if near else "")
                    + (f"; it has {', '.join(first + named)}" if first + named else "; it has none"))
