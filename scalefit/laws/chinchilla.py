"""The additive law of Hoffmann et al. (2022)."""

from __future__ import annotations

from math import exp
from typing import Any

from scalefit.laws._base import Constants, Law, Term, Usual
from scalefit.laws._declarations import Golden

_EPOCH = "Besiroglu et al. (2024), arXiv:2404.10102"
#: The runs that several sets of constants are of.
_RUNS: dict[str, Any] = dict(N=(44e6, 16.2e9), D=(2e8, 5e11), corpus="MassiveText, 32k SentencePiece")


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

    shared_prior = True

    E, A, alpha, B, beta = Usual.E, Usual.A, Usual.alpha, Usual.B, Usual.beta

    terms = (Term("E"), Term("A", {"N": "alpha"}), Term("B", {"D": "beta"}))

    published = (
        Constants(
            "hoffmann2022",
            dict(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28),
            source="Hoffmann et al. (2022), arXiv:2203.15556, eq. 10 (rounded)",
            **_RUNS,
            remark="The rounding alone moves the optimal ratio from 59 to 93 tokens per parameter.",
            golden=(Golden(dict(N=70e9, D=1.4e12), 1.9366455),),
        ),
        Constants(
            "hoffmann2022_tex",
            dict(E=exp(0.5267228), A=exp(6.0073404), alpha=0.33917084, B=exp(6.0179186), beta=0.2849083),
            source="Hoffmann et al. (2022), arXiv:2203.15556, digits in the TeX source, as read by Besiroglu et al.",
            **_RUNS,
            golden=(Golden(dict(N=70e9, D=1.4e12), 1.920846),),
        ),
        Constants(
            "besiroglu2024",
            dict(E=1.81686, A=482.00572, alpha=0.34781, B=2085.43420, beta=0.36585),
            source=f"{_EPOCH}, notebook cell 25 of analyzing-chinchilla (maximum likelihood)",
            N=_RUNS["N"],
            D=_RUNS["D"],
            corpus="MassiveText, 32k SentencePiece, points read off figure 4 of arXiv:2203.15556",
            remark="Not the minimum of Huber(1e-3): that is E 1.81722, alpha 0.347310, beta 0.367172.",
            evidence="code",
            golden=(Golden(dict(N=70e9, D=1.4e12), 1.9734159),),
        ),
        Constants(
            "muennighoff2023_base",
            dict(E=exp(0.6254804), A=exp(6.255414), alpha=0.3526596, B=exp(7.3049974), beta=0.3526596),
            source="Muennighoff et al. (2023), arXiv:2305.16264; digits from the README of datablations",
            N=(7e6, 9e9),
            D=(1e8, 9e11),
            corpus="C4, GPT-2 BPE",
            remark="alpha and beta were tied: 19.6 tokens per parameter at every budget.",
            evidence="code",
            golden=(Golden(dict(N=70e9, D=1.4e12), 2.0245971),),
        ),
        Constants(
            "sardana2024_paper",
            dict(E=1.69, A=406.4, alpha=0.336, B=410.7, beta=0.283),
            source="Sardana et al. (2024), arXiv:2401.00448, appendix A, footnote 2, as a review quotes it",
            **_RUNS,
            evidence="review",
            checked="yes: its five printed plans with inference",
            golden=(Golden(dict(N=70e9, D=1.4e12), 1.9322847),),
        ),
        *(
            Constants(
                f"sardana2024_{key}",
                dict(E=E, A=A, alpha=alpha, B=B, beta=beta),
                source="Sardana et al. (2024), arXiv:2401.00448, table 1, as a review quotes it",
                evidence="review",
                remark=f"Fitted to runs of {runs} tokens per parameter.",
                golden=golden,
            )
            for key, runs, E, A, alpha, B, beta, golden in (
                ("all", "10 to 10,000", 1.45, 33.66, 0.18, 138.9, 0.24, (Golden(dict(N=70e9, D=1.4e12), 1.9947351),)),
                ("up_to_100", "at most 100", 0.17, 7.199, 0.08, 25.97, 0.13, ()),
                ("up_to_250", "at most 250", 0.98, 14.23, 0.13, 39.54, 0.16, ()),
                ("up_to_500", "at most 500", 0.95, 17.07, 0.13, 35.80, 0.16, ()),
            )
        ),
        Constants(
            "krajewski2024_dense",
            dict(E=0.47, A=16.3, alpha=0.126, B=26.7, beta=0.127),
            source="Krajewski et al. (2024), arXiv:2402.07871, table 1, dense models",
            N=(1.29e8, 3.7e9),
            D=(1.6e10, 1.3e11),
            params="non_embedding",
            golden=(Golden(dict(N=70e9, D=1.4e12), 1.9364932),),
        ),
        Constants(
            "minicpm2024_average",
            dict(E=0.31, A=0.0715 * 1e9**0.29, alpha=0.29, B=0.300 * 1e9**0.23, beta=0.23),
            source="Hu et al. (2024), MiniCPM, arXiv:2404.06395, fig. 10: the mean of five corpora, N and D in 1e9",
            params="non_embedding",
            loss_unit="per byte",
            remark="The loss is per byte; the paper does not say whether in nats or bits.",
            checked="to 0.05: 183.9 tokens per parameter at 1e21 FLOP where it prints 191.87",
            golden=(Golden(dict(N=1e9, D=2e11), 0.47019198, 1e-6),),
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
