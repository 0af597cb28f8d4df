"""The elementwise table: one row an operator (formula, dtype rule, gradient, names)."""

from __future__ import annotations

from .ops import elementwise as row

LN2, LN10 = 0.6931471805599453, 2.302585092994046

# ── arithmetic ────────────────────────────────────────────────────────────────────────────────
row("add", "self other", "self + other", grad={"self": "grad", "other": "grad"}, complex_ok=True,
    ints="self + other", grad_name="AddBackward0")
row("add_scaled", "self other alpha", "self + alpha * other", public="", complex_ok=True,
    grad={"self": "grad", "other": "grad * conj(alpha)"}, grad_name="AddBackward0")
row("sub", "self other", "self - other", grad={"self": "grad", "other": "-grad"}, complex_ok=True,
    public="sub subtract", types="no_bool")
row("sub_scaled", "self other alpha", "self - alpha * other", public="", complex_ok=True,
    grad={"self": "grad",
          "other": "-grad * conj(alpha)"}, grad_name="SubBackward0", types="no_bool")
row("rsub", "self other", "other - self", grad={"self": "-grad", "other": "grad"},
    complex_ok=True, inplace=False, types="no_bool")
row("mul", "self other", "self * other", ints="self * other", complex_ok=True,
    public="mul multiply", grad={"self": "grad * conj(other)", "other": "grad * conj(self)"})
row("div", "self other", "self / other", types="float", complex_ok=True,
    public="div divide true_divide",
    grad={"self": "grad / conj(other)", "other": "-grad * conj((self / other) / other)"})
row("reciprocal", "self", "1 / self", types="float", complex_ok=True, domain=(0.2, 3.0),
    grad={"self": "-grad * conj(result * result)"})
row("neg", "self", "-self", ints="0 - self", grad={"self": "-grad"}, complex_ok=True,
    public="neg negative", types="no_bool")
row("positive", "self", "self", grad={"self": "grad"}, complex_ok=True, inplace=False,
    types="no_bool")
row("floor_divide", "self other", "floor_div(self, other)", ints="int_floor_div(self, other)",
    types="no_bool", grad={})
row("div_trunc", "self other", "trunc(self / other)", ints="int_trunc_div(self, other)",
    public="", types="no_bool", grad={"self": "grad * 0", "other": "grad * 0"},
    grad_name="DivBackward1")
row("div_floor", "self other", "floor_div(self, other)", ints="int_floor_div(self, other)",
    public="", types="no_bool", grad={"self": "grad * 0", "other": "grad * 0"},
    grad_name="DivBackward1")
row("remainder", "self other", "remainder(self, other)", ints="int_remainder(self, other)",
    types="no_bool", grad={"self": "grad",
    "other": "-grad * self.div(other, rounding_mode='floor')"})
row("fmod", "self other", "fmod(self, other)", ints="int_fmod(self, other)", types="no_bool",
    grad={"self": "grad", "other": "-grad * self.div(other, rounding_mode='trunc')"})
row("square", "self", "self * self", ints="self * self", grad={"self": "grad * (2.0 * conj(self))"},
    complex_ok=True, public="", grad_name="PowBackward0")
row("addcmul", "self tensor1 tensor2 value", "self + value * tensor1 * tensor2", complex_ok=True,
    public="", grad={"self": "grad", "tensor1": "grad * conj(tensor2 * value)",
                     "tensor2": "grad * conj(tensor1 * value)"})
row("addcdiv", "self tensor1 tensor2 value", "self + value * tensor1 / tensor2", complex_ok=True,
    public="", grad={"self": "grad", "tensor1": "grad * conj(value / tensor2)",
                     "tensor2": "-grad * conj(value * tensor1 / (tensor2 * tensor2))"})
row("lerp", "self end weight", "where(abs(weight) < 0.5, self + weight * (end - self), "
    "end - (end - self) * (1 - weight))", public="", complex_ok=False,
    grad={"self": "grad * (1 - weight)", "end": "grad * weight", "weight": "grad * (end - self)"})
row("abs", "self", "abs(self)", ints="int_abs(self)", grad={"self": "grad * self.sgn()"},
    public="abs absolute", types="real_no_bool", complex_ok=True)
row("sign", "self", "sign(self)", ints="int_sign(self)", grad={"self": "grad * 0"})
row("sgn", "self", "sgn(self)", ints="int_sign(self)",
    grad={"self": "grad._sgn_grad(self, result)"}, complex_ok=True)
