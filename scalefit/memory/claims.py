"""Every claim of the memory theories' papers: printed, right, computed now, verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scalefit.memory._claims_energies import CLAIMS as ENERGIES
from scalefit.memory._claims_loss import CLAIMS as LOSS
from scalefit.memory._claims_zipf import CLAIMS as ZIPF
from scalefit.memory._conventions import choice

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "printed", "exact", "computed", "verdict", "how")
#: Papers whose claims can be checked: those of a memory of sequences, and of facts under Zipf's law.
PAPERS = {"niu2024": (*ENERGIES, *LOSS), "cabannes2024": ZIPF}
_KINDS = ("eq.", "lemma", "prop.", "section", "table", "figure", "remark", "appendix")


def claims(paper: str = "niu2024") -> pd.DataFrame:
    """Check every claim of a paper on associative memories by computing it; takes seconds.

    Parameters
    ----------
    paper : {"niu2024", "cabannes2024"}
        Niu et al. [1]_, in the order of the paper, or Cabannes et al. [2]_, as reviews and the authors' code have it.

    Returns
    -------
    DataFrame
        One row per equation, lemma, proposition, table, figure and remark. ``claim`` is its place in the paper,
        ``printed`` what the paper says, ``exact`` what is right (empty if the same), ``computed`` the result of the
        check just run, ``verdict`` whether the two agree with it, ``how`` the call that repeats the check. ``"not
        decided by computing"`` marks definitions, readings that disagree, and what only a training run can decide.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707.
    .. [2] Cabannes, Dohmatob and Bietti (2024), arXiv:2310.02984.

    Examples
    --------
    >>> table = claims().set_index("claim")
    >>> table.loc["prop. 4", "verdict"], table.loc["prop. 3", "verdict"]
    ('fails', 'fails; the corrected form holds')
    """
    import pandas as pd

    choice("paper", paper, tuple(PAPERS))
    rows = []
    listed = PAPERS[paper]
    for claim in sorted(listed, key=lambda claim: _order(claim.claim)) if paper == "niu2024" else listed:
        found = claim.check()
        rows.append((claim.claim, claim.printed, claim.exact, found.computed, claim.verdict(found), claim.how))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _order(claim: str) -> tuple[int, int, str]:
    number = re.search(r"\d+", claim)
    return _KINDS.index(claim.split()[0]), int(number.group()) if number else 0, claim
