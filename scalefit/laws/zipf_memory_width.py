"""The law of an associative memory under Zipf's law that stores as many facts as it is wide."""

from __future__ import annotations

from scalefit.laws.zipf_memory import ZipfMemory


class ZipfMemoryWidth(ZipfMemory):
    r"""Error of a memory of facts under Zipf's law that stores as many facts as it is wide [1]_.

    .. math:: L(N, D) = E + A\,N^{-(a - 1)/2} + B\,D^{-(1 - 1/a)}

    The law of :class:`~scalefit.laws.zipf_memory.ZipfMemory` where as many facts fit as the embedding is wide,
    P ~ d ~ N^(1/2): Cabannes et al.'s result for fixed weights and few values. ``N`` [parameters], ``D`` [tokens], loss
    in [nat/token].

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), Scaling Laws for Associative Memories, arXiv:2310.02984.

    Examples
    --------
    >>> round(ZipfMemoryWidth.loss(1e8, 1e10, 1.7, 1e2, 1e3, 1.5), 3)
    3.164
    """

    formula = "L(N, D) = E + A N^-((a - 1)/2) + B D^-(1 - 1/a)"
    power = 0.5