row("signbit", "self", "signbit(self)", ints="self < 0", types="predicate", inplace=False)
row("copysign", "self other", "copysign(self, other)", types="float",
    grad={"self": "grad * (self.sign() * result.sign())", "other": "grad * 0"})
row("nextafter", "self other", "nextafter(self, other)",
    grad={"self": "grad", "other": "grad * 0"}, types="floating")
row("hypot", "self other", "hypot(self, other)",
    grad={"self": "grad * (self / result)", "other": "grad * (other / result)"}, types="floating")
row("heaviside", "self values", "where(self == 0, values, where(self > 0, 1, 0))",
    ints="where(self == 0, values, where(self > 0, 1, 0))", grad={})
row("ldexp", "self other", "self * exp2(other)", types="float", expensive=True,
    grad={"self": "grad * other.exp2()", "other": f"grad * (result * {LN2})"})

# ── rounding ──────────────────────────────────────────────────────────────────────────────────
for _name, _formula in (("floor", "floor(self)"), ("ceil", "ceil(self)"), ("trunc", "trunc(self)"),
                        ("round", "round(self)")):
    row(_name, "self", _formula, ints="self", grad={"self": "grad * 0"}, types="no_bool",
        public="trunc fix" if _name == "trunc" else _name if _name != "round" else "",
        inplace=True)
row("round_decimals", "self scale", "round(self * scale) / scale", public="",
    grad={"self": "grad * 0"}, grad_name="RoundBackward1", types="floating")
row("frac", "self", "self - trunc(self)", grad={"self": "grad"}, types="floating")

# ── exponents, logarithms, powers ─────────────────────────────────────────────────────────────
row("exp", "self", "exp(self)", types="float", grad={"self": "grad * result"}, expensive=True)
row("exp2", "self", "exp2(self)", types="float", grad={"self": f"grad * (result * {LN2})"},
    expensive=True, public="exp2 special_exp2")
row("expm1", "self", "expm1(self)", types="float", grad={"self": "grad * (result + 1)"},
    expensive=True)
row("log", "self", "log(self)", types="float", grad={"self": "grad / self"}, expensive=True,
    domain=(0.1, 9.0))
row("log2", "self", "log2(self)", types="float", grad={"self": f"grad / (self * {LN2})"},
    expensive=True, domain=(0.1, 9.0))
row("log10", "self", "log10(self)", types="float", grad={"self": f"grad / (self * {LN10})"},
    expensive=True, domain=(0.1, 9.0))
row("log1p", "self", "log1p(self)", types="float", grad={"self": "grad / (self + 1)"},
    grad_name="Log1PBackward0",
    expensive=True, domain=(-0.9, 9.0))
row("sqrt", "self", "sqrt(self)", types="float", grad={"self": "grad / (2 * result)"},
    domain=(0.01, 9.0))
row("rsqrt", "self", "1 / sqrt(self)", types="float", grad={"self": "-0.5 * grad * result.pow(3)"},
    domain=(0.1, 9.0))
row("pow", "self exponent", "pow(self, exponent)", ints="int_pow(self, exponent)", public="",
    expensive=True, domain=(0.1, 3.0),
    grad={"self": "self._pow_grad_self(grad, exponent)",
          "exponent": "exponent._pow_grad_exponent(grad, self, result)"})
row("cube", "self", "self * self * self", ints="self * self * self", public="",
    grad={"self": "grad * (3.0 * conj(self * self))"}, complex_ok=True, grad_name="PowBackward0")
row("logaddexp", "self other", "logaddexp(self, other)", types="floating", expensive=True,
    grad={"self": "grad / (1 + (other - self).exp())",
          "other": "grad / (1 + (self - other).exp())"})
row("logaddexp2", "self other", "logaddexp2(self, other)", expensive=True,
    grad={"self": "grad / (1 + (other - self).exp2())",
          "other": "grad / (1 + (self - other).exp2())"}, types="floating")
row("xlogy", "self other", "where(isnan(other), other, where(self == 0, 0, self * log(other)))",
    types="float", expensive=True, public="xlogy special_xlogy",
    grad={"self": "grad._xlogy_grad(self, other)", "other": "grad * self / other"})

