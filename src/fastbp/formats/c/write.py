"""A prediction as C source: one .c and one .h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...core import arrays
from ..predictor import Predictor
from . import text
from .encoders import ENCODERS
from .functions import KNOWN, LIBM, function_source, render
from .selftest import tests
from .statements import FUNCTIONS, Body, body

Array = npt.NDArray[Any]

WORKSPACES = "static", "caller"

HEADER = """\
/* $stem.h: $about */

#ifndef ${prefix}_h_included
#define ${prefix}_h_included

#ifdef __cplusplus
extern "C" {
#endif

enum {
$constants
};

/* Write the $outputs, y[$n_outputs], of the inputs x[$n_inputs]$conditions. */
void ${prefix}_predict(const $real x[], $real y[]$space);
$classify$classes$selftest
#ifdef __cplusplus
}
#endif

#endif
"""

CLASSIFY = """
/* Return the index of the most likely class, 0 ... $last_class, or -1 where outputs are NaN. */
int ${prefix}_classify(const $real x[]$space);
"""

CLASSES = """
/* Names of the classes, as UTF-8. */
extern const char *const ${prefix}_classes[$n_classes];
"""

SELFTEST = """
#ifdef $macro
/* Return 0 where the outputs of $n_rows rows are right, else the number of the first row whose outputs are not. */
int ${prefix}_selftest(void);
#endif
"""

SOURCE = """\
/* $stem.c: $about */

#include "$stem.h"
$includes$double
/* avr-gcc leaves these constants in flash memory where it compiles GNU C */
#if defined(__FLASH) && !defined(__STRICT_ANSI__) && !defined(__cplusplus)
#define ${prefix}_const const __flash
#else
#define ${prefix}_const const
#endif

$arrays
$functions$workspace
void ${prefix}_predict(const $real x[], $real y[]$space)
{
$statements
}
$classify$classes$selftest
#undef ${prefix}_const
"""

WORKSPACE = """
static $real ${prefix}_work[$size];
"""

DOUBLE = """
typedef char ${prefix}_double_has_8_bytes[sizeof(double) >= 8 ? 1 : -1];
"""

CLASSIFY_ONE = """
int ${prefix}_classify(const $real x[]$space)
{
    $real y[1];
    ${prefix}_predict(x, y$given);
    return y[0] > 0.5 ? 1 : y[0] >= 0.0 ? 0 : -1;
}
"""

CLASSIFY_MANY = """
int ${prefix}_classify(const $real x[]$space)
{
    $real *const y = $work + $buffers;
    int best = 0;
    ${prefix}_predict(x, y$given);
    for (int j = 1; j < $n_outputs; ++j)
        best = y[j] > y[best] ? j : best;
    return y[best] >= y[best] ? best : -1;
}
"""

CLASS_NAMES = """
const char *const ${prefix}_classes[$n_classes] = {
$names
};
"""

TEST = """
#ifdef $macro

$arrays
int ${prefix}_selftest(void)
{
    static $real x[$n_inputs], y[$n_outputs]$test_space;
    for (int row = 0; row < $n_rows; ++row) {
        for (int i = 0; i < $n_inputs; ++i)
            x[i] = ${prefix}_test_inputs[row * $n_inputs + i];
        ${prefix}_predict(x, y$given);
        for (int j = 0; j < $n_outputs; ++j) {
            const $real off = y[j] - ${prefix}_test_outputs[row * $n_outputs + j];
            if (!(off <= ${prefix}_test_tolerance[j] && -off <= ${prefix}_test_tolerance[j]))
                return row + 1;
        }
    }
    return 0;
}

