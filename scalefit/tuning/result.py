"""The result of `fit_hyperparameters`: optima of cells, their laws, predictions and the cost of other settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import as_numbers, check_level, check_quantity
from scalefit._calls import explained
from scalefit._text import folded, known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, Note, arg, note_record
from scalefit.flops import SIZES
from scalefit.tuning.bowl import Bowls, Model
from scalefit.tuning.cells import Sweep
from scalefit.tuning.figures import HyperparameterFigure, figure_of
from scalefit.tuning.findings import find_notes
from scalefit.tuning.optimum_laws import OptimumLaw, fit_optimum_law, p_droppable
from scalefit.tuning.penalties import BowlLaw, draw_conditional, draw_off, draw_penalties, fit_bowl_law
from scalefit.tuning.settings import BatchUnit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METHODS", "Hyperparameters"]

METHODS = ("cells", "surface")


@explained
@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """The best settings of a sweep. Made by :func:`scalefit.fit_hyperparameters`; do not create it directly.

    Attributes
    ----------
    inputs : mapping of str to tuple of str
        The settings, and which of N and D each depends on.
    method : {"cells", "surface"}
        What the laws were fitted to: ``"cells"`` or ``"surface"``.
    level : float
        Coverage of the intervals.
    batch : BatchUnit or None
        Unit of the batch.
    params : str
        What N counts.
    loss_unit : str
        Unit of losses and penalties.
    open_for : tuple of str
        Per cell, why its optimum is not bracketed; empty where it is.
    """

    sweep: Sweep
    model: Model
    bowls: Bowls
    open_for: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]
    method: str
    level: float
    batch: BatchUnit | None
    params: str
    loss_unit: str
    table_notes: tuple[Note, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The settings."""
        return self.sweep.names

    @cached_property
    def bracketed(self) -> AnyArray:
        """Mask of the cells whose runs bracket their optimum."""
        return np.array([not why for why in self.open_for])

    @property
    def used(self) -> AnyArray:
        """Mask of the cells behind the laws."""
        return self.bracketed if self.method == "cells" else self.bracketed | self.bowls.closed

    def _law(self, name: str, inputs: tuple[str, ...]) -> OptimumLaw:
        """The law of a setting through the optima of the cells that are used."""
        rows, j = self.used, self.names.index(name)
        return fit_optimum_law(
            self.sweep.N[rows],
            self.sweep.D[rows],
            self.bowls.best[rows, j],
            self.bowls.noise_errors(self.sweep.cells)[rows, j],
            inputs,
            self.bowls.shifts[rows, j],
        )

    @cached_property
    def optimum_laws(self) -> dict[str, OptimumLaw]:
        """The law of each setting."""
        return {name: self._law(name, self.inputs[name]) for name in self.names}

    @cached_property
    def bowl_law(self) -> BowlLaw:
        """How the bowl around the optimum changes with N and D."""
        rows = self.bracketed if self.bracketed.any() else self.bowls.closed
        return fit_bowl_law(self.sweep.N[rows], self.sweep.D[rows], self.model, self.bowls.part(rows))

    @property
    def table(self) -> pd.DataFrame:
        """Every cell of the table, those left out included: columns as in `optima`, and ``why`` a cell was left out."""
        import pandas as pd

        sweep, bowls = self.sweep, self.bowls
        factor = self._quantile() * bowls.errors(self.sweep.cells)
        best_run = np.exp(sweep.cells.lowest())
        data: dict[str, Any] = {"N": sweep.N, "D": sweep.D, "n_runs": sweep.n_runs}
        shown = np.where(self.bracketed, 1.0, np.nan)
        for j, name in enumerate(self.names):
            with np.errstate(over="ignore"):
                data[name] = np.exp(bowls.best[:, j]) * shown
                data[f"{name}_lower"] = np.exp(bowls.best[:, j] - factor[:, j]) * shown
                data[f"{name}_upper"] = np.exp(bowls.best[:, j] + factor[:, j]) * shown
            data[f"{name}_best_run"] = best_run[:, j]
        data |= {"loss": bowls.loss * shown, "loss_se": bowls.loss_se * shown}
        data["loss_best_run"] = np.where(sweep.cells.there, sweep.cells.y, np.inf).min(axis=1)
        data["why"] = list(self.open_for)
        frame = pd.DataFrame(data)
        if sweep.apart:
            rows = pd.DataFrame(list(sweep.apart), columns=["N", "D", "n_runs", "why"])
            frame = pd.concat([frame, rows], ignore_index=True)
        return frame.sort_values(["N", "D"], ignore_index=True)

    def _quantile(self) -> float:
        from scipy.special import stdtrit

        return -float(stdtrit(self.model.freedom, 0.5 * (1 - self.level)))

    @property
    def optima(self) -> pd.DataFrame:
        """The optimum of each cell that brackets it.

        Returns
        -------
        DataFrame
            ``N``, ``D``, ``n_runs``; each setting with ``_lower``, ``_upper`` and, as ``_best_run``, its value in the
            run of the lowest loss; ``loss`` and ``loss_se`` at the optimum, and ``loss_best_run``, which is low partly
            by luck (the more runs, the lower).
        """
        table = self.table
        return table[table["why"] == ""].drop(columns="why").reset_index(drop=True)

    @property
    def left_out(self) -> pd.DataFrame:
        """Cells without an optimum: ``N``, ``D``, ``n_runs`` and ``why``."""
        return self.table.query("why != ''")[["N", "D", "n_runs", "why"]].reset_index(drop=True)

    @cached_property
    def laws(self) -> pd.DataFrame:
        """The laws of the best settings, c N^n D^d.

        Returns
        -------
        DataFrame
            Index ``setting``: ``coefficient``; ``N`` and ``D``, the exponents at the centre of the cells, each with
            ``_lower``, ``_upper``, ``_p`` (p value of an exponent of 0) and ``_droppable`` (probability of the law
            without that input, if both are equally likely beforehand); ``scatter`` of ln of the optimum beyond the
            errors of cells, with its interval; ``n_cells`` and ``method``.
        """
        import pandas as pd

        records = []
        for name, law in self.optimum_laws.items():
            record: dict[str, Any] = {"setting": name, "coefficient": law.coefficient}
            for one in SIZES:
                ends = law.exponent(one, self.level)
                record |= dict(zip((one, f"{one}_lower", f"{one}_upper", f"{one}_p"), ends, strict=True))
                rest = tuple(other for other in self.inputs[name] if other != one)
                there = one in self.inputs[name]
                record[f"{one}_droppable"] = p_droppable(law, self._law(name, rest)) if there else np.nan
            scatter = law.scatter_interval(self.level)
            record |= dict(zip(("scatter", "scatter_lower", "scatter_upper"), scatter, strict=True))
            record |= {"n_cells": int(self.used.sum()), "method": self.method}
            records.append(record)
        return pd.DataFrame(records).set_index("setting")

    def beyond(self, N: float, D: float) -> float:
        """By what factor N or D lies outside the cells; 1 within them."""
        rows = self.used
        out = 1.0
        for value, seen in ((N, self.sweep.N[rows]), (D, self.sweep.D[rows])):
            out = max(out, value / float(seen.max()), float(seen.min()) / value)
        return out if out > 1 + 1e-6 else 1.0

    def predict(self, *, N: Any, D: Any, level: float | None = None, **given: Any) -> pd.DataFrame:
        """The best settings at N and D.

        Parameters
        ----------
        N, D : float, str or array
            Size [parameters] and tokens [tokens].
        level : float, optional
            Another level than the fit's.
        **given : float
            Settings that you fix, such as ``batch_size=256``; the others then have their best values for these.

        Returns
        -------
        DataFrame
            One row per point: ``N``, ``D``; each setting with ``_lower`` and ``_upper``, which hold the optimum of a
            new cell; ``batch_tokens`` if a batch in sequences can be converted to tokens; ``beyond``, by what factor N
            or D lies outside the cells.

        Raises
        ------
        ArgumentError
            N, D or a setting is not positive, or a setting is not known.
        """
        import pandas as pd

        level = self.level if level is None else check_level(level)
        held = self._settings(given)
        if len(held) == len(self.names):
            raise ArgumentError(
                "All settings were given", "nothing was predicted", "Leave out the one that you ask for"
            )
        records = []
        for n, d in self._points(N, D):
            record: dict[str, Any] = {"N": n, "D": d}
            drawn = draw_conditional(self.bowl_law, self.optimum_laws, n, d, held) if held else {}
            for name, law in self.optimum_laws.items():
                if name in held:
                    ends = [held[name]] * 3
                elif held:
                    ends = np.exp(np.quantile(drawn[name], [0.5, (1 - level) / 2, (1 + level) / 2])).tolist()
                else:
                    ends = [float(one[0]) for one in (law.at([n], [d]), *law.interval([n], [d], level))]
                record |= dict(zip((name, f"{name}_lower", f"{name}_upper"), ends, strict=True))
            if self.batch is not None and self.batch.unit == "sequences" and self.batch.tokens is not None:
                record["batch_tokens"] = record["batch_size"] * self.batch.tokens
            records.append({**record, "beyond": self.beyond(n, d)})
        return pd.DataFrame(records)

    def penalty(
        self, *, N: Any, D: Any, by_factor: float | None = None, level: float | None = None, **settings: Any
    ) -> pd.DataFrame:
        """Return the cost of settings other than the best.

        Parameters
        ----------
        N, D : float, str or array
            Size [parameters] and tokens [tokens].
        by_factor : float, optional
            Return the cost of each setting at this many times its best, and at its best divided by it, with the others
            at their best.
        level : float, optional
            Another level than the fit's.
        **settings : float
            Settings to train with, such as ``lr=1e-3``; the others are at their best.

        Returns
        -------
        DataFrame
            ``N``, ``D``, and the settings; or ``setting`` and ``factor``. Then ``penalty``, the median of the loss
            above the optimum, ``lower`` and ``upper`` [nat/token, or the unit of the losses]. Because the best is not
            known exactly, every setting has some cost.

        Raises
        ------
        ArgumentError
            Neither settings nor a factor above 1, or both; a setting that is not known.
        """
        import pandas as pd

        level = self.level if level is None else check_level(level)
        held = self._settings(settings)
        factor = None if by_factor is None else check_quantity("by_factor", by_factor)
        if (factor is None) == (not held) or (factor is not None and factor <= 1):
            raise ArgumentError(
                f"{arg('by_factor', by_factor)} and {len(held)} settings do not say what to compare with the best",
                "nothing was computed",
                ("give settings, such as a learning rate", f"pass {arg('by_factor', 2)}, a factor above 1"),
            )
        points, share = self._points(N, D), [0.5, (1 - level) / 2, (1 + level) / 2]
        records = []
        for n, d in points:
            if factor is None:
                cases: list[tuple[dict[str, Any], Array]] = [
                    ({**held}, draw_penalties(self.bowl_law, self.optimum_laws, n, d, held))
                ]
            else:
                cases = [
                    ({"setting": name, "factor": off}, draw_off(self.bowl_law, n, d, j, off))
                    for j, name in enumerate(self.names)
                    for off in (1 / factor, factor)
                ]
            for what, drawn in cases:
                ends = np.quantile(drawn, share)
                records.append({"N": n, "D": d, **what, **dict(zip(("penalty", "lower", "upper"), ends, strict=True))})
        return pd.DataFrame(records)

    def _points(self, N: Any, D: Any) -> list[tuple[float, float]]:
        N, D = (check_quantity(n, v) if isinstance(v, str) else v for n, v in (("N", N), ("D", D)))
        try:
            n, d = np.broadcast_arrays(as_numbers("N", N), as_numbers("D", D))
        except ValueError:
            raise ArgumentError(
                f"N has shape {np.shape(N)} and D {np.shape(D)}",
                "nothing was computed",
                "Give one value, or as many of each",
            ) from None
        pairs = zip(n.ravel().tolist(), d.ravel().tolist(), strict=True)
        return [(check_quantity("N", a), check_quantity("D", b)) for a, b in pairs]

    def _settings(self, given: Mapping[str, Any]) -> dict[str, float]:
        unknown = [name for name in given if name not in self.names]
        if unknown:
            raise ArgumentError(
                f"{unknown[0]!r:.40} is not a setting of this fit",
                "nothing was computed",
                known(unknown[0], self.names),
            )
        return {name: check_quantity(name, value) for name, value in given.items()}

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed, left out, or rests on too little."""
        sweep, rows = self.sweep, self.used
        return (*self.table_notes, *find_notes(sweep, self.bowls, self.model, self.open_for, self.inputs, rows))

    @property
    def trusted(self) -> bool:
        """Whether predictions can be trusted: no note is an error."""
        return not any(note.severity == "error" for note in self.notes)

    def figure(self) -> HyperparameterFigure:
        """The arrays that `plot` draws."""
        half = self._quantile() * self.bowls.errors(self.sweep.cells)
        return figure_of(self.sweep, self.bowls.best, half, self.bracketed, self.optimum_laws, self.level)

    def plot(self, ax: Any = None) -> Any:
        """Draw optima and laws against tokens, one panel per setting; returns the axes, or an array of them."""
        from scalefit.plots.hyperparameters import draw_hyperparameters

        return draw_hyperparameters(self.figure(), ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; NaN and infinity become None."""
        from scalefit import __version__
        from scalefit._plain import plain
        from scalefit.tuning.schema import FORMAT, KIND, saved

        parts = (self.sweep, self.model, self.bowls, self.open_for, self.inputs, self.batch, self.table_notes)
        stated = {name: getattr(self, name) for name in ("method", "level", "params", "loss_unit")}
        document = {
            "kind": KIND,
            "format": FORMAT,
            "scalefit": __version__,
            "trusted": self.trusted,
            "laws": self.laws.reset_index().to_dict("records"),
            "optima": self.optima.to_dict("records"),
            "left_out": self.left_out.to_dict("records"),
            "notes": [note_record(note) for note in self.notes],
            "saved": saved(*parts, **stated),
        }
        return {key: plain(value) for key, value in document.items()}

    def to_json(self, path: Any = None) -> str:
        """Return the JSON text of `to_dict`, and write it to a file where one is named."""
        from scalefit.fitting.schema import to_json

        return to_json(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | Path) -> Hyperparameters:
        """Read what `to_json` wrote: the file, or the text itself.

        Raises
        ------
        DataError
            Not a saved result of `fit_hyperparameters`, or one that was changed.
        """
        from scalefit.tuning.schema import read

        return cls(**read(path))

    def larger_cell(self, ratio: float) -> dict[str, float]:
        """N and D of `ratio` times the compute of the largest cell, at its tokens per parameter."""
        largest = int(np.argmax(self.sweep.N * self.sweep.D))
        return {name: float(getattr(self.sweep, name)[largest]) * ratio**0.5 for name in SIZES}

    def __str__(self) -> str:
        from scalefit.tuning.words import text

        place = self.larger_cell(10.0)
        ahead, costs = self.predict(**place), self.penalty(**place, by_factor=2)
        stated = {name: getattr(self, name) for name in ("level", "params", "loss_unit", "trusted")}
        shown = text(self.laws, self.optima, ahead, costs, self.inputs, self.batch, stated)
        return "\n".join([shown, "", "Notes", *(folded(f"  {note}") for note in self.notes)])

    __repr__ = __str__