# ── trigonometry ──────────────────────────────────────────────────────────────────────────────
for _name, _grad, _domain in (
    ("sin", "grad * self.cos()", (-9, 9)), ("cos", "grad * -self.sin()", (-9, 9)),
    ("tan", "grad * (1 + result * result)", (-1.4, 1.4)),
    ("asin", "grad * (1 - self * self).rsqrt()", (-0.9, 0.9)),
    ("acos", "grad * -(1 - self * self).rsqrt()", (-0.9, 0.9)),
    ("atan", "grad / (self * self + 1)", (-3, 3)),
    ("sinh", "grad * self.cosh()", (-3, 3)), ("cosh", "grad * self.sinh()", (-3, 3)),
    ("tanh", "grad._tanh_grad(result)", (-3, 3)),
    ("asinh", "grad * (self * self + 1).rsqrt()", (-3, 3)),
    ("acosh", "grad * (self * self - 1).rsqrt()", (1.1, 5)),
    ("atanh", "grad / (1 - self * self)", (-0.9, 0.9)),
):
    row(_name, "self", f"{_name}(self)", types="float", grad={"self": _grad}, domain=_domain,
        expensive=True, public=f"{_name} arc{_name[1:]}" if _name[0] == "a" else _name)
row("_tanh_grad", "grad_output output", "grad_output * (1 - output * output)", inplace=False,
    grad={"grad_output": "grad._tanh_grad(output)",
          "output": "grad * (-2.0 * output * grad_output)"},
    grad_name="TanhBackwardBackward0")
row("atan2", "self other", "atan2(self, other)", types="float", expensive=True,
    public="atan2 arctan2",
    grad={"self": "grad * (other / (self * self + other * other))",
          "other": "grad * (-self / (self * self + other * other))"})
row("sinc", "self", "where(self == 0, 1, sin(self * 3.141592653589793) / "
    "(self * 3.141592653589793))", types="float", expensive=True, public="sinc special_sinc",
    grad={"self": "self._sinc_grad(grad)"})
row("deg2rad", "self", "self * 0.017453292519943295", types="float",
    grad={"self": "grad * 0.017453292519943295"})
row("rad2deg", "self", "self * 57.29577951308232", types="float",
    grad={"self": "grad * 57.29577951308232"})

# ── special functions ─────────────────────────────────────────────────────────────────────────
row("erf", "self", "erf(self)", types="float", expensive=True, public="erf special_erf",
    grad={"self": "grad * (1.1283791670955126 * (-(self * self)).exp())"})
row("erfc", "self", "erfc(self)", types="float", expensive=True, public="erfc special_erfc",
    grad={"self": "grad * (-1.1283791670955126 * (-(self * self)).exp())"})
row("erfinv", "self", "erfinv(self)", types="float", expensive=True, domain=(-0.9, 0.9),
    public="erfinv special_erfinv",
    grad={"self": "grad * (0.886226925452758 * (result * result).exp())"})
row("lgamma", "self", "lgamma(self)", types="float", expensive=True, domain=(0.2, 5),
    public="lgamma special_gammaln", grad={"self": "grad * self.digamma()"})
row("digamma", "self", "digamma(self)", types="float", expensive=True, domain=(0.2, 5),
    public="digamma special_digamma special_psi", grad={"self": "grad * self._trigamma()"})
row("_trigamma", "self", "trigamma(self)", types="float", expensive=True, inplace=False,
    domain=(0.2, 5), grad={"self": "grad * self._polygamma(2)"})
row("i0", "self", "i0(self)", types="float", expensive=True, public="i0 special_i0",
    grad={"self": "grad * self._i1()"})
row("i1", "self", "i1(self)", types="float", expensive=True, inplace=False,
    public="special_i1 _i1",
    grad={"self": "grad * (self.i0() - result / self).masked_fill(self == 0, 0.5)"})
row("i0e", "self", "i0e(self)", types="float", expensive=True, inplace=False,
    public="special_i0e _i0e", grad={"self": "grad * (self._i1e() - self.sgn() * result)"})
row("i1e", "self", "i1e(self)", types="float", expensive=True, inplace=False,
    public="special_i1e _i1e",
    grad={"self": "grad * (self._i0e() - result * (self.sgn() + self.reciprocal()))"
                  ".masked_fill(self == 0, 0.5)"})
row("ndtr", "self", "ndtr(self)", types="float", expensive=True, public="special_ndtr",
    inplace=False, grad={"self": "grad * (0.3989422804014327 * (self * self * -0.5).exp())"})
