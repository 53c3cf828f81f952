"""The law of fine-tuning of Zhang et al. (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._declarations import Input


class Finetuning(Law):
    r"""A product of powers of size and of fine-tuning data over a floor [1]_.

    .. math:: L = E + A\,N^{-\alpha} D_f^{-\beta}

    ``N`` may stand for model size, pretraining data or the size of the tuned part, D_f is ``finetune_tokens``
    [tokens]; loss in [nat/token]. Constants were not found in an open source: none are shipped.

    References
    ----------
    .. [1] Zhang et al. (2024), When Scaling Meets LLM Finetuning, arXiv:2402.17193.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("finetuning")
    >>> round(float(law.loss(1e9, 1e7, 1.0, 10.0, 0.03, 0.08)), 3)
    2.479
    """

    name = "finetuning"
    inputs = ("N", "finetune_tokens")
    formula = "L(N, D_f) = E + A N^-alpha D_f^-beta"
    finetune_tokens = Input(
        "tokens of fine-tuning data", ("finetune_tokens", "d_f"), "tokens", typical=(1e5, 1e6, 1e7, 1e8)
    )

    E = Usual.E
    A = Parameter("coefficient", (0.0, 1e20), (3.0, 10.0, 100.0), log=True, linear=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.01, 0.05, 0.2))
    beta = Parameter("exponent of fine-tuning data", (0.0, 3.0), (0.03, 0.1, 0.3))

    bibtex = (
        "@article{zhang2024when, title={When Scaling Meets LLM Finetuning}, author={Zhang, Biao and "
        "others}, journal={arXiv:2402.17193}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, finetune_tokens: Any, E: Any, A: Any, alpha: Any, beta: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * N**-alpha * finetune_tokens**-beta
