"""Functions of one number in C: the activations, what they are made of, and elementary functions without math.h.

Each is a template. ``$real`` is float or double, ``$name`` another function: libm's where it is one of `LIBM` and
libm may be used, else one of these. Decimals get an f where the source is in float.

None of them looks at bits or needs the rounding of an intermediate result to be that of its type: so they work on any
machine with binary floating-point numbers, x87 registers and software included, and with contracted products.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

LIBM = ("cos", "erfc", "exp", "expm1", "log1p", "sin", "tanh")
"""Functions of math.h that the others use; in float with an f behind."""

ACTIVATIONS = {
    "logistic": """
static $real $logistic($real x)
{
    const $real z = $exp(x < 0.0 ? x : -x);
    return (x < 0.0 ? z : 1.0) / (1.0 + z);
}
""",
    "relu": """
static $real $relu($real x)
{
    return x < 0.0 ? 0.0 : x;
}
""",
    "leaky_relu": """
static $real $leaky_relu($real x)
{
    return x > 0.0 ? x : x * 0.01;
}
""",
    "elu": """
static $real $elu($real x)
{
    return x > 0.0 ? x : $expm1(x);
}
""",
    "selu": """
static $real $selu($real x)
{
    return x > 0.0 ? 1.0507009873554805 * x : 1.7580993408473769 * $expm1(x);
}
""",
    "softplus": """
static $real $softplus($real x)
{
    return (x < 0.0 ? 0.0 : x) + $log1p($exp(x < 0.0 ? x : -x));
}
""",
    "softsign": """
static $real $softsign($real x)
{
    x = x < -1e30 ? -1e30 : x > 1e30 ? 1e30 : x;
    return x / (1.0 + (x < 0.0 ? -x : x));
}
""",
    "silu": """
static $real $silu($real x)
{
    const $real z = $exp(x < 0.0 ? x : -x);
    return (x < 0.0 ? (x < -800.0 ? -800.0 : x) * z : x) / (1.0 + z);
}
""",
    "gelu": """
static $real $gelu($real x)
{
    $real t = x < 0.0 ? -x : x;
    t = t > 40.0 ? 40.0 : t;
    return (x < 0.0 ? 0.0 : x) - t * $tail(t);
}
""",
    "mish": """
static $real $mish($real x)
{
    const $real e = $exp(x > 24.0 ? 24.0 : x), w = e * (e + 2.0);
    return (x < -800.0 ? -800.0 : x) * (w / (w + 2.0));
}
""",
    "hard_tanh": """
static $real $hard_tanh($real x)
{
    return x < -1.0 ? -1.0 : x > 1.0 ? 1.0 : x;
}
""",
    "hard_sigmoid": """
static $real $hard_sigmoid($real x)
{
    x = (x + 3.0) * 0.16666666666666667;
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}
""",
    "gaussian": """
static $real $gaussian($real x)
{
    x = x < -40.0 ? -40.0 : x > 40.0 ? 40.0 : x;
    return $exp(-x * x);
}
""",
}
"""By name; identity is no function, tanh, sin and exp are libm's or stand below, and softmax is not of one number."""

KNOWN = frozenset({"identity", "tanh", "sin", "exp", "softmax", *ACTIVATIONS})
"""All activations that there is C of."""

TAIL = """
/* The normal distribution function at -t, 0 <= t. */
static $real $tail($real t)
{
    return 0.5 * $erfc(t * 0.70710678118654752);
}
"""

PARTS = """
/* q and n of exp(x + rest) = 2^n (1 + q), |q| < 1/2, for |x + rest| < 1300 and a small rest. */
static $real $parts($real x, $real rest, int *n)
{
    const $real t = (x + rest) * 1.4426950408889634;
    $real k, p;
    *n = t > -2000.0 && t < 2000.0 ? (int)(t + (t < 0.0 ? -0.5 : 0.5)) : 0;
    k = ($real)*n;
    x = (x - k * $HIGH) + (rest - k * $LOW);
$EXPM1
    return x + x * x * p;
}
"""

