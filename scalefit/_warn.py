"""Warnings that point at the user's own line, however deep in this package they arise."""

from __future__ import annotations

import sys
import warnings

from scalefit.errors import ScalefitWarning


def warn_user(message: str) -> None:
    """Warn, and point at the line outside this package that made the call."""
    frame, level = sys._getframe(1), 2  # level 1 is this function, 2 its caller
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == "scalefit":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ScalefitWarning, stacklevel=level)
