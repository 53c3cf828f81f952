"""Rows of a log by their steps: resumes, several runs, several losses at a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scalefit.errors import DataError
from scalefit.integrations._log_columns import COLUMNS

_NEW_RUN = 3  # points before steps that go back to the first one are another run


def in_order(table: pd.DataFrame, source: Path, notes: list[str]) -> pd.DataFrame:
    """Rows by rising steps: what was logged after a point to which the steps went back later is dropped.

    Raises
    ------
    DataError
        The steps go back to their start: the log holds two runs.
    """
    if len(table) > 2 and table["step"].is_monotonic_decreasing and table["step"].iloc[0] > table["step"].iloc[-1]:
        table = table[::-1].reset_index(drop=True)
        notes.append("The newest step is first: the rows were reversed.")
    steps = table["step"].to_numpy(dtype=float)
    drop = np.zeros(len(table), dtype=bool)
    for name in COLUMNS:
        logged = np.flatnonzero(table[name].notna().to_numpy())
        for i in np.flatnonzero(np.diff(steps[logged]) < 0) + 1:
            row, step = logged[i], steps[logged[i]]
            if step <= steps[logged[0]] and i >= _NEW_RUN:
                raise DataError(
                    f"{source} holds two runs: the steps of {name} go back from {steps[logged[i - 1]]:g} to "
                    f"{step:g}, where they began",
                    "nothing was read",
                    "Split the file in two, or count steps on where they begin again in each epoch",
                )
            earlier = np.arange(len(table)) < row
            drop |= earlier & ((steps > step) | ((steps == step) & table[name].notna().to_numpy()))
    if drop.any():
        notes.append(
            f"The steps go back to {steps[drop].min():g}: {int(drop.sum())} rows of the abandoned branch were dropped."
        )
    return table[~drop].reset_index(drop=True)


def once_each(table: pd.DataFrame, notes: list[str]) -> None:
    """Keep each validation loss where it stands first, in a log that prints the last one beside every training loss.

    Taken as new evaluations, the copies would look like a plateau.
    """
    logged = table[table["val_loss"].notna()]
    again = (logged["val_loss"].diff() == 0) & (logged["train_loss"].diff() != 0) & logged["train_loss"].notna()
    if again.sum() < max(_NEW_RUN, 0.5 * len(logged)) or logged["train_loss"].nunique() < _NEW_RUN:
        return
    table.loc[again[again].index, "val_loss"] = np.nan
    notes.append(
        f"The log repeats the last validation loss with new training losses: {int(again.sum())} were left out."
    )


def one_loss_per_step(table: pd.DataFrame, source: Path, notes: list[str]) -> None:
    """Refuse a table with several validation losses at most steps, because it is unknown what they belong to.

    Several training losses, of parts of a batch, are averaged.
    """
    for name in ("val_loss", "train_loss"):
        if name not in table:
            continue
        logged = table[np.isfinite(table[name].astype(float)) & table["step"].notna()].groupby("step")[name]
        several = logged.transform("nunique") > 1
        steps = int((logged.nunique() > 1).sum())
        if steps < max(_NEW_RUN, 0.5 * logged.ngroups):
            continue
        if name == "val_loss":
            raise DataError(
                f"{source}: {steps} of {logged.ngroups} steps have several validation losses that differ",
                "nothing was read",
                "Keep the rows of one run and one data set, or name them in a column 'run' or 'split'",
            )
        table.loc[several[several].index, name] = logged.transform("mean")[several]
        notes.append(f"{steps} steps have several training losses; they were averaged.")
