"""What an experiment found: a table, a figure and a paragraph that says how the predictions did."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalefit.errors import ScalefitWarning
from scalefit.training.store import store_errors


@dataclass(frozen=True)
class Finding:
    """The result of an experiment; `draw` fills a matplotlib figure."""

    title: str
    rows: list[dict[str, Any]]
    verdict: str
    draw: Callable[[Any], None] = field(repr=False)

    def table(self) -> Any:
        """Return the rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def write(self, folder: Path) -> None:
        """Write table.csv, figure.png and verdict.md."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.5, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        self.draw(figure)
        with store_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.table().to_csv(folder / "table.csv", index=False, float_format="%.6g")
            figure.savefig(folder / "figure.png", dpi=120)
            (folder / "verdict.md").write_text(f"# {self.title}\n\n{self.verdict}\n\n{_markdown(self.rows)}")


def predictions(row: dict[str, Any]) -> dict[str, float]:
    """What three theories say the loss of a run is [nat/token].

    ``hypothesis``: no less than 1 (Niu et al. 2024, Proposition 4). ``theory_upper``: log Z + 1/Z at the largest Z of
    the exact bound. ``chinchilla`` and ``kaplan``: the published laws, whose constants belong to English text, large
    vocabularies and far larger models; at these sizes they are extrapolations and no fair test of them.
    """
    import scalefit as sf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        floor = sf.loss_floor(
            N=row["N"], D=row["unique_tokens"], n_layers=row["n_layers"], d_emb=row["d_emb"], T_max=row["T_max"]
        )
        chinchilla = sf.published("chinchilla", "hoffmann2022").predict(N=row["N"], D=row["D"])
        kaplan = sf.published("kaplan", "kaplan2020").predict(N=row["N_non_embedding"], D=row["D"])
    return {
        "hypothesis": 1.0,
        "theory_upper": float(floor.loss_upper),
        "chinchilla": float(chinchilla),
        "kaplan": float(kaplan),
    }


def outlook(row: dict[str, Any]) -> str:
    """One sentence with the predictions for a run."""
    said = predictions(row)
    return (
        f"For N = {row['N']:,} and D = {row['D']:,} the theory's hypothesis is a loss above 1 nat/token (its exact "
        f"bounds allow 1 to {said['theory_upper']:.2f}); Chinchilla's published constants give "
        f"{said['chinchilla']:.2f} and Kaplan's {said['kaplan']:.2f}, both far outside the range they were fitted on."
    )


def _markdown(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
