"""The rectified law of fine-tuning of Lin et al. (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._declarations import Input


class Rectified(Law):
    r"""A power law in fine-tuning data, plus the data that pretraining is worth [1]_.

    .. math:: L = E + \frac{B}{D_l + D_f^{\beta}}

    D_f is ``finetune_tokens`` [tokens or examples], D_l what pretraining is worth in the same unit to the power
    beta; loss in [nat/token]. Constants differ for every model and task.

    References
    ----------
    .. [1] Lin et al. (2024), Selecting Large Language Model to Fine-tune via Rectified Scaling Law,
       arXiv:2402.02314.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("rectified")
    >>> round(float(law.loss(1e6, 1.0, 500.0, 200.0, 0.5)), 4)
    1.4167
    """

    name = "rectified"
    inputs = ("finetune_tokens",)
    formula = "L(D_f) = E + B / (D_l + D_f^beta)"
    finetune_tokens = Input("fine-tuning data", ("finetune_tokens", "d_f"), "tokens", typical=(1e2, 1e4, 1e6, 1e8))

    E = Usual.E
    B = Parameter("coefficient", (0.0, 1e20), (10.0, 500.0, 1e5), log=True, linear=True, own=True)
    D_l = Parameter("data that pretraining is worth", (1e-6, 1e15), (20.0, 200.0, 2e3), log=True)
    beta = Parameter("exponent", (0.0, 3.0), (0.3, 0.5, 0.8))

    bibtex = (
        "@article{lin2024selecting, title={Selecting Large Language Model to Fine-tune via Rectified "
        "Scaling Law}, author={Lin, Haowei and others}, journal={arXiv:2402.02314}, year={2024}}"
    )

    @staticmethod
    def loss(finetune_tokens: Any, E: Any, B: Any, D_l: Any, beta: Any) -> Any:
        """Loss [nat/token]."""
        return E + B / (D_l + finetune_tokens**beta)
