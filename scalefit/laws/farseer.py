"""The law of Li et al. (2025), Farseer, whose data exponent moves with size."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target
from scalefit.laws._starts import stretched_starts

#: Each slope with its power of size.
_SLOPES = {"a3": "g", "a2": "b", "a1": "a"}


class Farseer(Law):
    r"""Powers of tokens whose coefficient and exponent are stretched exponentials of size [1]_.

    .. math:: L = e^{a_3 N^{g} + b_3} + e^{a_2 N^{b} + b_2}\,D^{-\exp(a_1 N^{a} + b_1)}

    ``N`` counts parameters outside the embeddings [parameters], ``D`` tokens [tokens]; loss in [bit/character].
    Predict with it, do not plan: with the printed digits no optimum at fixed compute is global.

    References
    ----------
    .. [1] Li et al. (2025), Predictable Scale: Part II, Farseer, arXiv:2506.10972, eqs. 3 and 15.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("farseer").predict(N=1e9, D=2e10), 4)
    0.5272
    """

    name = "farseer"
    inputs = ("N", "D")
    formula = "L(N, D) = e^(a3 N^g + b3) + e^(a2 N^b + b2) D^-exp(a1 N^a + b1)"
    target = Target("loss", "bit/character")
    direction = {"N": 0}

    a3 = Parameter("slope of the floor", (-1e20, 1e20), (-0.05, -0.02, -0.01))
    g = Parameter("power of size in the floor", (-0.5, 0.5), (0.1, 0.17, 0.25))
    b3 = Parameter("log of the floor", (-20.0, 20.0), (-0.5, -0.1, 0.3))
    a2 = Parameter("slope of the data coefficient", (0.0, 1e20), (40.0, 90.0, 150.0), log=True)
    b = Parameter("power of size in the data coefficient", (-0.5, 0.5), (-0.2, -0.1, -0.05))
    b2 = Parameter("log of the data coefficient", (-50.0, 50.0), (-9.0, -6.3, -3.0))
    a1 = Parameter("slope of the data exponent", (-1e20, 1e20), (-0.2, -0.12, -0.06))
    a = Parameter("power of size in the data exponent", (-0.5, 0.5), (0.08, 0.12, 0.2))
    b1 = Parameter("log of the data exponent", (-20.0, 20.0), (0.0, 0.4, 0.8))

    published = (
        Constants(
            "li2025",
            dict(a3=-0.021, g=0.169, b3=-0.091, a2=88.01, b=-0.1, b2=-6.287, a1=-0.124, a=0.123, b1=0.424),
            source="Li et al. (2025), arXiv:2506.10972, eq. 15",
            params="non_embedding",
            evidence="paper",
            checked="no: the rising D/N that it draws does not follow from the rounded digits",
            N=(1e8, 6.4e9),
            D=(1e9, 5.12e11),
            golden=(
                Golden(dict(N=1e9, D=2e10), 0.52722413, 1e-7),
                Golden(dict(N=1e8, D=1e10), 0.6197451, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{li2025farseer, title={Predictable Scale: Part II, Farseer}, author={Li, Houyi and "
        "others}, journal={arXiv:2506.10972}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, a3: Any, g: Any, b3: Any, a2: Any, b: Any, b2: Any, a1: Any, a: Any, b1: Any) -> Any:
        """Loss [bit/character]."""
        floor = np.exp(a3 * N**g + b3)
        return floor + np.exp(a2 * N**b + b2 - np.exp(a1 * N**a + b1) * np.log(D))

    @staticmethod
    def gradient(N: Any, D: Any, a3: Any, g: Any, b3: Any, a2: Any, b: Any, b2: Any, a1: Any, a: Any, b1: Any) -> Any:
        """Derivatives in order of the parameters."""
        log_n, log_d = np.log(N), np.log(D)
        in_floor, in_coefficient, in_exponent = np.exp(g * log_n), np.exp(b * log_n), np.exp(a * log_n)
        floor, exponent = np.exp(a3 * in_floor + b3), np.exp(a1 * in_exponent + b1)
        rest = np.exp(a2 * in_coefficient + b2 - exponent * log_d)
        by_exponent = -rest * exponent * log_d
        parts = ((floor, a3, in_floor), (rest, a2, in_coefficient), (by_exponent, a1, in_exponent))
        return [d for top, slope, power in parts for d in (top * power, top * slope * power * log_n, top)]

    rescales = ("N",)

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N measured in `units`."""
        return {**params, **{k: params[k] * units["N"] ** params[power] for k, power in _SLOPES.items()}}

    n_starts = 24
    starts = staticmethod(stretched_starts)
