"""Words that users of other libraries type as keywords, and what fastbp has in their place."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

FIT: dict[str, str] = {
    "lr learning_rate learning_rate_init eta step_size": "the optimizer's: optimizer=fastbp.Adam({value})",
    "momentum": "the optimizer's: optimizer=fastbp.SGD(0.01, momentum={value})",
    "solver": "optimizer={value}",
    "weight_decay alpha l1 l2 dropout label_smoothing input_noise clipnorm clip_norm max_norm":
        "a regularization: regularization=fastbp.Regularization(...), see fastbp.Regularization",
    "trainable frozen freeze": "a regularization: regularization=fastbp.Regularization(trainable=...)",
    "verbose": "progress=True, or a callback that prints what it is given",
    "validation_data eval_set": "validation=(X, Y)",
    "validation_split validation_fraction": "validation={value}, which keeps back the last rows",
    "early_stopping monitor patience": "a callback: callbacks=[fastbp.EarlyStopping(...)]",
    "random_state rng seed": "the network's: Network(..., seed=...)",
    "n_epochs num_epochs epoch max_iter iterations nb_epoch": "epochs={value}",
    "batch batchsize n_batch": "batch_size={value}",
    "sample_weights weights": "sample_weight=",
    "callback": "callbacks=[...]",
    "loss cost criterion": "the network's: Network(..., cost=...)",
    "n_jobs num_threads workers": "threads={value}",
    "y targets labels": "the second argument, Y",
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
}
"""Of `Network`."""


def check(function: Callable[..., Any], what: str, others: tuple[object, ...], unknown: Mapping[str, object],
          hints: Mapping[str, str]) -> None:
    """Raise TypeError if there are arguments that a function does not have, and say what it has in their place."""
    if not others and not unknown:
        return
    kinds: dict[Any, list[str]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self":
            kinds.setdefault(parameter.kind, []).append(parameter.name)
    first, named = kinds[inspect.Parameter.POSITIONAL_OR_KEYWORD], kinds[inspect.Parameter.KEYWORD_ONLY]
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
                    + f"; it has {', '.join(first + named)}")
