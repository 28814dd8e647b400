"""Functions of one element: branch-free, so that the loop around them runs at the full width of the vector unit.

All are generic over float32 and float64 and are inlined where they are called. NaN in gives NaN out; the limits at
infinity are right; nothing overflows on the way to a finite result. The sign of zero is not kept. Errors in units in
the last place (ulp) are measured by ``tests/kernels/test_elementwise.py`` and listed in
``docs/explanation/accuracy.md``.

Two habits of this file: a constant is written ``r(0.5)`` with ``r = type(x)``, as a bare literal would turn float32
into float64; a limit is ``low if x < low else x``, in this order, as a comparison with NaN is false and x must win.

The polynomials are minimax fits derived by ``bench/derive_polynomials.py``. Their stated error is the largest error
they leave in the function they serve, relative to it, 2**-24 being half to one ulp of float32 and 2**-53 of float64.
"""

from __future__ import annotations

from typing import Any

from .compile import scalar
from .ir import from_bits, fused, is_single, polynomial, to_bits


@scalar
def wide(x: Any) -> float:
    """Return a number as a double: compiled, float() leaves a float32 as it is, while 1.0 times it is a double."""
    return 1.0 * float(x)


# --------------------------------------------------------------------------------------------------- polynomials


_expm1_rest = polynomial(
    # degree 4 on [-0.34692, 0.34692], error 0.256 * 2**-24
    single=(0.0013936546, 0.008366412, 0.041666448, 0.16666545, 0.5),
    # degree 9 on [-0.34692, 0.34692], error 0.188 * 2**-53
    double=(2.5114405186498297e-08, 2.7625533374878197e-07, 2.755722832256539e-06, 2.4801506791965603e-05,
            0.0001984126990241674, 0.0013888888930005327, 0.008333333333314985, 0.04166666666658296,
            0.16666666666666685, 0.5000000000000004),
)
"""Return (expm1(x) - x) / x**2 for |x| <= ln(2)/2."""


_log_rest = polynomial(
    # degree 2 on [0.0, 0.0294373], error 0.0178 * 2**-24
    single=(0.29830205, 0.39979354, 0.6666676),
    # degree 6 on [0.0, 0.0294373], error 0.0167 * 2**-53
    double=(0.14735875724995937, 0.1532036693710664, 0.18183302789582803, 0.2222220395289878, 0.2857142868564307,
            0.39999999999695895, 0.6666666666666686),
)
"""Return Q of log((1 + s)/(1 - s)) = 2 s + s z Q(z), z = s**2, for 1/sqrt(2) <= (1 + s)/(1 - s) <= sqrt(2)."""


_log_rest_wide = polynomial(
    # degree 4 on [0.0, 0.111111], error 0.00306 * 2**-24
    single=(0.23824356, 0.21562679, 0.286035, 0.39999413, 0.6666667),
    # degree 9 on [0.0, 0.111111], error 0.0185 * 2**-53
    double=(0.16723931326285368, 0.08506670118803714, 0.12065995350546842, 0.13306325924329243, 0.15386127302240718,
            0.18181765598485253, 0.22222223308745187, 0.2857142855937699, 0.4000000000005737, 0.6666666666666661),
)
"""Return the same Q for 1 <= (1 + s)/(1 - s) <= 2."""


_sine_rest = polynomial(
    # degree 2 on [0.0, 0.618085], error 0.081 * 2**-24
    single=(-0.00019526173, 0.008332261, -0.16666657),
    # degree 5 on [0.0, 0.618085], error 0.0474 * 2**-53
    double=(1.590368040559303e-10, -2.505088908159913e-08, 2.7557314628081018e-06, -0.00019841269832891027,
            0.008333333333326951, -0.16666666666666655),
)
"""Return S of sin(r) = r + r z S(z), z = r**2, for |r| <= pi/4."""


_cosine_rest = polynomial(
    # degree 2 on [0.0, 0.618085], error 0.00454 * 2**-24
    single=(2.449823e-05, -0.0013887951, 0.04166666),
    # degree 5 on [0.0, 0.618085], error 0.00156 * 2**-53
    double=(-1.1373854299867524e-11, 2.0876003956105494e-09, -2.7557316455189577e-07, 2.48015872968329e-05,
            -0.001388888888888582, 0.041666666666666664),
)
"""Return C of cos(r) = 1 - z/2 + z**2 C(z), z = r**2, for |r| <= pi/4."""


