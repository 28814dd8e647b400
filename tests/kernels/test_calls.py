"""Calls by address: a kernel's signature stands once, as annotations, and every call is compared with it."""

import ast
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

from fastbp import activations, costs, encoders, jit, kernels, optimizers
from fastbp.kernels import embedded, embedded_slopes, prototypes, tables
from fastbp.kernels.compile import JIT, Kernel, address, by_address, kernel
from fastbp.kernels.compile.arguments import arguments
from fastbp.kernels.derivatives import encoded as columns
from fastbp.kernels.derivatives import first, gauss_newton
from fastbp.kernels.derivatives import second as tangents
from fastbp.kernels.ir import call
from fastbp.kernels.layer import dense, gather, parametric
from fastbp.kernels.layer.encoders import scaling_gradient
from fastbp.kernels.passes import (
    backprop,
    barrier,
    encoded,
    epoch,
    line_search,
    more_thuente,
    own_weights,
    predict,
    record,
    relay,
    sparse,
)
from fastbp.kernels.table import Table
from fastbp.kernels.updates import penalties as regular
from fastbp.optimizers import BATCH_METHODS, LineSearch

MODULES = [importlib.import_module(found.name)
           for found in pkgutil.walk_packages(kernels.__path__, "fastbp.kernels.")]
ALL = {id(value): value for module in MODULES for value in vars(module).values() if isinstance(value, Kernel)}
STAND_INS = set(tangents.PHASES.values())
"""Kernels that lie where the table names all of them together."""
OF_ROWS = {function for row in activations.ACTIVATIONS.values() for function in (row.kernel, row.second_derivative)}
OF_ROWS |= {function for row in (*costs.COSTS.values(), costs.LINEAR)
            for function in (row.kernel, row.second_derivative, row.fisher, *row.pairs.values())}
OF_ROWS |= {function for row in encoders.ENCODERS.values() for function in (row.encode, row.gradient, row.slope)}
BY_OUTPUT = costs.by_output(costs.LINEAR).kernel
OF_ROWS |= {scaling_gradient, BY_OUTPUT}
"""Kernels of the catalogues: their prototypes have the place."""
PLACED = [found for found in ALL.values() if found.place >= 0 and found not in OF_ROWS
          and found.__module__ != prototypes.__name__]
BY_TABLE = {"ENTRY": embedded.KERNELS + embedded.ENCODED + embedded_slopes.KERNELS,
            "ENSEMBLE": (embedded.forward_members,), "BARRIER": (barrier.stand,),
            "LAYER": (parametric.activate, parametric.backward, parametric.gradient)}
BY_TABLE["CELL"] = [found for found in PLACED if not any(found in placed for placed in BY_TABLE.values())]


def signature(kernel):
    return "".join(letter for _, letter in kernel.arguments)


@pytest.mark.parametrize("kernel", ALL.values(), ids=lambda kernel: f"{kernel.__module__}.{kernel.__name__}")
def test_every_kernel_declares_its_arguments(kernel):
    """And returns nothing: `arguments` refuses what is not annotated."""
    assert len(kernel.arguments) == kernel.py_func.__code__.co_argcount > 0


def test_what_is_not_declared_is_refused():
    def no_annotation(panel):
        pass

    def returns(n: int) -> int:
        return n

    for function, wrong in ((no_annotation, "-> None"), (returns, "-> None")):
        with pytest.raises(TypeError, match=wrong):
            arguments(function)

    def half(n: int, panel) -> None:
        pass

    with pytest.raises(TypeError, match="annotate panel as"):
        arguments(half)


