"""The loss over size, data, learning rate and batch: a bowl around the best settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._declarations import Input
from scalefit.laws._starts import bowl_starts


class HyperparameterSurface(Law):
    r"""Chinchilla's law with a bowl over the learning rate and the batch, whose middle moves with size and data.

    .. math::
        L = E + A N^{-\alpha} + B D^{-\beta} + q u^2 + s v^2 + 2 x \sqrt{q s}\,u v, \quad
        u = \ln\frac{\eta}{c\,N^{-m} D^{n}},\ v = \ln\frac{b}{c_b\,D^{k}}

    The middle of the bowl is that of Step Law [1]_; the bowl around it is scalefit's own. ``N`` [parameters], ``D``
    tokens [tokens], the learning rate eta is ``lr``, b ``batch_size`` (in tokens or sequences, the same in the whole
    table); loss in [nat/token]. For the best settings alone use :func:`scalefit.fit_hyperparameters`. This law also
    models their losses, and needs runs near the best (at most 2 % above the lowest loss of a cell, because the bowl
    does not hold far from it). On the 849 such runs of [1]_ scalefit finds c 4.6, m .48, n .066,
    c_b 1.7 [tokens], k .52, q .0130, s .0137, x -.50 (``benchmarks/laws.py``). Its E, A and B belong to that corpus,
    whose four sizes do not determine them: no set is shipped.

    References
    ----------
    .. [1] Li et al. (2025), Predictable Scale: Part I, Step Law, arXiv:2503.04715, eq. 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("hyperparameter_surface")
    >>> best = 4.6 * 1e9**-0.48 * 2e10**0.066
    >>> at = {"N": 1e9, "D": 2e10, "lr": best, "batch_size": 1.7 * 2e10**0.52}
    >>> twice = {**at, "lr": 2 * best}
    >>> params = {**law.example(), "c": 4.6, "m": 0.48, "n": 0.066, "c_b": 1.7, "k": 0.52, "q": 0.0130}
    >>> round(float(law.evaluate(twice, params) - law.evaluate(at, params)), 4)  # q ln(2)^2
    0.0062
    """

    name = "hyperparameter_surface"
    inputs = ("N", "D", "lr", "batch_size")
    exponents = {"N": ("alpha",), "D": ("beta",)}
    formula = (
        "L(N, D, lr, b) = E + A N^-alpha + B D^-beta + q u^2 + s v^2 + 2 x sqrt(q s) u v; "
        "u = ln(lr/(c N^-m D^n)), v = ln(b/(c_b D^k))"
    )
    direction = {"N": 0, "D": 0, "lr": 0, "batch_size": 0}
    lr = Input("peak learning rate", ("lr", "learning_rate"), typical=(3e-4, 1e-3, 3e-3))
    batch_size = Input("batch", ("batch_size", "batch_tokens"), typical=(1e5, 3e5, 1e6, 3e6))

    E = Usual.E
    A = Usual.A
    alpha = Usual.alpha
    B = Usual.B
    beta = Usual.beta
    q = Parameter("bend over the learning rate", (0.0, 10.0), (0.003, 0.013, 0.05), "nat/token", log=True, own=True)
    s = Parameter("bend over the batch", (0.0, 10.0), (0.003, 0.013, 0.05), "nat/token", log=True, own=True)
    x = Parameter("how the two bends go together", (-0.999, 0.999), (-0.7, -0.4, 0.0))
    c = Parameter("coefficient of the best learning rate", (0.0, 1e30), (0.5, 5.0, 50.0), log=True)
    m = Parameter("exponent of size in the best learning rate", (-2.0, 2.0), (0.3, 0.5, 0.7))
    n = Parameter("exponent of data in the best learning rate", (-2.0, 2.0), (0.0, 0.1, 0.3))
    c_b = Parameter("coefficient of the best batch", (0.0, 1e30), (0.1, 1.0, 10.0), log=True)
    k = Parameter("exponent of data in the best batch", (-2.0, 2.0), (0.4, 0.55, 0.7))

    bibtex = (
        "@article{li2025predictable, title={Predictable Scale: Part I, Step Law}, author={Li, Houyi and "
        "others}, journal={arXiv:2503.04715}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, lr: Any, batch_size: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, q: Any,
             s: Any, x: Any, c: Any, m: Any, n: Any, c_b: Any, k: Any) -> Any:  # fmt: skip
        """Loss [nat/token]."""
        u, v = np.log(lr / c) + m * np.log(N) - n * np.log(D), np.log(batch_size / c_b) - k * np.log(D)
        return E + A * N**-alpha + B * D**-beta + q * u**2 + s * v**2 + 2 * x * np.sqrt(q * s) * u * v

    @staticmethod
    def gradient(N: Any, D: Any, lr: Any, batch_size: Any, E: Any, A: Any, alpha: Any, *rest: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        (B, beta, q, s, x, c, m, n, c_b, k), log_n, log_d = rest, np.log(N), np.log(D)
        u, v, root = np.log(lr / c) + m * log_n - n * log_d, np.log(batch_size / c_b) - k * log_d, np.sqrt(q * s)
        by_a, by_b = np.exp(-alpha * log_n), np.exp(-beta * log_d)
        by_u, by_v, uv = 2 * (q * u + x * root * v), 2 * (s * v + x * root * u), u * v
        powers = [np.ones_like(uv), by_a, -A * by_a * log_n, by_b, -B * by_b * log_d]
        bends = [u**2 + x * uv * root / q, v**2 + x * uv * root / s, 2 * root * uv]
        return [*powers, *bends, -by_u / c, by_u * log_n, -by_u * log_d, -by_v / c_b, -by_v * log_d]

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for inputs measured in `units`."""
        scaled, p, (N, D) = dict(params), params, (units["N"], units["D"])
        scaled["A"], scaled["B"] = p["A"] * N ** -p["alpha"], p["B"] * D ** -p["beta"]
        scaled["c"] = p["c"] * N ** -p["m"] * D ** p["n"] / units["lr"]
        scaled["c_b"] = p["c_b"] * D ** p["k"] / units["batch_size"]
        return scaled

    starts = staticmethod(bowl_starts)
