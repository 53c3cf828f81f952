"""The result of `compare_recipes`: multipliers with intervals, verdicts, and the fits behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _latex
from scalefit._arguments import as_numbers, check_count, check_level, check_mapping, check_quantity
from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._plain import plain
from scalefit._text import folded, known
from scalefit._typing import Array
from scalefit.comparison.recipes_arm import Arm, Reading
from scalefit.comparison.recipes_surfaces import ComputeSurface, Path
from scalefit.comparison.recipes_words import holm, text, verdict
from scalefit.errors import ArgumentError, Note, arg

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["RecipeComparison", "RecipeFigure"]


@dataclass(frozen=True, slots=True, eq=False)
class RecipeFigure:
    """What `scalefit.plots.recipes` draws: per recipe its label, computes, and the multiplier with its ends."""

    bands: tuple[tuple[Any, Array, Array, Array, Array], ...]
    largest: float
    baseline: Any
    title: str


@explained
@dataclass(frozen=True, slots=True, eq=False)
class RecipeComparison:
    """Recipes compared with a baseline. Made by :func:`scalefit.compare_recipes`.

    Parameters
    ----------
    arms : dict of label to Arm
        Every recipe but the baseline, fitted jointly with it.
    baseline : label
        The recipe that the multipliers are relative to.
    differ : str
        What was allowed to differ.
    level : float
        Level of the intervals.
    loss_unit : str
        Unit of ``loss_gap``.
    general_notes : tuple of Note
        Notes that concern every recipe.
    """

    arms: dict[Any, Arm]
    baseline: Any
    differ: str
    level: float
    loss_unit: str
    general_notes: tuple[Note, ...]

    def _rows(self, arm: Arm) -> tuple[Reading, Reading]:
        largest = arm.read(arm.C_read, self.level)
        return largest, largest if arm.apart else arm.read(arm.C_centre, self.level)

    def _read(self) -> tuple[dict[Any, tuple[Reading, Reading]], dict[Any, tuple[bool, bool]]]:
        """Both readings of each recipe, and whether each stands after Holm's steps over the recipes."""
        rows = {label: self._rows(arm) for label, arm in self.arms.items()}
        allowed = (1 - self.level) / 2
        found = []
        for k in (0, 1):
            p = [min(row[k].p_better, 1 - row[k].p_better) for row in rows.values()]
            found.append([value <= allowed + 1e-9 for value in holm(p)])
        return rows, {label: (found[0][i], found[1][i]) for i, label in enumerate(rows)}

    @property
    def table(self) -> pd.DataFrame:
        """One row per recipe.

        Returns
        -------
        DataFrame
            Index ``recipe``. ``multiplier``, ``lower``, ``upper``, ``p_better`` at ``C``, the largest compute that
            both have [FLOP]; the same with the suffix ``_centre`` at the geometric mean of the runs; ``loss_gap`` at
            ``C`` with its interval (negative: lower than the baseline's); ``trend``, the factor per decade of compute
            with ``p_trend``; ``k_N`` and ``k_D``; ``p_holm``, the p value of "no difference", corrected for all
            recipes together; ``n_runs`` and ``verdict``.
        """
        import pandas as pd

        (rows, sure), records = self._read(), []
        for label, arm in self.arms.items():
            largest, centre = rows[label]
            gap = arm.loss_gap(arm.C_max, self.level)
            trend = arm.trend(self.level)
            record: dict[str, Any] = {"recipe": label}
            for suffix, row in (("", largest), ("_centre", centre)):
                for name in ("multiplier", "lower", "upper", "p_better", "C"):
                    record[name + suffix] = getattr(row, name)
            record |= {"loss_gap": gap[0], "loss_gap_lower": gap[1], "loss_gap_upper": gap[2]}
            record |= {"trend": trend[0], "trend_lower": trend[1], "trend_upper": trend[2], "p_trend": trend[3]}
            record |= dict(zip(("k_N", "k_D"), arm.split(), strict=True))
            record["n_runs"] = len(arm.b.N)
            record["verdict"] = verdict(arm, largest, centre, sure[label])
            records.append(record)
        frame = pd.DataFrame(records).set_index("recipe")
        p = np.minimum(frame["p_better"], 1 - frame["p_better"]).tolist()
        frame.insert(frame.columns.get_loc("n_runs"), "p_holm", holm([2 * value for value in p]))  # type: ignore[arg-type]
        return frame

    def multiplier(
        self,
        C: Any = None,
        *,
        level: float | None = None,
        N: float | None = None,
        D: float | None = None,
        ratio: float | None = None,
        unique_tokens: float | None = None,
        extrapolate: bool = False,
    ) -> pd.DataFrame:
        """The compute multiplier at given computes.

        Parameters
        ----------
        C : float or array, optional
            Compute of the recipe [FLOP]; by default the largest that both have.
        level : float, optional
            Level of the intervals; the comparison's by default.
        N, D, ratio, unique_tokens : float, optional
            Hold N [parameters], D [tokens] or D/N, or limit the distinct tokens [tokens]; at most one of them.
        extrapolate : bool
            Allow more than 100 times the most expensive common run.

        Returns
        -------
        DataFrame
            Columns ``recipe``, ``C``, ``multiplier``, ``lower``, ``upper``, ``p_better``, one row per recipe and
            compute; ``extrapolated`` beyond the runs of both, and ``note`` where only one end is known (the
            multiplier is then NaN).
        """
        import pandas as pd

        level = self.level if level is None else check_level(level)
        asked = {"N": N, "D": D, "ratio": ratio, "wall": unique_tokens}
        held = {kind: check_quantity(kind, value) for kind, value in asked.items() if value is not None}
        if len(held) > 1:
            raise ArgumentError(f"{' and '.join(held)} were all given", "nothing was read", "Hold one of them")
        path = Path(*next(iter(held.items()))) if held else None  # type: ignore[arg-type]
        asked_C = None if C is None else [check_quantity("C", v) for v in as_numbers("C", C).ravel().tolist()]
        if asked_C is not None and not asked_C:
            raise ArgumentError("C is empty", "nothing was read", "Give one compute or several [FLOP]")
        records = []
        for label, arm in self.arms.items():
            if path is not None and isinstance(arm.fit.surface, ComputeSurface):
                raise ArgumentError(
                    f"{label}: a power law of compute was used, so nothing can be read {path.words()}",
                    "nothing was read",
                    f"Leave it out, or give runs at several ratios with {arg('law', 'chinchilla')}",
                )
            for value in asked_C if asked_C is not None else [arm.C_read]:
                arm.check(value, extrapolate=extrapolate)
                row = arm.read(value, level, path)
                record = {name: getattr(row, name) for name in ("C", "multiplier", "lower", "upper", "p_better")}
                records.append({"recipe": label, **record, "extrapolated": arm.beyond(value), "note": row.why})
        return pd.DataFrame(records)

    def crossing(self, *, level: float | None = None) -> pd.DataFrame:
        """Return the compute at which a recipe stops or starts to be better.

        Returns
        -------
        DataFrame
            Index ``recipe``: ``C`` [FLOP], ``lower``, ``upper`` (where the interval of the multiplier contains 1) and
            ``p_trend``. NaN where the runs show no trend (p of .05 or more) or no crossing within ten times them.
        """
        import pandas as pd

        level = self.level if level is None else check_level(level)
        records = [[*arm.crossing(level), arm.trend(level)[3]] for arm in self.arms.values()]
        index = pd.Index(list(self.arms), name="recipe")
        return pd.DataFrame(records, index=index, columns=["C", "lower", "upper", "p_trend"])

    @property
    def verdict(self) -> str:
        """What the runs show, in words; several recipes are corrected together by Holm's method."""
        rows, sure = self._read()
        return "\n".join(verdict(arm, *rows[label], sure[label]) for label, arm in self.arms.items())

    @property
    def weights(self) -> pd.DataFrame:
        """Weight of each law and structure of errors: columns recipe, law (same, slight, wide), errors, weight."""
        import pandas as pd

        parts = [
            pd.DataFrame(
                {"recipe": label, "law": arm.fit.widths, "errors": arm.fit.structures, "weight": arm.fit.weights()}
            )
            for label, arm in self.arms.items()
        ]
        return pd.concat(parts, ignore_index=True)

    @property
    def pairs(self) -> pd.DataFrame:
        """The N and D at which both recipes have runs; losses are means over the runs there (seeds).

        Returns
        -------
        DataFrame
            ``recipe``, ``N``, ``D``, ``C``, ``runs_baseline``, ``runs``, the two losses, ``difference`` of the recipe
            from the baseline, which needs no law, and ``fitted``, the same difference by the joint fit.
        """
        import pandas as pd

        columns = ["recipe", "N", "D", "C", "runs_baseline", "runs", "loss_baseline", "loss", "difference", "fitted"]
        rows = []
        for label, arm in self.arms.items():
            fitted = np.exp(arm.fit.weights() @ arm.fit.surface.log_loss(arm.fit.theta)[0])
            of_a, of_b = np.split(fitted, [len(arm.a.N)])
            for (i, j), difference in zip(arm.shared_cells(), arm.differences(), strict=True):
                at = (arm.a.N[i[0]], arm.a.D[i[0]], arm.a.C[i[0]])
                losses = (arm.a.loss[i].mean(), arm.b.loss[j].mean())
                rows.append((label, *at, len(i), len(j), *losses, difference, of_b[j].mean() - of_a[i].mean()))
        return pd.DataFrame(rows, columns=columns)

    @property
    def runs_needed(self) -> pd.Series[float]:
        """Runs per recipe that would show a gain of 5 % at the centre with probability 0.8, at the noise seen here."""
        import pandas as pd

        index = pd.Index(list(self.arms), name="recipe")
        return pd.Series([arm.runs_needed() for arm in self.arms.values()], index=index, name="runs_needed")

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed, set aside or is unusual."""
        found = list(self.general_notes)
        found += [note for arm in self.arms.values() for note in arm.notes()]
        unique = {(note.code, note.message): note for note in found}
        return tuple(unique.values())

    @property
    def set_aside(self) -> tuple[tuple[Any, Any], ...]:
        """Recipe and row of every run that was set aside as an outlier."""
        return tuple(dict.fromkeys(row for arm in self.arms.values() for row in arm.set_aside))

    def draws(self, n: int, *, C: float | None = None, seed: int = 0) -> pd.DataFrame:
        """Draws of the multipliers: n rows, one column per recipe, independent although recipes share the baseline."""
        import pandas as pd

        n, rng = check_count("n", n), np.random.default_rng(check_count("seed", seed, least=0))
        columns = {}
        for label, arm in self.arms.items():
            at = arm.C_max if C is None else check_quantity("C", C)
            arm.check(at, extrapolate=False)
            if np.isnan(arm.read(at, self.level).multiplier):
                columns[label] = np.full(n, np.nan)
            else:
                columns[label] = np.exp(arm.mixture(at).draws(n, rng))
        return pd.DataFrame(columns)

    def time_multiplier(
        self, throughput: Mapping[Any, float | tuple[float, float]], *, C: float | None = None, n: int = 20000
    ) -> pd.DataFrame:
        """Return the multiplier of time: compute saved, times relative speed.

        Parameters
        ----------
        throughput : mapping of recipe to number, or to (number, relative standard error)
            Tokens per second relative to the baseline's at the same size; its error is taken as lognormal.
        C : float, optional
            Compute [FLOP]; by default the largest that both have.
        n : int
            Number of draws.

        Returns
        -------
        DataFrame
            Index ``recipe``: ``multiplier``, ``lower``, ``upper``, ``p_better``.
        """
        import pandas as pd

        throughput = check_mapping("throughput", throughput, "{'muon': 0.93}")
        unknown = [label for label in throughput if label not in self.arms]
        if unknown:
            raise ArgumentError(
                f"throughput names {unknown[0]!r:.40}, which is not compared here",
                "nothing was computed",
                known(unknown[0], self.arms),
            )
        drawn, rng, records = self.draws(n, C=C), np.random.default_rng(1), {}
        for label, given in throughput.items():
            pair = list(given) if isinstance(given, (tuple, list)) else [given, 0.0]
            if len(pair) != 2:
                raise ArgumentError(
                    f"throughput of {label} holds {len(pair)} numbers",
                    "nothing was computed",
                    "Give the relative tokens per second, or a pair of it and its relative error: (0.93, 0.02)",
                )
            speed, error = pair
            speed = check_quantity("throughput", speed)
            spread = check_quantity("error", error, zero=True)
            values = drawn[label].to_numpy() * speed * np.exp(spread * rng.standard_normal(n))
            ends = np.quantile(values, [0.5, (1 - self.level) / 2, (1 + self.level) / 2])
            better = float((values > 1).mean()) if np.isfinite(ends).all() else np.nan
            records[label] = [*ends, better]
        frame = pd.DataFrame.from_dict(records, orient="index", columns=["multiplier", "lower", "upper", "p_better"])
        return frame.rename_axis("recipe")

    def figure(self) -> RecipeFigure:
        """What `plot` draws, as arrays."""
        bands = []
        for label, arm in self.arms.items():
            if arm.apart:
                continue
            grid = np.geomspace(min(arm.a.C.min(), arm.b.C.min()), 10 * arm.C_max, 40)
            rows = [arm.read(float(C), self.level) for C in grid]
            names = ("multiplier", "lower", "upper")
            middle, lower, upper = (np.array([getattr(row, name) for row in rows]) for name in names)
            bands.append((label, grid, middle, lower, np.where(np.isfinite(upper), upper, np.nan)))
        largest = min(arm.C_max for arm in self.arms.values())
        return RecipeFigure(tuple(bands), largest, self.baseline, f"{100 * self.level:g} % intervals")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the multipliers against compute, to ten times the runs."""
        from scalefit.plots.recipes import draw_recipes

        return draw_recipes(self.figure(), ax)

    def to_latex(self) -> str:
        """The table for a paper: multiplier and interval at the centre and at the most expensive common run."""
        rows = []
        for label, arm in self.arms.items():
            largest, centre = self._rows(arm)
            p = "--" if np.isnan(largest.p_better) else f"{largest.p_better:.3f}"
            rows.append([_latex.escaped(label), str(len(arm.b.N)), centre.words(), largest.words(), p])
        return _latex.tabular("lrrrr", ["recipe", "runs", "centre", "largest", "$P$(better)"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; NaN and infinity become None."""
        from scalefit.errors import note_record

        table = self.table.reset_index()
        crossing = self.crossing().reset_index()
        return {
            "baseline": plain(self.baseline),
            "differ": self.differ,
            "level": self.level,
            "loss_unit": self.loss_unit,
            "verdict": self.verdict,
            "recipes": plain(table.to_dict("records")),
            "crossing": plain(crossing.to_dict("records")),
            "runs_needed": plain(self.runs_needed),
            "weights": plain(self.weights.to_dict("records")),
            "pairs": plain(self.pairs.to_dict("records")),
            "set_aside": plain(self.set_aside),
            "notes": [note_record(note) for note in self.notes],
        }

    def to_json(self, path: Any = None) -> str:
        """Return the JSON text of `to_dict`, and write it to a file where one is named."""
        return write_json(self.to_dict(), path)

    def __str__(self) -> str:
        rows, sure = self._read()
        lines = [f"Compute multiplier over {self.baseline} (it needs m times the compute for the same loss)"]
        for label, arm in self.arms.items():
            lines += ["", *text(arm, rows[label], verdict(arm, *rows[label], sure[label]), self.level)]
        lines += ["", *map(str, self.notes)]
        return "\n".join(map(folded, lines))

    __repr__ = __str__
