"""A call by address is not checked by any compiler: every one must hand over as many arguments as its kernel takes."""

import ast
import inspect
from pathlib import Path

import fastbp
from fastbp.kernels import backprop, codes, derivatives

LETTERS = {
    **{cell: arguments for cell, (_, arguments) in (backprop.KERNELS | derivatives.KERNELS).items()},
    codes.COST_KERNEL: codes.COST_ARGUMENTS,
    codes.JACOBIAN: codes.ACTIVATION_ARGUMENTS,
    codes.ACTIVATION: codes.ACTIVATION_ARGUMENTS,
}
SOURCES = sorted((Path(fastbp.__file__).parent / "kernels").glob("*.py"))


def calls(path):
    """Give (line, name of the cell or of the variable, number of arguments) of every call by address in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call":
            target = node.args[0]
            if isinstance(target, ast.Subscript):
                index = target.slice.elts[-1] if isinstance(target.slice, ast.Tuple) else target.slice
                yield node.lineno, index.id, len(node.args) - 1
            else:
                yield node.lineno, ast.unparse(target), len(node.args) - 1


def test_arguments_are_as_many_as_the_kernel_takes():
    wrong, seen = [], set()
    for path in SOURCES:
        for line, name, count in calls(path):
            rule = name in ("update", "learner.update")
            letters = codes.RULE_ARGUMENTS if rule else LETTERS[getattr(codes, name)]
            seen.add(name)
            if count != len(letters):
                wrong.append(f"{path.name}:{line}: {name} takes {len(letters)} arguments, is given {count}")
    assert not wrong, "\n".join(wrong)
    assert {"FORWARD", "GRADIENT", "MY_SAMPLES", "MY_NEURONS", "ACTIVATION", "COST_KERNEL"} <= seen


def test_letters_are_as_many_as_parameters():
    for function, arguments in (backprop.KERNELS | derivatives.KERNELS).values():
        plain = getattr(function, "py_func", function)
        assert len(inspect.signature(plain).parameters) == len(arguments), plain.__name__
