"""Columns of words beside the numbers of a table: recipes, optimizers, corpora."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import AnyArray

if TYPE_CHECKING:
    from scalefit.tables.runs import CheckedRuns

#: Columns that say what a loss is of; models that differ in one cannot be compared by it.
SAYS_WHAT_LOSS = ("tokenizer", "vocab_size", "val_set", "validation_set", "eval_set", "loss_name", "loss_unit")


def every_column(runs: Any, checked: CheckedRuns) -> dict[str, AnyArray]:
    """Every column of the usable rows, those of words included, where `runs` can be matched to them."""
    import pandas as pd

    from scalefit.tables.reader import as_frame

    every = {key: np.asarray(column) for key, column in checked.columns.items()}
    if not isinstance(runs, pd.DataFrame | Mapping):
        return every
    frame = as_frame(runs)
    worded = [key for key, dtype in frame.dtypes.items() if getattr(dtype, "kind", "O") not in "iufcmM"]
    if not worded or not np.isin(checked.row_labels, frame.index.to_numpy()).all():
        return every
    kept = frame.loc[checked.row_labels.tolist(), worded]
    return every | {str(key): kept[key].to_numpy(dtype=object) for key in worded if str(key) not in every}
