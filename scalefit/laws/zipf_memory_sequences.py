"""The law of an associative memory under Zipf's law that stores the patterns that Niu et al. call balanced."""

from __future__ import annotations

from scalefit.laws.zipf_memory import ZipfMemory


class ZipfMemorySequences(ZipfMemory):
    r"""Error of a memory of facts under Zipf's law that stores the patterns that Niu et al. call balanced [1]_.

    .. math:: L(N, D) = E + A\,N^{-(a - 1)/4} + B\,D^{-(1 - 1/a)}

    The law of :class:`~scalefit.laws.zipf_memory.ZipfMemory` where one pattern is stored for each training sequence
    and the memory is balanced at sqrt(pi T_max d) of them, so P ~ d^(1/2) ~ N^(1/4), as Niu et al. [2]_ have it
    where the width grows (their printed N = O(D^2) gives P ~ N^(1/2), the law of ``zipf_memory_width``). ``N``
    [parameters], ``D`` [tokens], loss in [nat/token].

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), Scaling Laws for Associative Memories, arXiv:2310.02984.
    .. [2] Niu, Bai, Deng and Han (2024), Beyond Scaling Laws, arXiv:2405.08707, section 5.

    Examples
    --------
    >>> round(ZipfMemorySequences.loss(1e8, 1e10, 1.7, 10.0, 1e3, 1.5), 3)
    3.164
    """

    formula = "L(N, D) = E + A N^-((a - 1)/4) + B D^-(1 - 1/a)"
    power = 0.25