row("ndtri", "self", "ndtri(self)", types="float", expensive=True, public="special_ndtri",
    inplace=False, domain=(0.01, 0.99),
    grad={"self": "grad * (2.5066282746310002 * (result * result * 0.5).exp())"})
row("log_ndtr", "self", "log_ndtr(self)", types="float", expensive=True, inplace=False,
    public="special_log_ndtr",
    grad={"self": "grad * (0.7978845608028654 / (self * -0.7071067811865476)._erfcx())"})
row("erfcx", "self", "erfcx(self)", types="float", expensive=True, inplace=False,
    public="special_erfcx _erfcx", grad={"self": "grad * (2 * self * result - 1.1283791670955126)"})
row("entr", "self", "where(isnan(self), self, where(self > 0, -self * log(self), "
    "where(self == 0, 0, -1 / abs(self * 0))))", types="float", expensive=True, inplace=False,
    public="special_entr", grad={"self": "grad * (-1 - self.log())"}, domain=(0.1, 4.0))
row("xlog1py", "self other", "where(isnan(other), other, where(self == 0, 0, "
    "self * log1p(other)))", types="float", expensive=True, public="special_xlog1py",
    inplace=False,
    grad={"self": "grad._xlog1py_grad(self, other)", "other": "grad * self / (other + 1)"})
row("zeta", "self other", "zeta(self, other)", types="float", expensive=True, inplace=False,
    public="special_zeta _zeta", domain=(1.1, 5.0),
    grad={"other": "grad * -self * (self + 1.0)._zeta(other)"})
row("igamma", "self other", "gammainc(self, other)", expensive=True, domain=(0.2, 5.0),
    public="igamma special_gammainc", grad={"other": "grad * self._igamma_grad(other)"},
    types="floating")
row("igammac", "self other", "gammaincc(self, other)", expensive=True, domain=(0.2, 5.0),
    public="igammac special_gammaincc", grad={"other": "grad * -self._igamma_grad(other)"},
    types="floating")
row("_polygamma", "self order", "polygamma(order, self)", types="float", expensive=True,
    inplace=False, domain=(0.2, 5.0), grad={"self": "grad * self._polygamma(order + 1)"},
    grad_name="PolygammaBackward0")
for _name, _function in (("airy_ai", "airy_ai"), ("bessel_j0", "j0"), ("bessel_j1", "j1"),
                         ("bessel_y0", "y0"), ("bessel_y1", "y1"), ("modified_bessel_i0", "i0"),
                         ("modified_bessel_i1", "i1"), ("modified_bessel_k0", "k0"),
                         ("modified_bessel_k1", "k1"), ("scaled_modified_bessel_k0", "k0e"),
                         ("scaled_modified_bessel_k1", "k1e"),
                         ("spherical_bessel_j0", "spherical_j0")):
    row(_name, "self", f"{_function}(self)", types="float", expensive=True, inplace=False,
        public="special_" + _name, domain=(0.2, 5.0))
for _name in ("chebyshev_{}_t", "chebyshev_{}_u", "chebyshev_{}_v", "chebyshev_{}_w",
              "shifted_chebyshev_{}_t", "shifted_chebyshev_{}_u", "shifted_chebyshev_{}_v",
              "shifted_chebyshev_{}_w", "hermite_{}_h", "hermite_{}_he", "laguerre_{}_l",
              "legendre_{}_p"):
    row(_name.format("polynomial"), "x n", f"{_name.replace('{}_', '')}(x, n)", types="float",
        expensive=True, inplace=False, public="special_" + _name.format("polynomial"))
row("logit", "self", "log(self / (1 - self))", types="float", expensive=True, public="",
    grad={"self": "grad / (self * (1 - self))"}, domain=(0.1, 0.9))
row("sigmoid", "self", "sigmoid(self)", types="float", expensive=True,
    public="sigmoid special_expit", grad={"self": "grad._sigmoid_grad(result)"})
row("_sigmoid_grad", "grad_output output", "grad_output * ((1 - output) * output)", inplace=False,
    grad={"grad_output": "grad._sigmoid_grad(output)",
          "output": "grad * (grad_output * (1 - 2 * output))"},
    grad_name="SigmoidBackwardBackward0")

