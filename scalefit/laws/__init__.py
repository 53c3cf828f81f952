"""Scaling laws, one file each, found by being in this folder.

To add one, copy ``_template.py`` to a name of its own; nothing else needs an edit.
"""

from scalefit.laws._base import Constants, Law, Parameter, Term
from scalefit.laws._declarations import Golden, Input, Shares, Target
from scalefit.laws._published import PublishedLaw, available, published
from scalefit.laws._registry import get, names

__all__ = [
    "Constants",
    "Golden",
    "Input",
    "Law",
    "Parameter",
    "PublishedLaw",
    "Shares",
    "Target",
    "Term",
    "available",
    "get",
    "names",
    "published",
]
