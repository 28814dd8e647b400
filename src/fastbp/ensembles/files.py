"""Ensembles in files: the networks as in files of their own, and what they predict of rows that they have not seen."""

from __future__ import annotations

import re
from os import PathLike
from typing import Any

import numpy as np

from ..network import Network
from ..persistence.networks import described_network, tensors, write
from ..persistence.networks import made as made_network
from ..persistence.reading import File, opened
from .held_out import BOOTSTRAP, CALIBRATION, FOLDS, HeldOut
from .intervals import Informed
from .members import DISTRIBUTION, Array, Members

MEMBER = re.compile(r"members\.(0|[1-9][0-9]*)\.")
"""What the names of a member's tensors begin with."""

PLACES = {"resample": (FOLDS, BOOTSTRAP), "calibration": (CALIBRATION,)}
"""What an ensemble knows of unseen rows -> how they may have come to be unseen."""

TOLD = {"origin", "classes", "digest"}
"""What a header says of unseen rows."""

TENSORS = "unseen", "targets", "predictions", "weights"
"""What stands in tensors of their own."""


def save(self: Informed, path: str | PathLike[str]) -> None:
    """Write all networks to one safetensors file, with what they predict of rows that they have not seen.

    Network i is in the tensors ``members.i.weights.0``, …, as in a file of `Network.save`, without its training. The
    file is written beside ``path``, synced and renamed, so that ``path`` always holds a whole file.

    Parameters
    ----------
    path : str or path
        Where to; see `Network.save`.

    Raises
    ------
    OSError
        If it cannot be written; it names ``path``, and an existing file is left as it was.
    ValueError
        If a function of the user's own is missing in this process.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (100, 1))
    >>> Y = np.sin(3 * X) + 0.1 * rng.normal(size=X.shape)
    >>> networks = [fastbp.Network((1, 8, 1), seed=seed).fit(X, Y, epochs=20) for seed in range(3)]
    >>> ensemble = fastbp.Ensemble(networks)
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/ensemble.safetensors"
    >>> ensemble.save(path)
    >>> bool((fastbp.Ensemble.load(path).predict(X) == ensemble.predict(X)).all())
    True
    """
    told, content = described(self)
    write(path, {"ensemble": told}, content, encoded=any(network.encoders for network in self.networks))


def described(ensemble: Informed) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what a header says of an ensemble, and its tensors."""
    members: list[dict[str, Any]] = []
    content: dict[str, Array] = {}
    for i, network in enumerate(ensemble.networks):
        members.append(described_network(network))
        content |= tensors(network, f"members.{i}.")
    told: dict[str, Any] = {"members": members}
    for place in PLACES:
        held: HeldOut | None = getattr(ensemble, f"_{place}")
        told[place] = held and {"origin": held.origin, "classes": held.targets.ndim == 1, "digest": held.digest}
        if held is not None:
            content |= {f"{place}.{name}": np.ascontiguousarray(getattr(held, name))
                        for name in TENSORS}
    return told, content


def load(path: str | PathLike[str]) -> tuple[list[Network], dict[str, HeldOut | None]]:
    """Read the networks, and by its place what is known of unseen rows; everything is checked before it is read."""
    with opened(path) as file:
        told = file.header.get("ensemble")
        if told is None and "architecture" in file.header:
            raise ValueError(f"{file.path} holds one network: use fastbp.Network.load")
        if told is None and "table" in file.header:
            raise ValueError(f"{file.path} holds an estimator: use fastbp.TabularRegressor.load, or that of "
                             "TabularClassifier")
        return made(file, told, file.names)


def made(file: File, told: Any, names: set[str]) -> tuple[list[Network], dict[str, HeldOut | None]]:
    """Make the networks, and what is known of unseen rows, of what a header tells, and of the tensors of these names.

    All of the names are the ensemble's own.
    """
    if not (isinstance(told, dict) and told.keys() == {"members", *PLACES} and isinstance(told["members"], list)):
        raise ValueError(f"{file.path} has a corrupt header: an ensemble is expected to have members, "
                         f"{' and '.join(PLACES)}")
    of_member: dict[str, set[str]] = {f"members.{i}.": set() for i in range(len(told["members"]))}
    of_member[""] = set()
    for name in names:
        begin = MEMBER.match(name)
        of_member[begin[0] if begin and begin[0] in of_member else ""].add(name)
    expected = {f"{place}.{name}" for place in PLACES if told[place] is not None
                for name in TENSORS}
    if of_member[""] != expected:
        raise ValueError(f"{file.path} holds {sorted(of_member[''])} beside the tensors of {len(told['members'])} "
                         f"members, its header says {sorted(expected)}")
    networks = [made_network(Network, file, description, of_member[prefix], prefix)
                for description, prefix in zip(told["members"], of_member, strict=False)]
    with file.blamed("header"):
        members = Members(networks)
    known = {}
    for place in PLACES:
        with file.blamed(place):
            known[place] = None if told[place] is None else _held_out(file, place, told[place], members)
    return networks, known


def _held_out(file: File, place: str, told: Any, members: Members) -> HeldOut:
    """Make what is known of unseen rows."""
    if not isinstance(told, dict) or told.keys() != TOLD:
        raise ValueError(f"it tells {told!r}, expected {sorted(TOLD)}")
    origin, of_classes, digest = told["origin"], told["classes"], told["digest"]
    if origin not in PLACES[place]:
        raise ValueError(f"origin is {origin!r}, expected {' or '.join(PLACES[place])}")
    if not isinstance(of_classes, bool) or (of_classes and members._kind != DISTRIBUTION):
        raise ValueError(f"classes is {of_classes!r}, which these networks cannot have as targets")
    if not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{32}", digest)):
        raise ValueError(f"digest is {digest!r}, expected 32 hexadecimal digits")
    shape = file.found(f"{place}.predictions")[1]
    if len(shape) != 2 or shape[0] == 0:
        raise ValueError(f"{place}.predictions is {shape}, expected [rows, {members._n_targets}]")
    n = shape[0]
    predictions = file.read(f"{place}.predictions", np.float64, [n, members._n_targets])
    unseen = file.read(f"{place}.unseen", np.bool_, [len(members.networks), 1 if origin == CALIBRATION else n])
    _check_unseen(origin, unseen)
    if of_classes:
        targets = file.read(f"{place}.targets", np.int64, [n])
        if targets.min() < 0 or targets.max() >= members._n_out:
            raise ValueError(f"targets hold class {targets.min()} or {targets.max()}, expected 0 to "
                             f"{members._n_out - 1}")
    else:
        targets = file.read(f"{place}.targets", np.float64, [n, members._n_targets])
        if not np.isfinite(targets).all():
            raise ValueError("targets are not finite")
    weighted = file.found(f"{place}.weights")[1] != [0]
    weights = file.read(f"{place}.weights", np.float64, [n if weighted else 0])
    if weighted and not (np.isfinite(weights).all() and weights.min() >= 0):
        raise ValueError("weights are not finite, or negative")
    return HeldOut(origin, unseen, targets, predictions, weights, digest)


def _check_unseen(origin: str, unseen: Array) -> None:
    """Raise unless these say which members have not seen which rows, as rows of this origin come to be unseen."""
    if unseen.view(np.uint8).max() > 1:
        raise ValueError("unseen holds bytes that are neither 0 nor 1")
    if origin == CALIBRATION and not unseen.all():
        raise ValueError("unseen holds False: no member has seen the rows of a calibration")
    if origin == FOLDS and (unseen.sum(axis=0) != 1).any():
        raise ValueError("unseen has rows of another number of members than one, which is that of folds")
