"""The critical batch of Kaplan et al. (2020)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target


class CriticalBatch(Law):
    r"""Batch at which steps and samples cost the same, by loss [1]_.

    .. math:: B_{crit} = B_*\,L^{-1/a}

    L is ``val_loss`` [nat/token]; the batch is in tokens. At twice the critical batch, training takes 1.5 times the
    fewest samples and steps.

    References
    ----------
    .. [1] Kaplan et al. (2020), Scaling Laws for Neural Language Models, arXiv:2001.08361, eq. 1.4; McCandlish et
       al. (2018), arXiv:1812.06162.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("critical_batch", "kaplan2020").predict(val_loss=3.0))
    1069114
    """

    name = "critical_batch"
    inputs = ("val_loss",)
    formula = "B(L) = B_star L^(-1/a)"
    target = Target("batch_tokens", "tokens", sense=0, names=("batch", "batch_size_tokens"))
    direction = {"val_loss": 0}
    val_loss = Input(
        "loss", ("val_loss", "validation_loss"), "nat/token", range=(0, 20), typical=(2.0, 2.5, 3.0, 4.0, 6.0)
    )

    B_star = Parameter(
        "batch at a loss of one", (0.0, 1e20), (1e7, 2e8, 1e10), unit="tokens", log=True, linear=True, own=True
    )
    a = Parameter("exponent", (0.01, 5.0), (0.1, 0.2, 0.5))

    published = (
        Constants(
            "kaplan2020",
            dict(B_star=2e8, a=0.21),
            source="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.4",
            params="total",
            evidence="paper",
            corpus="WebText2, GPT-2 BPE",
            golden=(Golden(dict(val_loss=3.0), 1069114, 1e-6),),
        ),
        Constants(
            "kaplan2020_t5",
            dict(B_star=2.1e8, a=0.21),
            source="Kaplan et al. (2020), arXiv:2001.08361, table 5",
            params="total",
            evidence="paper",
            corpus="WebText2, GPT-2 BPE",
            golden=(Golden(dict(val_loss=3.0), 1122569.7, 1e-7),),
        ),
        Constants(
            "minicpm2024",
            dict(B_star=1.21e9, a=1 / 6.24),
            source="Hu et al. (2024), MiniCPM, arXiv:2404.06395, section 3.2",
            params="total",
            evidence="paper",
            corpus="C4",
            remark="That the batch counts tokens is inferred.",
            golden=(Golden(dict(val_loss=2.5), 3977770.4, 1e-7),),
        ),
    )
    bibtex = (
        "@article{kaplan2020scaling, title={Scaling Laws for Neural Language Models}, author={Kaplan, "
        "Jared and others}, journal={arXiv:2001.08361}, year={2020}}"
    )

    @staticmethod
    def loss(val_loss: Any, B_star: Any, a: Any) -> Any:
        """Critical batch [tokens]."""
        return B_star * val_loss ** (-1.0 / a)