def test_kernels_that_stand_in_for_others_take_the_same_arguments():
    rows = [(row.kernel, prototypes.activation) for row in activations.ACTIVATIONS.values()]
    rows += [(row.second_derivative, prototypes.second_derivative) for row in activations.ACTIVATIONS.values()
             if row.second_derivative]
    rows += [(k, prototypes.cost) for row in (*costs.COSTS.values(), costs.LINEAR)
             for k in (row.kernel, *row.pairs.values())]
    rows += [(row.second_derivative, prototypes.cost_second) for row in costs.COSTS.values()]
    rows += [(row.fisher, prototypes.fisher) for row in costs.COSTS.values() if row.fisher]
    rows += [(kind().rule, prototypes.update_rule) for kind in optimizers.RULES.values()]
    rows += [(k, prototypes.update_rule) for k in (regular.update, regular.update_clipped, regular.measure)]
    rows += [(k, prototypes.direction) for kind in BATCH_METHODS.values() if issubclass(kind, LineSearch)
             for k in (kind.direct, kind.remember)]
    rows += [(phase, backprop.my_samples) for phase in tangents.PHASES.values()]
    rows += [(regular.total, prototypes.total_penalty), (epoch.my_neurons_clipped, backprop.my_neurons),
             (backprop.my_neurons_parametric, backprop.my_neurons), (relay.my_neurons, backprop.my_neurons),
             (own_weights.my_samples, backprop.my_samples),
             (line_search.next_point, record.end_epoch), (more_thuente.next_iterate, record.end_epoch),
             (gather.gather_sparse, gather.gather), (gather.gather_columns, gather.gather),
             (gather.gather_transposed, gather.gather), (dense.backward_packed, dense.backward),
             (gather.count, gather.total_weight), (BY_OUTPUT, prototypes.cost)]
    rows += [(row.encode, prototypes.encoder) for row in encoders.ENCODERS.values()]
    rows += [(row.gradient, prototypes.encoder_gradient) for row in encoders.ENCODERS.values() if row.gradient]
    rows += [(row.slope, prototypes.encoder_slope) for row in encoders.ENCODERS.values() if row.slope]
    rows += [(scaling_gradient, prototypes.encoder_gradient), (encoded.gathered, gather.gather),
             (encoded.my_samples, backprop.my_samples), (encoded.my_neurons, backprop.my_neurons),
             (encoded.predict_many, predict.predict), (sparse.my_samples, backprop.my_samples),
             (sparse.my_neurons, backprop.my_neurons), (sparse.predict_many, predict.predict),
             (embedded.forward_encoded, embedded.forward),
             (embedded.backpropagate_encoded, embedded.backpropagate),
             (embedded.input_one_encoded, embedded.input_one), (embedded.vjp_one_encoded, embedded.vjp_one),
             (embedded_slopes.refuse, embedded.many)]
    rows += [(found, prototypes.block)
             for found in (*vars(first).values(), *vars(columns).values(), gauss_newton.jacobian_rows)
             if isinstance(found, Kernel)]
    assert len(rows) > 80
    for found, prototype in rows:
        if isinstance(found, Kernel):  # others are loops around a user's function
            assert signature(found) == signature(prototype), found.__name__


def test_a_kernel_of_other_arguments_has_no_address():
    with pytest.raises(TypeError, match="gather_labels takes rniiifiii, expected ffi as activation"):
        address(gather.gather_labels, np.dtype("float32"), prototypes.activation)


def test_every_address_lies_where_its_table_says():
    """The table's text names the kernel, and the kernel its place."""
    for name, found in BY_TABLE.items():
        table = getattr(tables, name)
        meanings = dict(zip(table, table.meanings.values(), strict=True))
        assert len(found) > 8 or name in ("ENSEMBLE", "LAYER", "BARRIER")
        for held in found:
            assert meanings[held.place].startswith("address of ")
            named = f"`{held.__module__.rpartition('.')[2]}.{held.__name__}`" in meanings[held.place]
            assert named is (held not in STAND_INS), held.__name__


@pytest.mark.parametrize("name", [name for name, table in vars(tables).items() if isinstance(table, Table)])
def test_names_of_cells_are_those_of_the_table(name):
    table = getattr(tables, name)
    for cell, index in zip(table.meanings, table, strict=True):
        assert getattr(tables, f"{name}_{cell.upper()}") == index
    array = np.arange(2 * (table.start + table.count)).reshape(2, -1)
    view = table.view(array)
    for cell, index in zip(table.meanings, table, strict=True):
        assert np.ravel(view[cell][1])[:1].view(np.int64) == array[1, index]
    view[table.dtype.names[-1]] = 0
    assert (array[:, index] == 0).all() and array[1, index - 1] == array[1, 0] + index - 1


