"""The law behind a plan, if a file or a table was given instead of a result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from scalefit._files import is_saved
from scalefit.errors import DataError

_RESAMPLES = 500  # behind the intervals of a plan made straight from a table; a tenth of a second


def resolved(result: Any) -> Any:
    """Return a predictor: what was given, the result that a file holds, or Chinchilla's law fitted to a table."""
    from scalefit.fitting.fit import fit
    from scalefit.fitting.result import fit_behind
    from scalefit.saving import load_result

    if isinstance(result, str | os.PathLike):
        path = Path(result)
        if is_saved(path):
            return load_result(path)
        if not path.exists():
            _refuse_published(str(result))
    elif not _is_frame(result):
        return result
    several: Any = fit(result, "chinchilla")  # or one
    fitted = fit_behind(several)
    return several if fitted is None or fitted.tangent is not None else fitted.bootstrap(_RESAMPLES, cluster="shared")


def _refuse_published(name: str) -> None:
    """Raise where the name of a law, or of its published constants, stands for a file that is not there."""
    from scalefit.laws._registry import registry

    laws = registry()
    keys = [constants.key for law in laws.values() for constants in law.published]
    if name.lower() in laws or name in keys:
        law = "" if name in keys else ", or sf.fit(runs, law) for your own runs"
        raise DataError(
            f"{name!r} is a published law rather than a result",
            "no plan was made",
            f"Pass sf.published({name!r}){law}",
        )


def _is_frame(given: Any) -> bool:
    import pandas as pd

    return isinstance(given, pd.DataFrame)
