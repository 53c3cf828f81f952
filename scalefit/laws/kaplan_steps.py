"""The law of Kaplan et al. (2020) in size and training steps."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input


class KaplanSteps(Law):
    r"""Powers of size and of steps at a batch far above the critical one, without a floor [1]_.

    .. math:: L = (N_c/N)^{\alpha_N} + (S_c/S)^{\alpha_S}

    ``N`` counts parameters outside the embeddings [parameters], S is ``steps`` at a batch far above the critical
    one; S_min = S / (1 + B_crit/B) else; loss in [nat/token].

    References
    ----------
    .. [1] Kaplan et al. (2020), Scaling Laws for Neural Language Models, arXiv:2001.08361, table 3.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("kaplan_steps").predict(N=1e9, steps=1e5), 4)
    2.4005
    """

    name = "kaplan_steps"
    inputs = ("N", "steps")
    exponents = {"N": ("alpha_N",), "steps": ("alpha_S",)}
    formula = "L(N, S) = (N_c/N)^alpha_N + (S_c/S)^alpha_S"
    steps = Input(
        "training steps", ("steps", "n_steps", "train_steps", "s_min"), typical=(1e3, 1e4, 1e5, 1e6), integer=True
    )

    N_c = Parameter("size scale", (1e-30, 1e60), (1e12, 6e13, 1e15), unit="parameters", log=True, own=True)
    alpha_N = Parameter("size exponent", (1e-4, 3.0), (0.05, 0.08, 0.2))
    S_c = Parameter("scale of steps", (1e-30, 1e60), (100.0, 2e3, 1e5), unit="steps", log=True, own=True)
    alpha_S = Parameter("exponent of steps", (1e-4, 3.0), (0.4, 0.7, 1.0))

    published = (
        Constants(
            "kaplan2020",
            dict(N_c=6.5e13, alpha_N=0.077, S_c=2.1e3, alpha_S=0.76),
            source="Kaplan et al. (2020), arXiv:2001.08361, table 3",
            params="non_embedding",
            evidence="paper",
            corpus="WebText2, GPT-2 BPE",
            golden=(Golden(dict(N=1e9, steps=1e5), 2.4005137, 1e-7),),
        ),
    )
    bibtex = (
        "@article{kaplan2020scaling, title={Scaling Laws for Neural Language Models}, author={Kaplan, "
        "Jared and others}, journal={arXiv:2001.08361}, year={2020}}"
    )

    @staticmethod
    def loss(N: Any, steps: Any, N_c: Any, alpha_N: Any, S_c: Any, alpha_S: Any) -> Any:
        """Loss [nat/token]."""
        return (N_c / N) ** alpha_N + (S_c / steps) ** alpha_S