@scalar
def _tail_rest(u: Any) -> Any:
    """Return P of exp(t**2/2) Phi(-t) = P(u) / (t + a), u = (t - a)/(t + a), a = 5.

    A second result is what the last rounding took from the first.
    """
    r = type(u)
    if is_single(u):
        # degree 10 on [-1.0, 0.459459], error 0.0763 * 2**-24
        p = r(0.00011302159) * u + r(0.0006797414)
        p = p * u + r(-0.0008236608)
        p = p * u + r(-0.0030611674)
        p = p * u + r(0.020782651)
        p = p * u + r(-0.069108576)
        p = p * u + r(0.1650234)
        p = p * u + r(-0.3135336)
        p = p * u + r(0.49530542)
        p = p * u + r(-0.6653825)
        constant = r(0.76919305)
    else:
        # degree 22 on [-1.0, 0.767442], error 0.201 * 2**-53
        p = r(-2.3632583351864185e-10) * u + r(1.6076777699738977e-09)
        p = p * u + r(7.869937551370118e-09)
        p = p * u + r(-8.823522605605548e-09)
        p = p * u + r(-6.615439624406712e-08)
        p = p * u + r(4.156214422442941e-08)
        p = p * u + r(4.3323839600201534e-07)
        p = p * u + r(-3.3602969183320743e-07)
        p = p * u + r(-2.769279700947635e-06)
        p = p * u + r(3.980603845028881e-06)
        p = p * u + r(1.668120944353248e-05)
        p = p * u + r(-4.976271714426205e-05)
        p = p * u + r(-5.937572742604032e-05)
        p = p * u + r(0.0005448990447202618)
        p = p * u + r(-0.0007978693978578545)
        p = p * u + r(-0.0029933767680012965)
        p = p * u + r(0.020795066799670324)
        p = p * u + r(-0.06911863870648165)
        p = p * u + r(0.16502036617041085)
        p = p * u + r(-0.3135331566712994)
        p = p * u + r(0.4953056159699752)
        p = p * u + r(-0.6653825028900567)
        constant = r(0.769193049750063)
    y = p * u + constant
    return y, fused(p, u, constant - y)


# --------------------------------------------------------------------------------------------------- exponentials


@scalar
def _reduced(x: Any, rest: Any) -> Any:
    """Return q and k of exp(x + rest) = 2**n (1 + q), |q| < 0.42; the low bits of k are n plus the exponent's bias.

    ``rest`` is within an ulp of x; -0.0 for none, which the compiler drops, as it may not drop +0.0.

    Adding 1.5 * 2**23 (2**52) rounds to an integer and leaves it in the low bits. ln(2) is taken off in two parts,
    the first short enough for an exact product. Holds for |n| up to 1.5 times the largest exponent.
    """
    r = type(x)
    if is_single(x):
        shift, high, low = r(12582912.0 + 127.0), r(0.693145751953125), r(1.428606765330187e-06)
    else:
        shift, high, low = r(6755399441055744.0 + 1023.0), r(0.693147180559663), r(2.8235290563031577e-13)
    t = x * r(1.4426950408889634) + shift
    n = t - shift
    y = (x - n * high) + (rest - n * low)
    return y + y * y * _expm1_rest(y), to_bits(t)


@scalar
def _power(k: Any, like: Any) -> Any:
    """Return 2**n, where the low bits of k are n plus the bias of the exponent: 0 for k = 0."""
    if is_single(like):
        return from_bits(k << 23, like)
    return from_bits(k << 52, like)


@scalar
def flushed(x: Any) -> Any:
    """Limit x from below to where n of ``_reduced`` is -bias and ``_power`` is exactly 0."""
    r = type(x)
    low = r(-88.03) if is_single(x) else r(-709.09)
    return low if x < low else x


@scalar
def exp(x: Any) -> Any:
    """Compute exp(x), down to subnormal results and up to infinity."""
    r = type(x)
    if is_single(x):
        low, high, bias = r(-104.0), r(89.0), 127
    else:
        low, high, bias = r(-746.0), r(710.0), 1023
    x = low if x < low else x
    x = high if x > high else x
    q, k = _reduced(x, r(-0.0))
    half = (k + bias) >> 1  # one factor 2**n would not reach the ends of the range: take two
    first = _power(half, x)
    return (first * q + first) * _power(k + bias - half, x)


@scalar
def growth(x: Any) -> Any:
    """Return q and the power of two of exp(x) = power (1 + q), |q| < 0.42, neither rounded together yet.

    Holds for x <= 88 (float32), 709 (float64). Below about -87.7 (-708.7), where exp(x) is subnormal, power is 0.
    """
    q, k = _reduced(flushed(x), type(x)(-0.0))
    return q, _power(k, x)


@scalar
def decay(x: Any) -> Any:
    """Compute exp(x) and expm1(x) for x <= 0 at little more than the price of one; the range is that of ``growth``."""
    q, power = growth(x)
    return power * q + power, power * q + (power - type(x)(1.0))