# ── comparison, selection, limits ─────────────────────────────────────────────────────────────
for _name, _sign, _names in (("eq", "==", "eq"), ("ne", "!=", "ne not_equal"),
                             ("lt", "<", "lt less"), ("le", "<=", "le less_equal"),
                             ("gt", ">", "gt greater"), ("ge", ">=", "ge greater_equal")):
    row(_name, "self other", f"self {_sign} other", types="compare", public=_names,
        complex_ok=_name in ("eq", "ne"))
row("maximum", "self other", "maximum(self, other)", ints="where(self > other, self, other)",
    inplace=False, grad={"self": "grad * self._at_least(other)",
                         "other": "grad * other._at_least(self)"})
row("minimum", "self other", "minimum(self, other)", ints="where(self < other, self, other)",
    inplace=False, grad={"self": "grad * other._at_least(self)",
                         "other": "grad * self._at_least(other)"})
row("_at_least", "self other", "where(self > other, 1, where(self == other, 0.5, 0))",
    grad={"self": None, "other": None},
    ints="where(self >= other, 1, 0)", inplace=False)
row("fmax", "self other", "where(isnan(self), other, where(isnan(other), self, "
    "where(self > other, self, other)))", ints="where(self > other, self, other)", inplace=False,
    grad={"self": "grad * ((self >= other) | other.isnan())",
          "other": "grad * ((self >= other) | other.isnan()).logical_not()"})
row("fmin", "self other", "where(isnan(self), other, where(isnan(other), self, "
    "where(self < other, self, other)))", ints="where(self < other, self, other)", inplace=False,
    grad={"self": "grad * ((self <= other) | other.isnan())",
          "other": "grad * ((self <= other) | other.isnan()).logical_not()"})
row("clamp", "self min max", "minimum(maximum(self, min), max)", public="", complex_ok=False,
    ints="where(where(self < min, min, self) > max, max, where(self < min, min, self))",
    grad={"self": "grad * ((self >= min) & (self <= max))",
          "min": "grad * ((self < min) & (min < max))",
          "max": "grad * ((self > max) | (max < min))"})
row("clamp_min", "self min", "maximum(self, min)", ints="where(self < min, min, self)",
    grad={"self": "grad * (self >= min)", "min": "grad * (self < min)"})
row("clamp_max", "self max", "minimum(self, max)", ints="where(self > max, max, self)",
    grad={"self": "grad * (self <= max)", "max": "grad * (self > max)"})
row("where", "condition self other", "where(condition, self, other)", types="where", public="",
    ints="where(condition, self, other)", complex_ok=True,
    grad={"self": "grad._where_grad(condition)", "other": "grad._where_grad(~condition)"})
row("_where_grad", "self condition", "where(condition != 0, self, 0)", inplace=False,
    ints="where(condition != 0, self, 0)", grad={"self": "grad._where_grad(condition)"},
    complex_ok=True)
row("masked_fill", "self mask value", "where(mask != 0, value, self)", types="mask", public="",
    ints="where(mask != 0, value, self)", complex_ok=True,
    grad={"self": "grad.masked_fill(mask, 0)", "value": "grad._where_grad(mask)"})
for _name, _formula, _int in (("isnan", "isnan(self)", "False"), ("isinf", "isinf(self)", "False"),
                              ("isfinite", "isfinite(self)", "True"),
                              ("isposinf", "isposinf(self)", "False"),
                              ("isneginf", "isneginf(self)", "False")):
    row(_name, "self", _formula, types="predicate", ints=_int, inplace=False,
        complex_ok=_name in ("isnan", "isinf", "isfinite"))
row("nan_to_num", "self nan posinf neginf", "where(isnan(self), nan, where(isposinf(self), posinf,"
    " where(isneginf(self), neginf, self)))", ints="self", public="",
    grad={"self": "grad * self.isfinite()"})

# ── logic and bits ────────────────────────────────────────────────────────────────────────────
row("logical_not", "self", "self == 0", types="predicate", complex_ok=True, inplace=True)
for _name, _formula in (("logical_and", "self & other"), ("logical_or", "self | other"),
                        ("logical_xor", "self ^ other")):
    row(_name, "self other", _formula, ints=_formula, types="logical", complex_ok=True)
for _name, _formula in (("bitwise_and", "self & other"), ("bitwise_or", "self | other"),
                        ("bitwise_xor", "self ^ other")):
    row(_name, "self other", _formula, ints=_formula, types="bitwise")
