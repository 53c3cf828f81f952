"""The law of an associative memory under Zipf's law, with room for facts in proportion to its parameters."""

from __future__ import annotations

from typing import Any, ClassVar

from scalefit.laws._base import Law, Parameter, Usual


class ZipfMemory(Law):
    r"""Error of a memory of facts whose frequency falls like rank^-a: one exponent for model size and data [1]_.

    .. math:: L(N, D) = E + A\,N^{-(a - 1)} + B\,D^{-(1 - 1/a)}

    The first term is the mass of the facts that do not fit, where as many fit as there are parameters, P ~ d^2 ~ N
    [2]_; the second is the mass of those not yet seen. ``zipf_memory_width`` takes P ~ d, ``zipf_memory_sequences`` Niu
    et al.'s one pattern per sequence. The theory is about a 0-1 error that falls to zero: E and the use on a loss in
    [nat/token] are additions that no paper claims. ``N`` [parameters], ``D`` [tokens].

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), Scaling Laws for Associative Memories, arXiv:2310.02984.
    .. [2] Nichani, Lee and Bietti (2024), Understanding Factual Recall in Transformers via Associative Memories,
       arXiv:2412.06538.

    Examples
    --------
    >>> round(ZipfMemory.loss(1e8, 1e10, 1.7, 1e4, 1e3, 1.5), 3)  # exponents 1/2 and 1/3
    3.164
    """

    inputs = ("N", "D")
    exponents = {"N": ("a",), "D": ("a",)}
    formula = "L(N, D) = E + A N^-(a - 1) + B D^-(1 - 1/a)"
    bibtex = (
        "@inproceedings{cabannes2024scaling, title={Scaling Laws for Associative Memories}, author={Cabannes, Vivien "
        "and Dohmatob, Elvis and Bietti, Alberto}, booktitle={ICLR}, year={2024}, eprint={2310.02984}}"
    )

    E, A, B = Usual.E, Usual.A, Usual.B
    a = Parameter("Zipf exponent of the facts", (1.0, 13.0), (1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0))

    #: Facts that fit grow like N to this power.
    power: ClassVar[float] = 1.0

    @classmethod
    def loss(cls, N: Any, D: Any, E: Any, A: Any, B: Any, a: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * N ** (cls.power * (1.0 - a)) + B * D ** (1.0 / a - 1.0)

    @classmethod
    def rescale(cls, params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N and D measured in `units`."""
        scaled, a = dict(params), params["a"]
        scaled["A"] = params["A"] * units["N"] ** (cls.power * (1.0 - a))
        scaled["B"] = params["B"] * units["D"] ** (1.0 / a - 1.0)
        return scaled