def call_sites():
    """Yield file and line, the kernel and the table of every call by way of a table."""
    for module in [*MODULES, jit.functions, jit.slopes, jit.ensemble]:
        path, names = Path(module.__file__), vars(module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call":
                what, where = node.args[:2]
                found = names[what.id] if isinstance(what, ast.Name) else getattr(names[what.value.id], what.attr)
                yield f"{path.name}:{node.lineno}", found, ast.unparse(where)


def test_calls_look_into_the_table_that_holds_their_kernel():
    expected = {"cells": "CELL", "plan.cells": "CELL", "calls": "ENTRY", "pointer(model.calls)": "ENTRY",
                "pointer(model.sizes)": "ENSEMBLE"}
    prototype_tables = {"activation": "LAYER", "second_derivative": "LAYER", "cost": "CELL", "cost_second": "CELL",
                        "fisher": "CELL", "jacobian_product": "CELL", "encoder": "ENCODER",
                        "encoder_gradient": "ENCODER", "encoder_slope": "ENCODER"}
    seen = 0
    for where, found, table in call_sites():
        named = "LAYER" if table == "here" or table.startswith("row(") else expected.get(table)
        named = "ENCODER" if where.startswith("encoded.py") and table == "here" else named
        if named is None:
            continue  # an address
        if found.__module__ == prototypes.__name__:
            assert prototype_tables[found.__name__] == named, where
        else:
            assert found in BY_TABLE[named], where
        seen += 1
    assert seen > 100


# ------------------------------------------------------------------------------------- wrong calls are errors


@by_address()
def _three(panel: prototypes.Floats, doubles: prototypes.Doubles, n: int) -> None:
    """Something to call."""
    panel[0] = n


@kernel
def _as_it_should_be(where, panel, doubles, n):
    call(_three, where, panel, doubles, n)


@kernel
def _one_too_few(where, panel, doubles, n):
    call(_three, where, panel, doubles)


@kernel
def _no_place(table, panel, doubles, n):
    call(_three, table, panel, doubles, n)


@kernel
def _forward(cells, parameters, panels):
    call(dense.forward, cells, parameters, 0, 0, panels, 0, 0, 1, 1, 0, 0, -1)


F32, F64, INTS = np.zeros(4, "float32"), np.zeros(4), np.zeros(4, np.int64)


def test_a_call_that_fits_is_made():
    where, panel = address(_three, np.dtype("float32")), F32.copy()
    _as_it_should_be(where, panel, F64, np.int32(3))
    assert panel[0] == 3


@pytest.mark.parametrize(("caller", "given", "told"), [
    (_as_it_should_be, (0, INTS, F64, 1), "call(_three): panel is"),
    (_as_it_should_be, (0, F32, F32, 1), "call(_three): doubles is"),
    (_as_it_should_be, (0, F32, F64, F32), "call(_three): n is"),
    (_as_it_should_be, (0, F32, F64, 1.5), "call(_three): n is"),
    (_as_it_should_be, (0, F32, 1, 1), "call(_three): doubles is"),
    (_as_it_should_be, (0, np.zeros((2, 2), "float32"), F64, 1), "call(_three): panel is"),
    (_one_too_few, (0, F32, F64, 1), "call(_three): 2 arguments are given, it takes 3: panel, doubles, n"),
    (_no_place, (INTS, F32, F64, 1), "call(_three): it has no place of its own in a table"),
    (_forward, (np.zeros(tables.CELL_COUNT, np.int64), F64, F32), "call(forward): panels is"),
])
def test_a_call_that_does_not_fit_is_an_error_that_names_kernel_and_argument(caller, given, told):
    """When the caller is compiled, or with the JIT off when it calls: a float64 for a float32 array, say."""
    import numba

    with pytest.raises(numba.core.errors.TypingError if JIT else TypeError) as caught:
        caller(*given)
    assert told in str(caught.value)


def test_a_read_only_array_is_refused_where_it_would_be_written():
    import numba

    frozen = F32.copy()
    frozen.flags.writeable = False
    with pytest.raises(numba.core.errors.TypingError if JIT else TypeError, match=r"call\(_three\): panel is"):
        _as_it_should_be(0, frozen, F64, 1)