row("bitwise_not", "self", "~self", ints="~self", types="bitwise")
row("bitwise_left_shift", "self other", "shift_left(self, other)",
    ints="shift_left(self, other)", types="integer")
row("bitwise_right_shift", "self other", "shift_right(self, other)",
    ints="shift_right(self, other)", types="integer")
row("gcd", "self other", "gcd(self, other)", ints="gcd(self, other)", types="integer")
row("lcm", "self other", "lcm(self, other)", ints="lcm(self, other)", types="integer")

# ── activations ───────────────────────────────────────────────────────────────────────────────
row("relu", "self", "relu(self)", ints="where(self > 0, self, 0)",
    grad={"self": "grad._positive_grad(result)"}, types="no_bool")
row("_positive_grad", "grad_output result_", "where(result_ <= 0, 0, grad_output)", inplace=False,
    grad={"grad_output": "grad._positive_grad(result_)",
          "result_": None}, grad_name="ThresholdBackwardBackward0",
    ints="where(result_ <= 0, 0, grad_output)")
row("relu6", "self", "minimum(maximum(self, 0), 6)",
    ints="where(self < 0, 0, where(self > 6, 6, self))",
    grad={"self": "grad * ((self > 0) & (self < 6))"}, grad_name="HardtanhBackward0")
row("hardtanh", "self min_val max_val", "minimum(maximum(self, min_val), max_val)",
    ints="where(self < min_val, min_val, where(self > max_val, max_val, self))",
    grad={"self": "grad * ((self > min_val) & (self < max_val))"},
    defaults={"min_val": -1.0, "max_val": 1.0}, types="first")
row("leaky_relu", "self negative_slope", "where(self > 0, self, self * negative_slope)",
    grad={"self": "grad * ((self > 0) + (self <= 0) * negative_slope)"},
    defaults={"negative_slope": 0.01}, grad_name="LeakyReluBackward0", types="floating")
row("threshold", "self threshold value", "where(self <= threshold, value, self)",
    ints="where(self <= threshold, value, self)", types="first",
    grad={"self": "grad * (self > threshold)"})
row("gelu", "self", "self * normal_cdf(self)", expensive=True, public="",
    grad={"self": "grad._gelu_grad(self)"}, types="floating")
row("_gelu_grad", "grad_output self", "grad_output * (normal_cdf(self) "
    "+ self * exp(self * self * -0.5) * 0.3989422804014327)", inplace=False, expensive=True,
    grad={"grad_output": "grad._gelu_grad(self)",
          "self": "grad * grad_output * (2 - self * self) * (self * self * -0.5).exp() "
                  "* 0.3989422804014327"})
row("gelu_tanh", "self", "0.5 * self * (1 + tanh(0.7978845608028654 * (self + 0.044715 * self "
    "* self * self)))", expensive=True, public="", grad={"self": "grad._gelu_tanh_grad(self)"},
    grad_name="GeluBackward0", types="floating")
row("_gelu_tanh_grad", "grad_output self", "grad_output * (0.5 * (1 + tanh(0.7978845608028654 * "
    "(self + 0.044715 * self * self * self))) + 0.5 * self * (1 - tanh(0.7978845608028654 * (self "
    "+ 0.044715 * self * self * self)) * tanh(0.7978845608028654 * (self + 0.044715 * self * self "
    "* self))) * (0.7978845608028654 * (1 + 0.134145 * self * self)))", inplace=False,
    expensive=True, grad={"grad_output": "grad._gelu_tanh_grad(self)",
                          "self": "grad * grad_output * self._gelu_tanh_curve()"})
_u = "0.7978845608028654 * (self + 0.044715 * self * self * self)"
_slope, _t = "(0.7978845608028654 * (1 + 0.134145 * self * self))", "self._gelu_tanh_inner()"
_turn = "0.21406444881780073"        # the slope's slope, over self
_bend = f"({_turn} * self - 2 * {_t} * {_slope} * {_slope})"
row("_gelu_tanh_curve", "self", f"(1 - tanh({_u}) * tanh({_u})) * ({_slope} + 0.5 * self * "
    f"(0.7978845608028654 * 0.26829 * self - 2 * tanh({_u}) * {_slope} * {_slope}))",
    types="float", inplace=False, expensive=True, grad={"self":
        f"grad * (1 - {_t} * {_t}) * (-2 * {_t} * {_slope} * ({_slope} + 0.5 * self * {_bend})"
        f" + {_turn} * self + 0.5 * {_bend} + 0.5 * self * ({_turn} - 2 * (1 - {_t} * {_t})"
        f" * {_slope} * {_slope} * {_slope} - 4 * {_t} * {_slope} * {_turn} * self))"})
