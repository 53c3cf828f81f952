"""The additive law of Hoffmann et al. (2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Term

_EPOCH = "Besiroglu et al. (2024), arXiv:2404.10102"


class Chinchilla(Law):
    r"""Additive power law in parameters and tokens [1]_.

    .. math:: L(N, D) = E + A\,N^{-\alpha} + B\,D^{-\beta}

    ``N`` counts all parameters, embeddings included [parameters]; ``D`` counts training tokens seen [tokens]; the
    loss is in [nat/token].

    References
    ----------
    .. [1] Hoffmann et al. (2022), Training Compute-Optimal Large Language Models, arXiv:2203.15556, eq. 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("chinchilla", "hoffmann2022").predict(N=70e9, D=1.4e12), 5)
    1.93665
    """

    inputs = ("N", "D")
    formula = "L(N, D) = E + A N^-alpha + B D^-beta"

    E = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.7, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0))
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0))

    terms = (Term("E"), Term("A", {"N": "alpha"}), Term("B", {"D": "beta"}))

    published = (
        Constants(
            "hoffmann2022",
            dict(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28),
            source="Hoffmann et al. (2022), arXiv:2203.15556, eq. 10 (rounded)",
            N=(44e6, 16.2e9),
            D=(2e8, 5e11),
            corpus="MassiveText, 32k SentencePiece",
            remark="The rounding alone moves the optimal ratio from 59 to 93 tokens per parameter.",
        ),
        Constants(
            "hoffmann2022_tex",
            dict(
                E=float(np.exp(0.5267228)),
                A=float(np.exp(6.0073404)),
                alpha=0.33917084,
                B=float(np.exp(6.0179186)),
                beta=0.2849083,
            ),
            source="Hoffmann et al. (2022), arXiv:2203.15556, digits in the TeX source, as read by Besiroglu et al.",
            N=(44e6, 16.2e9),
            D=(2e8, 5e11),
            corpus="MassiveText, 32k SentencePiece",
        ),
        Constants(
            "besiroglu2024",
            dict(E=1.81686, A=482.00572, alpha=0.34781, B=2085.43420, beta=0.36585),
            source=f"{_EPOCH}, notebook cell 25 of analyzing-chinchilla (maximum likelihood)",
            N=(44e6, 16.2e9),
            D=(2e8, 5e11),
            corpus="MassiveText, 32k SentencePiece, points read off figure 4 of arXiv:2203.15556",
            remark="Not the minimum of Huber(1e-3): that is E 1.81722, alpha 0.347310, beta 0.367172.",
        ),
    )
    bibtex = (
        "@article{hoffmann2022training, title={Training Compute-Optimal Large Language Models}, "
        "author={Hoffmann, Jordan and others}, journal={arXiv:2203.15556}, year={2022}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * N**-alpha + B * D**-beta

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N and D measured in `units`."""
        scaled = dict(params)
        scaled["A"] = params["A"] * units["N"] ** -params["alpha"]
        scaled["B"] = params["B"] * units["D"] ** -params["beta"]
        return scaled