OWN = {
    "scaled": """
/* 2^n x. */
static $real $scaled($real x, int n)
{
    $real factor = n < 0 ? 0.5 : 2.0;
    int left = n < 0 ? -n : n;
    while (left > 0) {
        if (left & 1)
            x *= factor;
        left >>= 1;
        if (left > 0)
            factor *= factor;
    }
    return x;
}
""",
    "parts": PARTS,
    "exp": """
static $real $exp($real x)
{
    int n;
    $real q;
    x = x < $LEAST ? $LEAST : x > $MOST ? $MOST : x;
    q = $parts(x, 0.0, &n);
    return n > 0 ? 2.0 * $scaled(1.0 + q, n - 1) : $scaled(1.0 + q, n);
}
""",
    "expm1": """
/* exp(x) - 1 for x <= 0. */
static $real $expm1($real x)
{
    int n;
    $real q, power;
    q = $parts(x < $LEAST ? $LEAST : x, 0.0, &n);
    power = $scaled(1.0, n);
    return power * q + (power - 1.0);
}
""",
    "tanh": """
static $real $tanh($real x)
{
    int n;
    $real q, power;
    q = x < 0.0 ? 2.0 * x : -2.0 * x;
    q = $parts(q < $LEAST ? $LEAST : q, 0.0, &n);
    power = $scaled(1.0, n);
    q = (power * q + (power - 1.0)) / (power * q + (power + 1.0));
    return x < 0.0 ? q : -q;
}
""",
    "log1p": """
/* log(1 + x) for 0 <= x <= 1. */
static $real $log1p($real x)
{
    const $real s = x / (2.0 + x), z = s * s;
    $real p;
$LOG
    return x - s * (x - z * p);
}
""",
    "middle": """
/* The normal distribution function at -t, 0 <= t < 2/3. */
static $real $middle($real t)
{
    const $real z = t * t;
    $real p;
$MIDDLE
    return 0.5 - t * p;
}
""",
    "tail": """
/* The normal distribution function at -t, 0 <= t <= 40: exp(-t t/2) p(u)/(t + 5), u = (t - 5)/(t + 5). The square is
   taken in two parts, the first exact; quotients and the last sum are corrected by what rounding took from them. */
static $real $tail($real t)
{
    const $real sum = t + 5.0, lost = t - (sum - 5.0), over = t - 5.0;
    $real near = t < 41.0 ? ($real)(long)(t * $STEPS) / $STEPS : t, far = t - near, u, p, q;
    int n;
    if (t < 0.68)
        return $middle(t);
    q = $parts(-0.5 * near * near, -0.5 * far * (t + near), &n);
    u = over / sum;
    u += ((t - (over + 5.0)) - u * lost) / sum;
$NORMAL
    p *= u;
    near = p + $CONSTANT;
    far = p > $CONSTANT ? $CONSTANT - (near - p) : p - (near - $CONSTANT);
    u = near / sum;
    return $scaled(u + (u * q + (far - u * lost) / sum), n);
}
""",
    "turned": """
/* x less the nearest k pi/2, what rounding took from it, and the last two bits of k; what is too large counts as 0. */
static $real $turned($real x, $real *rest, int *k)
{
    $real n, y;
    long turns;
    x = x > -$FAR && x < $FAR ? x : x - x;
    n = x * 0.63661977236758134;
    turns = n > -$FAR && n < $FAR ? (long)(n + (n < 0.0 ? -0.5 : 0.5)) : 0;
    n = ($real)turns;
    *k = (int)(turns & 3);
$PI
}
""",
    "sine": """
/* sin(x + rest) for |x| <= pi/4 and a small rest. */
static $real $sine($real x, $real rest)
{
    const $real z = x * x;
    $real p;
$SINE
    return x + (x * z * p + rest);
}
""",
    "cosine": """
/* cos(x + rest) for |x| <= pi/4 and a small rest. */
static $real $cosine($real x, $real rest)
{
    const $real z = x * x;
    $real p;
$COSINE
    return 1.0 - (0.5 * z - (z * z * p - x * rest));
}
""",
    "sin": """
static $real $sin($real x)
{
    int k;
    $real rest;
    x = $turned(x, &rest, &k);
    x = k & 1 ? $cosine(x, rest) : $sine(x, rest);
    return k & 2 ? -x : x;
}
""",
    "cos": """
static $real $cos($real x)
{
    int k;
    $real rest;
    x = $turned(x, &rest, &k);
    x = k & 1 ? $sine(x, rest) : $cosine(x, rest);
    return (k + 1) & 2 ? -x : x;
}
""",
}
"""What takes libm's place, by name."""

