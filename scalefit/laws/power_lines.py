"""The best time constant of weight decay of Bergsma et al. (2025), Power Lines."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target


class PowerLines(Law):
    r"""Time constant of AdamW's average, as a share of training, by tokens per parameter [1]_.

    .. math:: \tau = \frac{B}{\eta \lambda D} = c\,\mathrm{TPP}^{-a}

    ``tokens_per_param`` is D/N [tokens per parameter]; tau is the batch over learning rate, weight decay and
    tokens. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] Bergsma et al. (2025), Power Lines, arXiv:2505.13738.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("power_lines").predict(tokens_per_param=20), 4)
    0.2236
    """

    name = "power_lines"
    inputs = ("tokens_per_param",)
    formula = "tau(TPP) = c TPP^-a"
    target = Target("tau", "-", sense=0, names=("timescale",))
    direction = {"tokens_per_param": 0}
    tokens_per_param = Input(
        "training tokens per parameter",
        ("tokens_per_param", "tpp", "tokens_per_parameter"),
        "tokens/parameter",
        typical=(1, 20, 200, 1000),
    )

    c = Parameter("coefficient", (0.0, 1e20), (0.1, 1.0, 10.0), log=True, linear=True, own=True)
    a = Parameter("exponent of tokens per parameter", (0.0, 3.0), (0.3, 0.5, 0.7))

    published = (
        Constants(
            "bergsma2025",
            dict(c=1.084, a=0.527),
            source="Bergsma et al. (2025), arXiv:2505.13738",
            params="total",
            evidence="review",
            golden=(
                Golden(dict(tokens_per_param=1), 1.084, 1e-7),
                Golden(dict(tokens_per_param=20), 0.22355607, 1e-6),
                Golden(dict(tokens_per_param=1000), 0.028446529, 1e-6),
            ),
        ),
    )
    bibtex = (
        "@article{bergsma2025power, title={Power Lines: Scaling Laws for Weight Decay and Batch Size in "
        "LLM Pre-training}, author={Bergsma, Shane and others}, journal={arXiv:2505.13738}, year={2025}}"
    )

    @staticmethod
    def loss(tokens_per_param: Any, c: Any, a: Any) -> Any:
        """Time constant over the length of training [-]."""
        return c * tokens_per_param**-a
