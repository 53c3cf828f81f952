"""BibTeX of what a result used: this library, the law, the method."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scalefit.fitting.objectives import Objective
from scalefit.laws._base import Law

_SELF = "@software{scalefit, title={scalefit: scaling laws you can trust}, author={{The scalefit developers}}}"
_HUBER = (
    "@article{besiroglu2024chinchilla, title={Chinchilla Scaling: A replication attempt}, "
    "author={Besiroglu, Tamay and others}, journal={arXiv:2404.10102}, year={2024}}"
)


def citation_entries(law: type[Law], objective: Objective) -> list[str]:
    """BibTeX entries of a law and of the method that fitted it, one per work."""
    entries = [_SELF]
    if law.bibtex:
        entries.append(law.bibtex)
    if objective.kind == "huber" and objective.log:
        entries.append(_HUBER)
    return entries


def cited_once(texts: Iterable[str]) -> str:
    """BibTeX of several texts as one, each entry once."""
    entries = (entry for text in texts for entry in re.split(r"\n(?=@)", text))
    return "\n".join(dict.fromkeys(filter(None, entries)))
