"""What low-bit quantisation adds to the loss, of Ouyang et al. (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target


class LowBit(Law):
    r"""Loss that quantising a trained model adds, as powers of tokens, size and bits [1]_.

    .. math:: \delta = k\,D^{b} N^{-a} P^{-c}

    ``N`` counts parameters outside the embeddings [parameters], ``D`` tokens [tokens], P is ``post_bits`` [bits];
    the loss difference is in [nat/token].

    References
    ----------
    .. [1] Ouyang et al. (2024), Low-Bit Quantization Favors Undertrained LLMs, arXiv:2411.17691, fig. 6.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("low_bit").predict(N=1e9, D=3e11, post_bits=4), 5)
    0.08182
    """

    name = "low_bit"
    inputs = ("N", "D", "post_bits")
    formula = "delta(N, D, P) = k D^b N^-a P^-c"
    target = Target(
        "loss_difference", "nat/token", sense=-1, range=(-20.0, 20.0), scale="linear", names=("delta_loss",)
    )
    direction = {"D": 1}
    k = Parameter("coefficient", (0.0, 1e6), (0.005, 0.02, 0.5), unit="nat/token", log=True, linear=True, own=True)
    b = Parameter("exponent of tokens", (0.0, 3.0), (0.3, 0.5, 0.7))
    a = Parameter("exponent of size", (0.0, 3.0), (0.1, 0.23, 0.4))
    c = Parameter("exponent of bits", (0.0, 20.0), (3.0, 5.5, 8.0))

    published = (
        Constants(
            "ouyang2024",
            dict(k=0.017, b=0.5251, a=0.2261, c=5.4967),
            source="Ouyang et al. (2024), arXiv:2411.17691, fig. 6",
            params="non_embedding",
            evidence="paper",
            corpus="Pythia, GPTQ",
            ranges={"post_bits": (2, 4)},
            golden=(
                Golden(dict(N=1e9, D=3e11, post_bits=4), 0.081816734, 1e-7),
                Golden(dict(N=1e9, D=3e11, post_bits=3), 0.39773416, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{ouyang2024low, title={Low-Bit Quantization Favors Undertrained LLMs}, author={Ouyang, "
        "Xu and others}, journal={arXiv:2411.17691}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, post_bits: Any, k: Any, b: Any, a: Any, c: Any) -> Any:
        """Loss added by quantisation [nat/token]."""
        return k * D**b * N**-a * post_bits**-c
