"""The result of `optimal_mixture`: shares with intervals, losses, gains over other mixtures, and notes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._plain import plain
from scalefit._text import PAGE
from scalefit._typing import Array
from scalefit.errors import Note, note_record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["OptimalMixture"]

#: Part of the allowed range from which the interval of a share says nothing.
_OPEN = 0.8


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mixture to compare with: the law's loss there, and the interval of the best mixture's gain over it."""

    name: str
    mixture: Array
    loss: float
    lower: float
    upper: float


@explained
@dataclass(frozen=True, slots=True, eq=False)
class OptimalMixture:
    """The mixture with the lowest weighted loss. Made by :func:`scalefit.optimal_mixture`.

    Attributes
    ----------
    domains : tuple of str
        Domains, in the order of `shares`.
    shares : ndarray (n,)
        The mixture.
    loss : float
        Weighted loss that the laws give there [nat/token], `optimism` added.
    optimism : float
        How much lower than the truth a law tends to be where it is lowest [nat/token], from draws.
    law_interval, run_interval : (float, float)
        Interval of the weighted loss there: of its expected value, and of a run's, which scatters about it.
    interval, flat, tried, bounds : ndarray (2, n)
        Lower and upper ends, for each share: of its interval, of its values in mixtures with at most `within` more
        loss, of its values in the runs, and of its allowed values.
    beyond : float
        Share of the tokens that would have to move for the mixture to be a blend of those in the runs.
    blend : ndarray (n,)
        Shares of the best blend of the runs' mixtures; its loss is `blend_loss`.
    units : tuple of str
        Units of the losses with weight; one unit unless they differ.
    level : float
        Level of the intervals.
    notes : tuple of Note
        What to know before you use the numbers.
    """

    domains: tuple[str, ...]
    shares: Array
    interval: Array
    flat: Array
    tried: Array
    bounds: Array
    loss: float
    law_interval: tuple[float, float]
    run_interval: tuple[float, float]
    names: tuple[str, ...]
    weights: Array
    each: Array
    each_interval: Array
    comparisons: tuple[Comparison, ...]
    best_tried: Any
    luck: float
    optimism: float
    within: float
    beyond: float
    usual: float
    blend: Array
    blend_loss: float
    scatter: float
    n_tried: int
    law: str
    units: tuple[str, ...]
    level: float
    fits_trusted: bool
    open_parameters: tuple[str, ...]
    notes: tuple[Note, ...] = ()

    def with_notes(self, notes: tuple[Note, ...]) -> OptimalMixture:
        """Return the same with notes."""
        return replace(self, notes=notes)

    @property
    def lower(self) -> float:
        """Lower end of the interval for the weighted loss of a run with this mixture."""
        return self.run_interval[0]

    @property
    def upper(self) -> float:
        """Upper end of the interval for the weighted loss of a run with this mixture."""
        return self.run_interval[1]

    @property
    def unit(self) -> str:
        """Unit of the losses, as printed after a number."""
        one = self.units[0].partition("/")[0]
        return one if len(self.units) == 1 and one in ("nat", "bit") else "of loss"

    @property
    def mixture(self) -> dict[str, float]:
        """Share of each domain."""
        return {domain: float(share) for domain, share in zip(self.domains, self.shares, strict=True)}

    @property
    def trusted(self) -> bool:
        """Whether it can be trusted (CLI exit code 3 if not)."""
        return not any(note.severity == "error" for note in self.notes)

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Domains whose interval covers nearly everything that was allowed."""
        room = self.bounds[1] - self.bounds[0]
        wide = ~(self.interval[1] - self.interval[0] < _OPEN * np.maximum(room, 1e-300)) & (room > 1e-9)
        return tuple(domain for domain, flag in zip(self.domains, wide, strict=True) if flag)

    @property
    def table(self) -> pd.DataFrame:
        """One row per domain, largest share first.

        Returns
        -------
        DataFrame
            Index ``domain``; ``share`` with ``lower`` and ``upper``; ``within_lower`` and ``within_upper``, between
            which the share can move (the others adjust) for at most `within` more loss; ``tried_lower`` and
            ``tried_upper``, the range in the runs.
        """
        import pandas as pd

        names = ("lower", "upper", "within_lower", "within_upper", "tried_lower", "tried_upper")
        rows = np.vstack([self.interval, self.flat, self.tried])
        frame = pd.DataFrame({"share": self.shares, **dict(zip(names, rows, strict=True))}, index=list(self.domains))
        return frame.rename_axis("domain").sort_values("share", ascending=False, kind="stable")

    @property
    def losses(self) -> pd.DataFrame:
        """One row per loss: its weight, and ``loss``, ``lower``, ``upper`` of a run with this mixture."""
        import pandas as pd

        columns = {"weight": self.weights, "loss": self.each}
        columns |= {"lower": self.each_interval[0], "upper": self.each_interval[1]}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="name"))

    @property
    def gains(self) -> pd.DataFrame:
        """What the mixture gains over others, according to the laws.

        Returns
        -------
        DataFrame
            Index ``over``; ``loss`` of the other mixture by the laws, ``gain`` with ``lower`` and ``upper``
            [nat/token], corrected for the luck of being lowest.
        """
        import pandas as pd

        rows = [[c.loss, c.loss - self.loss, c.lower, c.upper] for c in self.comparisons]
        index = pd.Index([c.name for c in self.comparisons], name="over")
        return pd.DataFrame(rows, index=index, columns=["loss", "gain", "lower", "upper"])

    @property
    def verdict(self) -> str:
        """What the runs show, in one sentence."""
        top = [f"{100 * share:.0f} % {domain}" for domain, share in self._ranked()[:4] if share >= 0.005]
        rest = sum(share >= 0.005 for _, share in self._ranked()) - len(top)
        mix = ", ".join(top) + (f" and {rest} more" if rest > 0 else "")
        best = self.comparisons[0]
        if not np.isfinite(best.lower):
            return f"{mix}: no interval could be given"
        gain = f"{best.loss - self.loss:.3g} [{best.lower:.3g}, {best.upper:.3g}] {self.unit}"
        if best.lower <= 0:
            return f"{mix}: not shown to be better than the best mixture tried (gain {gain})"
        return f"{mix}: {gain} better than the best mixture tried"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares with their intervals, and how far they can move at little cost."""
        from scalefit.plots.mixture import draw_mixture

        return draw_mixture(self.table, self.level, f"within {self.within:g} {self.unit}", ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; NaN becomes None."""
        return {
            "kind": "mixture",
            "law": self.law,
            "unit": self.unit,
            "loss": self.loss,
            "lower": plain(self.lower),
            "upper": plain(self.upper),
            "law_interval": plain(self.law_interval),
            "optimism": self.optimism,
            "level": self.level,
            "trusted": self.trusted,
            "verdict": self.verdict,
            "undetermined": list(self.undetermined),
            "mixture": plain(self.table.reset_index().to_dict("records")),
            "losses": plain(self.losses.reset_index().to_dict("records")),
            "gains": plain(self.gains.reset_index().to_dict("records")),
            "within": self.within,
            "beyond": self.beyond,
            "best_tried": plain(self.best_tried),
            "blend_of_tried": {d: float(v) for d, v in zip(self.domains, self.blend, strict=True)},
            "blend_loss": self.blend_loss,
            "notes": [note_record(note) for note in self.notes],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the JSON text of `to_dict`, and write it to a file where one is named."""
        return write_json(self.to_dict(), path)

    def _ranked(self) -> list[tuple[str, float]]:
        return sorted(self.mixture.items(), key=lambda item: -item[1])

    def __str__(self) -> str:
        warnings = sum(note.severity == "warning" for note in self.notes)
        lines = [f"TRUST: {words.trust(self.trusted, warnings, '' if self.trusted else 'see the errors below')}"]
        lines += textwrap.wrap(f"Best mixture: {self.verdict}.", PAGE)
        interval = f"[{self.lower:.4f}, {self.upper:.4f}]" if np.isfinite(self.lower) else "(no interval)"
        losses = f"{len(self.names)} losses" if len(self.names) > 1 else "one loss"
        lines.append(f"Weighted loss of a run with it {self.loss:.4f} {interval}")
        lines.append(f"by {self.law} fitted to {self.n_tried} mixtures of {len(self.domains)} domains, {losses}")
        level = f"{words.percent(self.level)} interval"
        head = ("", "share", level, f"within {self.within:g} {self.unit}", "tried")
        rows: list[tuple[str, ...]] = [head]
        for domain, row in self.table.iterrows():
            pairs = [(row[f"{name}lower"], row[f"{name}upper"]) for name in ("", "within_", "tried_")]
            rows.append((str(domain), f"{row['share']:.3f}", *(f"{low:.3f} to {high:.3f}" for low, high in pairs)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines.append("")
        for texts in rows:
            cells = [
                texts[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(texts[1:], widths[1:], strict=True)),
            ]
            lines.append("  ".join(cells).rstrip())
        lines += ["", f"Gain by the laws [{self.unit}]"]
        width = max(len(c.name) for c in self.comparisons)
        for c in self.comparisons:
            between = f"[{c.lower:.4f}, {c.upper:.4f}]" if np.isfinite(c.lower) else ""
            lines.append(f"  over {c.name.ljust(width)}  {c.loss - self.loss:.4f} {between}".rstrip())
        if self.notes:
            lines += ["", "Notes"]
            lines += [textwrap.fill(str(n), PAGE, initial_indent="  ", subsequent_indent="      ") for n in self.notes]
        return "\n".join(lines)

    __repr__ = __str__