row("_gelu_tanh_inner", "self", f"tanh({_u})", types="float", inplace=False, expensive=True,
    grad={"self": f"grad * (1 - {_t} * {_t}) * {_slope}"})
row("silu", "self", "self / (1 + exp(-self))", expensive=True,
    grad={"self": "grad * (self.sigmoid() * (1 + self * (1 - self.sigmoid())))"}, types="floating")
row("mish", "self", "self * tanh(log1p_exp(self))", expensive=True,
    grad={"self": "grad * (self._softplus1().tanh() + self * self.sigmoid() * "
                  "(1 - self._softplus1().tanh() * self._softplus1().tanh()))"}, types="floating")
row("_softplus1", "self", "log1p_exp(self)", expensive=True, inplace=False,
    grad={"self": "grad * self.sigmoid()"})
row("softplus", "self beta threshold", "where(self * beta > threshold, self, "
    "log1p(exp(self * beta)) / beta)", expensive=True, defaults={"beta": 1.0, "threshold": 20.0},
    grad={"self": "grad * (self * beta).sigmoid()._softplus_slope(self * beta, threshold)"},
    types="floating")
row("_softplus_slope", "slope scaled threshold", "where(scaled > threshold, 1, slope)",
    inplace=False, grad={"slope": "grad * (scaled <= threshold)", "scaled": None})
row("logsigmoid", "self", "minimum(self, 0) - log1p(exp(-abs(self)))", expensive=True,
    public="logsigmoid", grad={"self": "grad * (-self).sigmoid()"}, grad_name="LogSigmoidBackward0",
    types="floating")
row("elu", "self alpha scale input_scale", "where(self > 0, self * scale, "
    "expm1(self * input_scale) * (alpha * scale))", expensive=True,
    defaults={"alpha": 1.0, "scale": 1.0, "input_scale": 1.0},
    grad={"self": "grad * ((self > 0) * scale + (self <= 0) * ((self * input_scale).clamp_max(0)"
                  ".exp() * (alpha * scale * input_scale)))"}, types="floating")
row("hardsigmoid", "self", "minimum(maximum(self + 3, 0), 6) / 6",
    grad={"self": "grad * ((self > -3) & (self < 3)) / 6"}, types="floating")
row("hardswish", "self", "self * minimum(maximum(self + 3, 0), 6) / 6",
    grad={"self": "grad * (((self > -3) & (self < 3)) * (self / 3 + 0.5) + (self >= 3))"},
    types="floating")
row("_kept", "counter key threshold", "counter >= threshold", types="compare", inplace=False,
    ints="squares(counter, key) >= threshold", public="", grad={},
    doc="Whether the random number of a counter lies at or above a threshold (of 2 ** 32).")
row("softshrink", "self lambd", "where(self > lambd, self - lambd, where(self < -lambd, "
    "self + lambd, self * 0))", defaults={"lambd": 0.5},
    grad={"self": "grad * ((self > lambd) | (self < -lambd))"}, types="floating")
row("hardshrink", "self lambd", "where((self >= -lambd) & (self <= lambd), 0, self)",
    defaults={"lambd": 0.5}, grad={"self": "grad * ((self > lambd) | (self < -lambd))"},
    types="floating")

# ── casts, copies, fills, parts of complex numbers ────────────────────────────────────────────
row("cast", "self", "self", ints="self", public="", complex_ok=True, grad={"self": "grad"},
    grad_name="ToCopyBackward0")
row("clone", "self", "self", ints="self", public="", complex_ok=True, grad={"self": "grad"})
row("fill", "value", "value", ints="value", public="", complex_ok=True, grad={})
row("_conj", "self", "conj(self)", ints="self", inplace=False, complex_ok=True,
    grad={"self": "grad.conj()"}, grad_name="ConjBackward0")
row("_complex", "real imag", "complex(real, imag)", types="to_complex", inplace=False,
    grad={"real": "grad.real", "imag": "grad.imag"}, grad_name="ComplexBackward0")
row("angle", "self", "angle(self)", ints="angle(self)", types="real_float", inplace=False,
    complex_ok=True, grad={"self": "grad._angle_grad(self)"})
