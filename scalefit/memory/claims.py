"""Every claim of the associative-memory paper: printed, right, computed now, verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scalefit.memory._claims_energies import CLAIMS as ENERGIES
from scalefit.memory._claims_loss import CLAIMS as LOSS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "printed", "exact", "computed", "verdict", "how")
_KINDS = ("eq.", "lemma", "prop.", "section", "table", "figure", "remark", "appendix")


def claims() -> pd.DataFrame:
    """Check every claim of Niu et al. (2024) by computing it; takes seconds.

    Returns
    -------
    DataFrame
        One row per equation, lemma, proposition, table, figure and remark. ``claim`` is where it stands, ``printed``
        what the paper says, ``exact`` what is right (empty where that is the same), ``computed`` what was found just
        now, ``verdict`` how the two stand to it, ``how`` what to call to see for yourself. ``"not decided by
        computing"`` marks definitions, readings that disagree, and what only a training run can decide.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707.

    Examples
    --------
    >>> table = claims().set_index("claim")
    >>> table.loc["prop. 4", "verdict"], table.loc["prop. 3", "verdict"]
    ('fails', 'fails; the corrected form holds')
    """
    import pandas as pd

    rows = []
    for claim in sorted((*ENERGIES, *LOSS), key=lambda claim: _order(claim.claim)):
        found = claim.check()
        rows.append((claim.claim, claim.printed, claim.exact, found.computed, claim.verdict(found), claim.how))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _order(claim: str) -> tuple[int, int, str]:
    number = re.search(r"\d+", claim)
    return _KINDS.index(claim.split()[0]), int(number.group()) if number else 0, claim
