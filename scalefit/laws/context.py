"""The law of context length of Xiong et al. (2023)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class Context(Law):
    r"""A power law in the context length, with a floor [1]_.

    .. math:: L = (A/c)^{\beta} + E

    c is ``context`` [tokens]; loss in [nat/token].

    References
    ----------
    .. [1] Xiong et al. (2023), Effective Long-Context Scaling of Foundation Models, arXiv:2309.16039.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("context", "xiong2023_7b").predict(context=4096), 4)
    1.6615
    """

    name = "context"
    inputs = ("context",)
    exponents = {"context": ("beta",)}
    formula = "L(c) = (A/c)^beta + E"
    context = Input(
        "context length",
        ("context", "context_length", "seq_len", "n_ctx", "t_max"),
        "tokens",
        typical=(512, 2048, 8192, 32768),
        integer=True,
    )

    E = Usual.E
    A = Parameter("context scale", (1e-12, 1e12), (1.0, 20.0, 1e3), unit="tokens", log=True, own=True)
    beta = Parameter("exponent", (0.0, 3.0), (0.2, 0.45, 0.8))

    published = (
        Constants(
            "xiong2023_7b",
            dict(E=1.56, A=25.4, beta=0.45),
            source="Xiong et al. (2023), arXiv:2309.16039, as a review quotes it",
            params="total",
            evidence="review",
            corpus="Llama 2 7B, continued on long sequences",
            ranges={"context": (256, 32768)},
            golden=(
                Golden(dict(context=4096), 1.6615344, 1e-7),
                Golden(dict(context=32768), 1.5998311, 1e-7),
            ),
        ),
        Constants(
            "xiong2023_13b",
            dict(E=1.45, A=19.5, beta=0.48),
            source="Xiong et al. (2023), arXiv:2309.16039, as a review quotes it",
            params="total",
            evidence="review",
            corpus="Llama 2 13B, continued on long sequences",
            ranges={"context": (256, 32768)},
        ),
        Constants(
            "xiong2023_34b",
            dict(E=1.41, A=17.7, beta=0.5),
            source="Xiong et al. (2023), arXiv:2309.16039, as a review quotes it",
            params="total",
            evidence="review",
            corpus="Llama 2 34B, continued on long sequences",
            ranges={"context": (256, 32768)},
        ),
        Constants(
            "xiong2023_70b",
            dict(E=1.35, A=17.9, beta=0.51),
            source="Xiong et al. (2023), arXiv:2309.16039, as a review quotes it",
            params="total",
            evidence="review",
            corpus="Llama 2 70B, continued on long sequences",
            ranges={"context": (256, 32768)},
            golden=(
                Golden(dict(context=4096), 1.4126, 1e-4),
                Golden(dict(context=32768), 1.3717, 1e-4),
            ),
        ),
    )
    bibtex = (
        "@article{xiong2023effective, title={Effective Long-Context Scaling of Foundation Models}, "
        "author={Xiong, Wenhan and others}, journal={arXiv:2309.16039}, year={2023}}"
    )

    @staticmethod
    def loss(context: Any, E: Any, A: Any, beta: Any) -> Any:
        """Loss [nat/token]."""
        return (A / context) ** beta + E
