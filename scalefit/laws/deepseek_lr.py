"""The best learning rate of DeepSeek LLM (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target
from scalefit.laws.deepseek_batch import DeepseekBatch


class DeepseekLR(Law):
    r"""Learning rate by compute [1]_.

    .. math:: \eta = c\,C^{-a}

    ``C`` is M D with M the FLOP per token outside the embeddings, attention included [FLOP]. A setting: there is
    nothing to minimise.

    References
    ----------
    .. [1] DeepSeek-AI (2024), DeepSeek LLM, arXiv:2401.02954, eq. 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("deepseek_lr").predict(C=8.39251e22), 6)
    0.000425
    """

    name = "deepseek_lr"
    inputs = ("C",)
    formula = "lr(C) = c C^-a"
    target = Target("lr", "-", sense=0, names=("learning_rate", "max_lr", "peak_lr"))
    flops = "logged"
    direction = {"C": 0}

    c = Parameter("coefficient", (0.0, 1e20), (0.1, 1.0, 10.0), log=True, linear=True, own=True)
    a = Parameter("exponent of compute", (0.0, 3.0), (0.05, 0.12, 0.3))

    published = (
        Constants(
            "bi2024",
            dict(c=0.3118, a=0.125),
            source="DeepSeek-AI (2024), arXiv:2401.02954, eq. 1",
            params="total",
            evidence="review",
            checked="to 0.02: the deployed rates 4.2e-4 and 3.2e-4",
            remark="0.3188 and 0.3318 circulate as well; 0.3118 gives both deployed rates.",
            golden=(
                Golden(dict(C=8.39251e22), 0.0004250007, 1e-6),
                Golden(dict(C=8.39251e22), 4.2e-4, 0.02, "deployed"),
                Golden(dict(C=8.6066e23), 3.2e-4, 0.01, "deployed"),
            ),
        ),
    )
    bibtex = DeepseekBatch.bibtex

    @staticmethod
    def loss(C: Any, c: Any, a: Any) -> Any:
        """Learning rate [-]."""
        return c * C**-a
