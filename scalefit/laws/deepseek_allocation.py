"""The best model for a budget of DeepSeek LLM (2024), by the FLOP that it takes per token."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target
from scalefit.laws.deepseek_batch import DeepseekBatch


class DeepseekAllocation(Law):
    r"""Best size by compute, where size is the FLOP per token, attention included [1]_.

    .. math:: M = c\,C^{b}

    ``C`` is M D [FLOP]; M is 72 n_layers d^2 + 12 n_layers d T [FLOP/token] with T the context. The best number of
    tokens is C/M. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] DeepSeek-AI (2024), DeepSeek LLM, arXiv:2401.02954, eqs. 2 and 4.

    Examples
    --------
    >>> import scalefit as sf
    >>> flop_per_token = sf.published("deepseek_allocation", "bi2024").predict(C=1e20)
    >>> f"{flop_per_token:.4g} FLOP per token, {1e20 / flop_per_token:.4g} tokens"
    '5.251e+09 FLOP per token, 1.904e+10 tokens'
    """

    name = "deepseek_allocation"
    inputs = ("C",)
    formula = "M(C) = c C^b"
    target = Target("flop_per_token", "FLOP/token", sense=0, names=("m", "model_scale"))
    flops = "logged"
    direction = {"C": 0}

    c = Parameter("coefficient", (0.0, 1e20), (0.01, 0.1, 1.0), log=True, linear=True, own=True)
    b = Parameter("exponent of compute", (-2.0, 2.0), (0.4, 0.5, 0.6))

    published = (
        Constants(
            "bi2024",
            dict(c=0.1715, b=0.5243),
            source="DeepSeek-AI (2024), arXiv:2401.02954, eq. 4",
            evidence="review",
            checked="yes: C/M gives the tokens that it prints, 5.8316 C^.4757",
            golden=(
                Golden(dict(C=1e20), 5.2512673e09, 1e-7),
                Golden(dict(C=1e20), 1e20 / (5.8316 * 1e20**0.4757), 2e-4, "eq. 4, by its tokens"),
            ),
        ),
        *(
            Constants(
                f"tian2025_{kind}",
                dict(c=c, b=b),
                source=f"Tian et al. (2025), Ling, arXiv:2507.17702, table 1: {words}",
                checked=f"yes: C/M gives the tokens that it prints, {tokens:g} C^{of_tokens:g}",
                golden=(
                    Golden(dict(C=1e20), value, 1e-7),
                    Golden(dict(C=1e20), 1e20 / (tokens * 1e20**of_tokens), 1e-3, "table 1, by its tokens"),
                ),
            )
            for kind, words, c, b, tokens, of_tokens, value in (
                ("dense", "dense models", 0.0655, 0.5422, 15.2582, 0.4578, 4.5734222e09),
                ("moe", "mixtures of experts", 0.1915, 0.5095, 5.2232, 0.4905, 2.9659838e09),
            )
        ),
    )
    bibtex = DeepseekBatch.bibtex

    @staticmethod
    def loss(C: Any, c: Any, b: Any) -> Any:
        """Size of the model [FLOP/token]."""
        return c * C**b