@scalar
def grown(x: Any, y: Any, low: Any, q: Any) -> Any:
    """Compute x (y + low) (1 + q), |low| a few ulp of y: three products, but only the last rounding is a whole one."""
    return fused(x, y, x * fused(q, y + low, low))


@scalar
def expm1(x: Any) -> Any:
    """Compute exp(x) - 1."""
    r = type(x)
    low, high = (r(-18.0), r(89.0)) if is_single(x) else (r(-38.0), r(710.0))
    x = low if x < low else x
    x = high if x > high else x
    q, k = _reduced(x, r(-0.0))
    half = _power(k - 1, x)  # 2**(n - 1): at the upper end 2**n overflows before the result does
    return (half * q + (half - r(0.5))) * r(2.0)


@scalar
def inverse_parts(a: Any, x: Any) -> Any:
    """Return 1/(a + x) for x > -a/2 and a small integer a, as a quotient and what rounding took from both."""
    r = type(x)
    total = a + x
    lost = x - (total - a)
    d = r(1.0) / total
    return d, d * (fused(-d, total, r(1.0)) - d * lost)


@scalar
def inverse_sum(a: Any, x: Any) -> Any:
    """Compute 1/(a + x) for x > -a/2 and a small integer a, free of the rounding of the sum."""
    d, low = inverse_parts(a, x)
    return d + low


@scalar
def _signed(y: Any, x: Any) -> Any:
    """Return y if the sign bit of x is set, else -y.

    By its bits, since a comparison and a choice are done where products are, which bound the loop of tanh.
    """
    sign = -(1 << 31) if is_single(x) else -(1 << 63)
    return from_bits(to_bits(y) ^ (~to_bits(x) & sign), y)


@scalar
def tanh_slope(x: Any) -> Any:
    """Return tanh(x) and 1 - tanh(x)**2: with e = expm1(-2 |x|), tanh(|x|) = -e/(2 + e).

    The sum starts from the parts of e: from e, whose rounding it would take over, the result is 2.5 ulp off, not 2.1.
    """
    r = type(x)
    below = -abs(x)
    q, power = growth(below + below)  # a sum, since products are what bounds the loop
    y = (power * q + (power - r(1.0))) / (power * q + (power + r(1.0)))
    return _signed(y, x), r(1.0) - y * y


@scalar
def tanh(x: Any) -> Any:
    """Compute tanh(x)."""
    return tanh_slope(x)[0]


@scalar
def logistic(x: Any) -> Any:
    """Compute 1/(1 + exp(-x)) from exp(-|x|), which cannot overflow."""
    r = type(x)
    z, _ = decay(-abs(x))
    return (z if x < r(0.0) else r(1.0)) / (r(1.0) + z)


# ----------------------------------------------------------------------------------------------------- logarithms


@scalar
def _log_split(x: Any) -> Any:
    """Return k (as a float) and m of x = 2**k m, 1/sqrt(2) <= m < sqrt(2), and 2**-k; x positive, finite, normal.

    2**-k is right for |k| <= 125 (1021).
    """
    r = type(x)
    if is_single(x):
        root, one, width, mask = 0x3F3504F3, 0x3F800000, 23, 0x7FFFFF
        shift = r(12582912.0)
    else:
        root, one, width, mask = 0x3FE6A09E667F3BCD, 0x3FF0000000000000, 52, 0xFFFFFFFFFFFFF
        shift = r(6755399441055744.0)
    i = to_bits(from_bits(to_bits(x) - root, x))  # there and back: Numba's integers are 64 bits, this keeps 32
    k = i >> width
    m = from_bits((i & mask) + root, x)
    return from_bits(to_bits(shift) + k, x) - shift, m, from_bits(one - (k << width), x)


@scalar
def _log_sum(k: Any, f: Any) -> Any:
    """Compute k ln(2) + log(1 + f), |f| small: with s = f/(2 + f), log(1 + f) = f - s (f - s**2 Q(s**2))."""
    r = type(f)
    if is_single(f):
        high, low = r(0.693145751953125), r(1.428606765330187e-06)
    else:
        high, low = r(0.693147180559663), r(2.8235290563031577e-13)
    s = f / (r(2.0) + f)
    z = s * s
    return k * high + (f - (s * (f - z * _log_rest(z)) - k * low))


@scalar
def log(x: Any) -> Any:
    """Compute the natural logarithm: -inf at 0, NaN below."""
    r = type(x)
    infinity = r(float("inf"))
    if is_single(x):
        tiny, up, less = r(1.1754943508222875e-38), r(33554432.0), r(25.0)
    else:
        tiny, up, less = r(2.2250738585072014e-308), r(18014398509481984.0), r(54.0)
    k, m, _ = _log_split(x * up if x < tiny else x)
    y = _log_sum(k - (less if x < tiny else r(0.0)), m - r(1.0))
    y = y if x < infinity else x
    y = y if x > r(0.0) else (-infinity if x == r(0.0) else r(float("nan")))
    return y