#endif
"""


class CSource(NamedTuple):
    """What `Network.to_c` returns.

    Attributes
    ----------
    source : str
        The text of the .c file.
    header : str
        The text of the .h file.
    """

    source: str
    header: str


def c_source(predictor: Predictor, dtype: npt.DTypeLike, *, prefix: str, workspace: str, libm: bool, selftest: Any,
             stem: str) -> CSource:
    """Return a prediction as C source; ``stem`` names the header that the source includes.

    Raises
    ------
    ValueError
        If a setting is none of those it may be, a number is not finite in this dtype, or a function is not known as
        C.
    TypeError
        If ``libm`` is neither True nor False.
    """
    text.check_prefix(prefix)
    text.check_stem(stem)
    if not isinstance(workspace, str) or workspace not in WORKSPACES:
        raise ValueError(f"workspace is {workspace!r}, expected 'static' or 'caller'")
    predictor.check(KNOWN, ENCODERS, "C source")
    real = np.dtype(dtype)
    predictor = predictor.in_dtype(real)
    files = _Files(predictor, prefix, stem, workspace == "caller", arrays.flag("libm", libm), body(predictor, real),
                   tests(predictor, real, selftest))
    return CSource(files.source(), files.header())


@dataclass
class _Files:
    """The two files."""

    predictor: Predictor
    prefix: str
    stem: str
    caller: bool
    libm: bool
    body: Body
    tests: dict[str, Array]
    """Rows, outputs and tolerances by name, or nothing."""

    def __post_init__(self) -> None:
        p, chain, n_classes = self.prefix, self.predictor.chain, self.predictor.n_classes
        self.single = self.body.real == np.float32
        real, self.buffers = "float" if self.single else "double", sum(self.body.buffers.values())
        self.workspace = self.buffers + (chain.n_outputs if self._chooses() else 0)
        size = self.body.real.itemsize
        constants = size * sum(array.size for array in self.body.arrays.values())
        self.values: dict[str, Any] = {
            "prefix": p, "stem": self.stem, "real": real, "n_inputs": chain.n_inputs, "n_outputs": chain.n_outputs,
            "n_classes": n_classes, "last_class": n_classes - 1, "buffers": self.buffers,
            "macro": f"{p.upper()}_SELFTEST", "n_rows": len(self.tests["inputs"]) if self.tests else 0,
            "about": f"a feed-forward network {'-'.join(map(str, chain.sizes))} in {real}, written by fastbp.\n"
                     f"   Constants (flash): {constants} bytes. Workspace (RAM): {size * self.workspace} bytes. "
                     f"Multiply-adds of a prediction: {self.body.multiply_adds}.",
            "space": f", {real} workspace[]" if self.caller else "", "given": ", workspace" if self.caller else "",
            "work": "workspace" if self.caller else f"{p}_work",
        }

    def _chooses(self) -> bool:
        """Return whether a class is chosen among several outputs, which lie in the workspace for it."""
        return self.predictor.n_classes > 0 and self.predictor.chain.n_outputs > 1

    def _render(self, template: str, **values: Any) -> str:
        return render(template, self.values | values, single=self.single)

    def header(self) -> str:
        """Return the text of the .h file."""
        chain, n_classes = self.predictor.chain, self.predictor.n_classes
        constants = {"n_inputs": chain.n_inputs, "n_outputs": chain.n_outputs}
        if n_classes:
            constants["n_classes"] = n_classes
        if self.caller:
            constants["workspace"] = max(self.workspace, 1)
        outputs, conditions = "outputs", "; the two do not overlap"
        if self.predictor.means_first:
            outputs = "means, then as many logarithms of variances"
        elif self.predictor.labels:
            outputs = "probability of each label"
        elif n_classes:
            outputs = "probabilities of the classes" if self._chooses() else "probability of the second class"
        if self.caller:
            conditions = f";\n   workspace has room for {self.prefix}_workspace numbers; none of these overlap"
        elif self.workspace:
            conditions += ".\n   Not for two threads at once: they would share the workspace"
        return self._render(
            HEADER, outputs=outputs, conditions=conditions,
            constants=",\n".join(f"    {self.prefix}_{name} = {value}" for name, value in constants.items()),
            classify=self._render(CLASSIFY) if n_classes else "",
            classes=self._render(CLASSES) if self.predictor.classes is not None else "",
            selftest=self._render(SELFTEST) if self.tests else "")

    def source(self) -> str:
        """Return the text of the .c file."""
        p, arrays = self.prefix, self.body.arrays
        functions, called = function_source(sorted(self.body.functions), p, FUNCTIONS, single=self.single,
                                            libm=self.libm)
        names = called | {name: f"{p}_{name}" for name in arrays}
        includes = "#include <math.h>\n" if self.libm and called.keys() & set(LIBM) else ""
        return self._render(
            SOURCE, includes=includes, functions=functions.lstrip("\n"), arrays=self._arrays(arrays),
            double="" if self.single else self._render(DOUBLE), statements=self._statements(names),
            workspace="" if self.caller or not self.workspace else self._render(WORKSPACE, size=self.workspace),
            classify=self._classify(), classes=self._classes(), selftest=self._selftest())

    def _arrays(self, arrays: dict[str, Array]) -> str:
        return "\n".join(text.array(f"{self.prefix}_{name}", values, f"{self.prefix}_const")
                         for name, values in arrays.items())

    def _statements(self, names: dict[str, str]) -> str:
        lines, place = [], 0
        for name, size in self.body.buffers.items():
            if size:
                lines.append(f"$real *const {name} = $work{f' + {place}' if place else ''};")
            place += size
        if any("(i = 0" in line for line in self.body.statements):
            lines.append("int i;")
        if self.caller and not place:
            lines.append("(void)workspace;")
        return self._render("\n".join(f"    {line}" for line in lines + self.body.statements), **names)

    def _classify(self) -> str:
        if not self.predictor.n_classes:
            return ""
        return self._render(CLASSIFY_MANY if self._chooses() else CLASSIFY_ONE)

    def _classes(self) -> str:
        if self.predictor.classes is None:
            return ""
        names = ",\n".join(f"    {text.string(str(name))}" for name in self.predictor.classes)
        return self._render(CLASS_NAMES, names=names)

    def _selftest(self) -> str:
        if not self.tests:
            return ""
        arrays = self._arrays({f"test_{name}": values for name, values in self.tests.items()})
        space = f", workspace[{self.prefix}_workspace]" if self.caller else ""
        return self._render(TEST, arrays=arrays, test_space=space)