_POLYNOMIALS: dict[str, tuple[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "EXPM1": ("x", (
        (0.0013936546, 0.008366412, 0.041666448, 0.16666545, 0.5),
        (2.5114405186498297e-08, 2.7625533374878197e-07, 2.755722832256539e-06, 2.4801506791965603e-05,
         0.0001984126990241674, 0.0013888888930005327, 0.008333333333314985, 0.04166666666658296,
         0.16666666666666685, 0.5000000000000004),
    )),
    "LOG": ("z", (
        (0.23824356, 0.21562679, 0.286035, 0.39999413, 0.6666667),
        (0.16723931326285368, 0.08506670118803714, 0.12065995350546842, 0.13306325924329243, 0.15386127302240718,
         0.18181765598485253, 0.22222223308745187, 0.2857142855937699, 0.4000000000005737, 0.6666666666666661),
    )),
    "SINE": ("z", (
        (-0.00019526173, 0.008332261, -0.16666657),
        (1.590368040559303e-10, -2.505088908159913e-08, 2.7557314628081018e-06, -0.00019841269832891027,
         0.008333333333326951, -0.16666666666666655),
    )),
    "COSINE": ("z", (
        (2.449823e-05, -0.0013887951, 0.04166666),
        (-1.1373854299867524e-11, 2.0876003956105494e-09, -2.7557316455189577e-07, 2.48015872968329e-05,
         -0.001388888888888582, 0.041666666666666664),
    )),
    "MIDDLE": ("z", (
        (0.000109663, -0.0011883227, 0.009974815, -0.06649062, 0.3989423),
        (2.071842720425997e-09, -4.1081296806031435e-08, 6.659199187750513e-07, -9.444650237392416e-06,
         0.00011543468854041604, -0.0011873282158578933, 0.00997355701007929, -0.0664903800669074,
         0.3989422804014327),
    )),
    "NORMAL": ("u", (
        (0.00011302159, 0.0006797414, -0.0008236608, -0.0030611674, 0.020782651, -0.069108576, 0.1650234, -0.3135336,
         0.49530542, -0.6653825),
        (-2.3632583351864185e-10, 1.6076777699738977e-09, 7.869937551370118e-09, -8.823522605605548e-09,
         -6.615439624406712e-08, 4.156214422442941e-08, 4.3323839600201534e-07, -3.3602969183320743e-07,
         -2.769279700947635e-06, 3.980603845028881e-06, 1.668120944353248e-05, -4.976271714426205e-05,
         -5.937572742604032e-05, 0.0005448990447202618, -0.0007978693978578545, -0.0029933767680012965,
         0.020795066799670324, -0.06911863870648165, 0.16502036617041085, -0.3135331566712994, 0.4953056159699752,
         -0.6653825028900567),
    )),
}
"""Variable, and coefficients from the highest degree down in float and double: those of `kernels.elementwise`, which
`bench/derive_polynomials.py` derives."""

_PI = (
    (1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.563344e-12),
    (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32),
)
"""Parts of pi/2; of all but the last the product with any k that `turned` allows is exact."""

_NUMBERS: dict[str, tuple[str, str]] = {
    "HIGH": ("0.693145751953125", "0.693147180559663"),
    "LOW": ("1.428606765330187e-06", "2.8235290563031577e-13"),
    "LEAST": ("-104.0", "-746.0"),
    "MOST": ("89.0", "710.0"),
    "STEPS": ("64.0", "1048576.0"),
    "CONSTANT": ("0.76919305", "0.769193049750063"),
    "FAR": ("4194304.0", "1073741824.0"),
}
"""ln 2 in two parts, the first short enough for exact products; where exp ends; steps of which t of `tail` has so
few that their square is exact; the last coefficient of its polynomial; beyond what `turned` gives up."""

_DECIMAL = re.compile(r"(?<![\w.])\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)(?![\w.])")
_NAME = re.compile(r"\$([a-z]\w*)")


def function_source(names: Iterable[str], prefix: str, further: dict[str, str] | None = None, *, single: bool,
                    libm: bool) -> tuple[str, dict[str, str]]:
    """Return the source of these functions and of all that they use, and what each of them is called.

    Parameters
    ----------
    names : iterable of str
        Of `ACTIVATIONS`, `LIBM`, and of ``further`` ones.
    prefix : str
        What the names of functions begin with in C.
    further : dict of str
        More templates, by name.
    single : bool
        Whether numbers are float, not double.
    libm : bool
        Whether functions of math.h may be used.
    """
    templates = ACTIVATIONS | ({"tail": TAIL} if libm else OWN) | (further or {})
    fixed = _numbers(single=single) | {"real": "float" if single else "double", "const": f"{prefix}_const"}
    called: dict[str, str] = {}
    parts: list[str] = []

    def take(name: str) -> None:
        if name in called:
            return
        if libm and name in LIBM:
            called[name] = name + "f" * single
            return
        called[name] = f"{prefix}_{name}"
        for needed in _NAME.findall(templates[name]):
            if needed not in fixed:
                take(needed)
        parts.append(render(templates[name], fixed | called, single=single))

    for name in names:
        take(name)
    return "".join(parts), called


def render(template: str, values: Mapping[str, Any], *, single: bool) -> str:
    """Return a template with its values; its own decimals, not those of the values, get an f in float."""
    return string.Template(_DECIMAL.sub(r"\g<0>f", template) if single else template).substitute(values)


def _numbers(*, single: bool) -> dict[str, str]:
    """Return the constants and polynomials of a type."""
    which = 0 if single else 1
    values = {name: numbers[which] for name, numbers in _NUMBERS.items()}
    values |= {name: _horner(variable, coefficients[which])
               for name, (variable, coefficients) in _POLYNOMIALS.items()}
    values["PI"] = _reduction(*_PI[which])
    return {name: render(text, {}, single=single) for name, text in values.items()}


def _horner(variable: str, coefficients: tuple[float, ...]) -> str:
    """Return statements that leave the polynomial in p."""
    first, *others = coefficients
    return "\n".join([f"    p = {first!r};", *(f"    p = p * {variable} {'-' if c < 0 else '+'} {abs(c)!r};"
                                               for c in others)])


def _reduction(first: float, second: float, third: float, last: float) -> str:
    """Return statements that take n pi/2 off x: y is what they leave, rest what the last rounding took from it."""
    return f"""\
    x = (x - n * {first!r}) - n * {second!r};
    y = x - n * {third!r};
    *rest = ((x - y) - n * {third!r}) - n * {last!r};
    return y;"""
