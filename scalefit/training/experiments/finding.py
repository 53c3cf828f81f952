"""Result of an experiment: a table, a figure and a paragraph on how the predictions did."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalefit.errors import ScalefitError, ScalefitWarning
from scalefit.plots._axes import new_figure
from scalefit.training.config import RunConfig
from scalefit.training.loop import train
from scalefit.training.store import RunRecord, store_errors


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
        figure = new_figure((7.5, 4.5))
        self.draw(figure)
        with store_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.table().to_csv(folder / "table.csv", index=False, float_format="%.6g")
            figure.savefig(folder / "figure.png", dpi=120)
            (folder / "verdict.md").write_text(f"# {self.title}\n\n{self.verdict}\n\n{_markdown(self.rows)}")


def predictions(row: dict[str, Any]) -> dict[str, float]:
    """Return the loss of a run by three theories [nat/token].

    ``hypothesis``: no less than 1 (Niu et al. 2024, Proposition 4). ``theory_at_z_upper``: log Z + 1/Z at the largest Z
    of the exact bound for the run's distinct tokens; its smallest Z allows any loss above that.
    ``chinchilla`` and ``kaplan``: the published laws, whose constants belong to English text, large vocabularies and
    far larger models; at these sizes they are extrapolations, not a fair test.
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
        "theory_at_z_upper": float(floor.loss_at_z_upper),
        "chinchilla": float(chinchilla),
        "kaplan": float(kaplan),
    }


def outlook(row: dict[str, Any]) -> str:
    """One sentence with the predictions for a run."""
    expected = predictions(row)
    return (
        f"For N = {row['N']:,} and D = {row['D']:,} the theory's hypothesis is a loss above 1 nat/token (its exact "
        f"bounds set no upper limit; with {row['unique_tokens']:,} distinct tokens the largest Z gives "
        f"{expected['theory_at_z_upper']:.2f}); Chinchilla's published constants give "
        f"{expected['chinchilla']:.2f} and Kaplan's {expected['kaplan']:.2f}, both far outside the range they were "
        "fitted on."
    )


def train_to_end(config: RunConfig, store: Path) -> RunRecord:
    """Train a run whose numbers a verdict needs.

    Raises
    ------
    ScalefitError
        The run diverged, met a NaN or ran out of memory.
    """
    record = train(config, store)
    if record.status != "finished":
        raise ScalefitError(
            f"A run of this experiment (series {config.series}, {config.model.n_layers} layers, d_emb "
            f"{config.model.d_emb}, lr {config.optimizer.lr}) ended as {record.status!r}",
            "no verdict was written",
            f"It is kept in {store} as run {record.run_id}: change its lr, batch_size or steps, and call again",
        )
    return record


def losses_at_end(row: dict[str, Any], train_loss: float) -> dict[str, Any]:
    """Training and held-out loss of a run's row beside the entropy of its source [nat/token]."""
    return {
        "train_loss": train_loss,
        "val_loss": row["loss"],
        "H_data": row["H_data"],
        "train_minus_H_data": train_loss - row["H_data"],
        "val_minus_H_data": row["loss"] - row["H_data"],
    }


def draw_losses(
    axes: Any,
    curve: Any,
    levels: dict[str, tuple[float, str]],
    x: str = "step",
    names: tuple[str, str] = ("training", "held out"),
) -> None:
    """Draw training and held-out losses of a run's first member along `x`, and level lines by label."""
    at = [item[x] for item in curve]
    axes.plot(at, [item["train_loss"][0] for item in curve], "o-", label=names[0])
    axes.plot(at, [item["val_loss"][0] for item in curve], "s-", label=names[1])
    for label, (level, style) in levels.items():
        axes.axhline(level, color="black", linestyle=style, linewidth=1, label=label)
    axes.set(xscale="log", xlabel=x, ylabel="loss [nat/token]")
    axes.legend()


def _markdown(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
