"""The law of training in floating point of Sun et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class FloatPrecision(Law):
    r"""Chinchilla's law with a cost of few exponent and mantissa bits, which grows with the tokens [1]_.

    .. math::
        L = n\,N^{-\alpha} + d\,D^{-\beta} + E +
        \frac{D^{\beta} N^{-\alpha} \log_2 B}{\gamma\,(e + 1/2)^{\delta} (m + 1/2)^{\nu}}

    ``N`` [parameters], ``D`` tokens [tokens], e is ``exponent_bits`` and m ``mantissa_bits`` [bits], B is
    ``block``, the values that share a scale; loss in [nat/token]. Past some D more tokens hurt.

    References
    ----------
    .. [1] Sun et al. (2025), Scaling Laws for Floating Point Quantization Training, arXiv:2501.02423, eq. 26 and
       table 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("float_precision").predict(N=1e9, D=1e11, exponent_bits=4, mantissa_bits=3, block=128), 4)
    2.5631
    """

    name = "float_precision"
    inputs = ("N", "D", "exponent_bits", "mantissa_bits", "block")
    formula = (
        "L(N, D, e, m, B) = n N^-alpha + d D^-beta + E + D^beta N^-alpha lg2(B) / (gamma (e+1/2)^delta (m+1/2)^nu)"
    )
    direction = {"D": 0, "block": 1}
    exponent_bits = Input(
        "bits of the exponent", ("exponent_bits", "e_bits"), "bits", range=(1, 11), typical=(2, 4, 5, 8)
    )
    mantissa_bits = Input(
        "bits of the mantissa", ("mantissa_bits", "m_bits"), "bits", range=(0, 52), typical=(1, 2, 3, 7), zero=True
    )
    block = Input("values that share a scale", ("block", "block_size_values"), range=(2, 1e9), typical=(32, 128, 512))

    E = Usual.E
    n = Parameter("size coefficient", (0.0, 1e20), (10.0, 70.0, 1e3), log=True, linear=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.15, 0.24, 0.4))
    d = Parameter("data coefficient", (0.0, 1e20), (1e3, 7e4, 1e6), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.35, 0.5, 0.65))
    gamma = Parameter("inverse cost of low precision", (1e-3, 1e12), (1e3, 1e4, 1e6), log=True)
    delta = Parameter("exponent of exponent bits", (0.0, 20.0), (2.0, 3.2, 4.0))
    nu = Parameter("exponent of mantissa bits", (0.0, 20.0), (2.0, 3.0, 4.0))

    published = (
        Constants(
            "sun2025",
            dict(
                E=1.9061, n=69.2343, alpha=0.2368, d=68973.0621, beta=0.5162, gamma=11334.5197, delta=3.1926, nu=2.9543
            ),
            source="Sun et al. (2025), arXiv:2501.02423, table 2",
            params="total",
            evidence="paper",
            checked="yes: the critical tokens .4T, 27T, 1730T of E2M1, E4M3, E8M7 and the best layouts",
            N=(4.1e7, 6.79e8),
            D=(1.05e10, 1.05e11),
            golden=(
                Golden(dict(N=1e9, D=1e11, exponent_bits=4, mantissa_bits=3, block=128), 2.5630699, 1e-7),
                Golden(dict(N=1e9, D=1e11, exponent_bits=2, mantissa_bits=1, block=128), 2.5978659, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{sun2025scaling, title={Scaling Laws for Floating Point Quantization Training}, "
        "author={Sun, Xingwu and others}, journal={arXiv:2501.02423}, year={2025}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        exponent_bits: Any,
        mantissa_bits: Any,
        block: Any,
        E: Any,
        n: Any,
        alpha: Any,
        d: Any,
        beta: Any,
        gamma: Any,
        delta: Any,
        nu: Any,
    ) -> Any:
        """Loss [nat/token]."""
        size = N**-alpha
        cost = D**beta * size * np.log2(block) / (gamma * (exponent_bits + 0.5) ** delta * (mantissa_bits + 0.5) ** nu)
        return n * size + d * D**-beta + E + cost
