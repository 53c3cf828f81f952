"""The best batch of DeepSeek LLM (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target


class DeepseekBatch(Law):
    r"""Batch by compute [1]_.

    .. math:: B = c\,C^{b}

    ``C`` is M D with M the FLOP per token outside the embeddings, attention included [FLOP]; the batch is in
    tokens. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] DeepSeek-AI (2024), DeepSeek LLM, arXiv:2401.02954, eq. 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("deepseek_batch").predict(C=8.456e22) / 1e6, 2)
    9.22
    """

    name = "deepseek_batch"
    inputs = ("C",)
    formula = "batch(C) = c C^b"
    target = Target("batch_tokens", "tokens", sense=0, names=("batch", "batch_size_tokens"))
    flops = "logged"
    direction = {"C": 0}

    c = Parameter("coefficient", (0.0, 1e20), (0.1, 1.0, 10.0), log=True, linear=True, own=True)
    b = Parameter("exponent of compute", (-2.0, 2.0), (0.2, 0.33, 0.5))

    published = (
        Constants(
            "bi2024",
            dict(c=0.2920, b=0.3271),
            source="DeepSeek-AI (2024), arXiv:2401.02954, eq. 1",
            params="total",
            evidence="review",
            checked="to 0.05: the deployed batches 9.2M and 19.7M tokens, from C by its eq. 2",
            golden=(
                Golden(dict(C=8.456e22), 9.22e6, 0.002),
                Golden(dict(C=8.456e22), 9.2e6, 0.01, "deployed"),
                Golden(dict(C=9.946e23), 2.07e7, 0.01),
            ),
        ),
    )
    bibtex = (
        "@article{bi2024deepseek, title={DeepSeek LLM: Scaling Open-Source Language Models with "
        "Longtermism}, author={DeepSeek-AI}, journal={arXiv:2401.02954}, year={2024}}"
    )

    @staticmethod
    def loss(C: Any, c: Any, b: Any) -> Any:
        """Batch [tokens]."""
        return c * C**b
