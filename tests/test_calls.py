"""A call by address is not checked by any compiler: every one must hand over as many arguments as its kernel takes."""

import ast
import inspect
from pathlib import Path

import fastbp
from fastbp.kernels import backprop, codes, derivatives, embedded, epoch, regular, searches, tangents

LETTERS = {
    "cells": {cell: letters
              for cell, (_, letters) in (backprop.KERNELS | derivatives.KERNELS | tangents.KERNELS).items()}
    | {codes.CELL_COST_KERNEL: codes.COST_ARGUMENTS, codes.CELL_JACOBIAN: codes.ACTIVATION_ARGUMENTS,
       codes.CELL_COST_SECOND: codes.COST_CURVATURE_ARGUMENTS,
       codes.CELL_PLAIN_NEURONS: backprop.KERNELS[codes.CELL_MY_NEURONS][1]},
    "calls": {cell: letters for cell, (_, letters) in embedded.KERNELS.items()}
    | {codes.ENTRY_OUTPUT: codes.ACTIVATION_ARGUMENTS},
    "layers": {codes.LAYER_ACTIVATION: codes.ACTIVATION_ARGUMENTS, codes.LAYER_SECOND: codes.CURVATURE_ARGUMENTS},
}
"""Table -> cell or column -> the letters of the kernel whose address lies there."""
LETTERS["here"] = LETTERS["layers"]  # a row of it

ALONE = dict.fromkeys(("update", "learner.update", "rule"), codes.RULE_ARGUMENTS) | {
    "forward": embedded.KERNELS[codes.ENTRY_FORWARD_ONE][1], "total": codes.TOTAL_ARGUMENTS,
    "penalize": codes.RULE_ARGUMENTS, "address": backprop.KERNELS[codes.CELL_END_EPOCH][1],
    "direct": codes.SEARCH_ARGUMENTS, "remember": codes.SEARCH_ARGUMENTS}
"""Variable that holds an address -> the letters of its kernel."""

SOURCES = sorted((Path(fastbp.__file__).parent / "kernels").glob("*.py"))


def calls(path):
    """Give (line, table, name of the cell, number of arguments) of every call by address; a variable has no table."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call":
            target = node.args[0]
            if isinstance(target, ast.Subscript):
                index = target.slice.elts[-1] if isinstance(target.slice, ast.Tuple) else target.slice
                table = target.value.attr if isinstance(target.value, ast.Attribute) else target.value.id
                yield node.lineno, table, index.id, len(node.args) - 1
            else:
                yield node.lineno, None, ast.unparse(target), len(node.args) - 1


def test_arguments_are_as_many_as_the_kernel_takes():
    wrong, seen = [], set()
    for path in SOURCES:
        for line, table, name, count in calls(path):
            if table is None:
                assert name in ALONE, f"{path.name}:{line} calls {name}"
            letters = ALONE[name] if table is None else LETTERS[table][getattr(codes, name)]
            seen.add(name)
            if count != len(letters):
                wrong.append(f"{path.name}:{line}: {name} takes {len(letters)} arguments, is given {count}")
    assert not wrong, "\n".join(wrong)
    assert {"FORWARD", "GRADIENT", "MY_SAMPLES", "MY_NEURONS", "ACTIVATION", "COST_KERNEL", "THROUGH", "CURVATURE",
            "BEND"} <= seen


def test_letters_are_as_many_as_parameters():
    own = [(regular.total, codes.TOTAL_ARGUMENTS), (epoch.my_neurons_clipped,
                                                    backprop.KERNELS[codes.CELL_MY_NEURONS][1]),
                                                    *((rule, codes.RULE_ARGUMENTS)
                                                      for rule in (regular.update, regular.measure,
                                                                   regular.update_clipped))]
    own += [(searches.next_point, backprop.KERNELS[codes.CELL_END_EPOCH][1]),
            *((kernel, codes.SEARCH_ARGUMENTS) for kernel in (searches.lbfgs_direction, searches.lbfgs_pair,
                                                              searches.conjugate_direction, searches.conjugate_note))]
    phases = [(phase, backprop.KERNELS[codes.CELL_MY_SAMPLES][1]) for phase in tangents.PHASES.values()]
    for function, arguments in [*backprop.KERNELS.values(), *derivatives.KERNELS.values(), *embedded.KERNELS.values(),
                                *tangents.KERNELS.values(), *phases, *own]:
        plain = getattr(function, "py_func", function)
        assert len(inspect.signature(plain).parameters) == len(arguments), plain.__name__