@scalar
def log1p(x: Any) -> Any:
    """Compute log(1 + x): -inf at -1, NaN below."""
    r = type(x)
    infinity = r(float("inf"))
    total = r(1.0) + x
    part = total - r(1.0)
    lost = (r(1.0) - (total - part)) + (x - part)  # exactly what rounding took from 1 + x
    k, m, inverse = _log_split(total)
    f = (m - r(1.0)) + (lost * inverse if x < r(1e9) else r(0.0))
    y = _log_sum(k, f)
    y = y if x < infinity else x
    y = y if x > r(-1.0) else (-infinity if x == r(-1.0) else r(float("nan")))
    return y


@scalar
def log1p_unit(x: Any) -> Any:
    """Compute log(1 + x) for 0 <= x <= 1 without taking the exponent apart."""
    r = type(x)
    s = x / (r(2.0) + x)
    z = s * s
    return x - s * (x - z * _log_rest_wide(z))


@scalar
def softplus(x: Any) -> Any:
    """Compute log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    r = type(x)
    z, _ = decay(-abs(x))
    return (r(0.0) if x < r(0.0) else x) + log1p_unit(z)


# ------------------------------------------------------------------------------------------ the normal distribution


@scalar
def _gaussian_parts(x: Any, factor: Any) -> Any:
    """Return q and power of exp(-factor x**2) = power (1 + q).

    An error in x**2, which reaches 87 (708), would be an error of as many ulp in the result: the square is taken in
    two parts, and the small part joins after the reduction of the large one.
    """
    square = x * x
    rest = fused(x, x, -square)
    q, k = _reduced(flushed(-factor * square), -factor * rest)
    return q, _power(k, x)


@scalar
def gaussian(x: Any) -> Any:
    """Compute exp(-x**2) for |x| <= 40."""
    q, power = _gaussian_parts(x, type(x)(1.0))
    return power * q + power


@scalar
def normal_tail(t: Any) -> Any:
    """Return q and power of exp(-t**2/2) = power (1 + q), and y and low of Phi(-t) = power (1 + q) (y + low).

    Holds for 0 <= t <= 40; Phi is the normal distribution function. The quotient y = P/(a + t) and its argument u are
    corrected by residuals, as in ``inverse_parts``.
    """
    r = type(t)
    a = r(5.0)
    q, power = _gaussian_parts(t, r(0.5))
    total = a + t
    lost = t - (total - a)
    d, d_low = inverse_parts(a, t)
    over = t - a
    p, rest = _tail_rest(fused(over, d, fused(over, d_low, d * (t - (over + a)))))
    y = p * d
    return q, power, y, d * (fused(-y, total, p) + (rest - y * lost))


# ---------------------------------------------------------------------------------------------------- trigonometry


@scalar
def sine_cosine(x: Any) -> Any:
    """Return sin(x) and cos(x).

    Multiples of pi/2 are taken off in three parts, the first short enough for an exact difference. The error holds
    for |x| <= 1e4 (float32), 1e6 (float64); it grows beyond, and from about 1e7 (1e15) on the result is meaningless,
    though always within [-1, 1].
    """
    r = type(x)
    if is_single(x):
        shift, first, second, third = r(12582912.0), r(1.5703125), r(0.0004838267923332751), r(2.5633440682570896e-12)
    else:
        shift = r(6755399441055744.0)
        first, second, third = r(1.5707963267341256), r(6.077100506303966e-11), r(2.0222662487959506e-21)
    t = x * r(0.6366197723675814) + shift
    n = t - shift
    y = fused(-n, third, fused(-n, second, fused(-n, first, x)))
    y = r(-0.8) if y < r(-0.8) else y
    y = r(0.8) if y > r(0.8) else y
    z = y * y
    s = y + y * z * _sine_rest(z)
    c = r(1.0) - r(0.5) * z + z * z * _cosine_rest(z)
    k = to_bits(t)
    odd = (k & 1) != 0
    sine, cosine = (c if odd else s), (s if odd else c)
    return (-sine if (k & 2) != 0 else sine), (-cosine if ((k + 1) & 2) != 0 else cosine)


@scalar
def sin(x: Any) -> Any:
    """Compute sin(x); see ``sine_cosine`` for the range."""
    return sine_cosine(x)[0]


@scalar
def cos(x: Any) -> Any:
    """Compute cos(x); see ``sine_cosine`` for the range."""
    return sine_cosine(x)[1]
