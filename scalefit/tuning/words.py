"""Words of fitted settings: the laws and a prediction first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from scalefit._text import PAGE, count, folded, percent, trust
from scalefit.flops import SIZES, quantity
from scalefit.tuning.settings import BatchUnit

if TYPE_CHECKING:
    import pandas as pd


def setting_text(name: str, row: Mapping[str, float], batch: BatchUnit | None) -> str:
    """A setting with its interval: ``lr 0.0012 [0.001, 0.0014]``."""
    unit = f" {batch.unit}" if batch is not None and name == "batch_size" else ""
    ends = f"[{row[f'{name}_lower']:.3g}, {row[f'{name}_upper']:.3g}]"
    tokens = f" ({count(row['batch_tokens'])} tokens)" if name == "batch_size" and "batch_tokens" in row else ""
    return f"{name} {row[name]:.3g} {ends}{unit}{tokens}"


def law_text(name: str, row: Mapping[str, float], inputs: tuple[str, ...]) -> str:
    """A law with the intervals of its exponents."""
    parts = [
        f"{one}^{row[one]:.3f} [{row[f'{one}_lower']:.3f}, {row[f'{one}_upper']:.3f}]" for one in SIZES if one in inputs
    ]
    return " ".join([f"{name} =", f"{row['coefficient']:.4g}", *parts])


def dropping_text(laws: pd.DataFrame, inputs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Which inputs may be dropped, and which may not."""
    lines = []
    for name, row in laws.iterrows():
        for one in inputs[str(name)]:
            odds = row[f"{one}_droppable"]
            sentence = "may be dropped" if odds > 0.9 else "cannot be told" if odds > 0.05 else "is needed"
            lines.append(f"  {one} {sentence} for {name} (probability without it {odds:.2g}, p {row[f'{one}_p']:.2g})")
    return lines


def text(
    laws: pd.DataFrame,
    optima: pd.DataFrame,
    ahead: pd.DataFrame,
    costs: pd.DataFrame,
    inputs: Mapping[str, tuple[str, ...]],
    batch: BatchUnit | None,
    stated: Mapping[str, str | float | bool],
) -> str:
    """The whole print: prediction, laws, cost of being off, tests, optima."""
    first = ahead.iloc[0]
    level, unit = percent(float(stated["level"])), stated["loss_unit"]
    point = {str(key): float(value) for key, value in first.items()}
    head = "; ".join(setting_text(name, point, batch) for name in inputs)
    where = f"N = {count(point['N'])}, D = {count(point['D'])}, 10 times the compute of the largest cell"
    lines = ["TRUST: " + trust(bool(stated["trusted"]), 0, "" if stated["trusted"] else "see the errors below")]
    lines.append(f"Best settings at {where}: {head} (intervals of {level}).")
    lines.append(f"Laws from {len(optima)} cells, N counting {stated['params']} parameters:")
    for name in inputs:
        row: dict[str, float] = laws.loc[name].to_dict()  # type: ignore[assignment]
        scatter = f"scatter {row['scatter']:.1%} beyond the errors of cells"
        lines.append(f"  {law_text(name, row, inputs[name])}; {scatter}")
    offs = []
    for name in inputs:
        rows = costs[costs["setting"] == name]
        low, high = (rows.iloc[i] for i in (0, 1))
        offs.append(
            f"{name} {low['penalty']:.2g} (half) and {high['penalty']:.2g} (twice) [{rows['lower'].min():.2g}, "
            f"{rows['upper'].max():.2g}]"
        )
    lines.append(f"Half or twice the best costs there [{unit}]: {'; '.join(offs)}.")
    lines += dropping_text(laws, inputs)
    shown = optima[
        ["N", "D", "n_runs", *(c for name in inputs for c in (name, f"{name}_lower", f"{name}_upper")), "loss"]
    ]
    lines += [
        "",
        shown.to_string(
            index=False,
            line_width=PAGE,
            formatters={name: partial(quantity, name) for name in SIZES},
            float_format=lambda value: f"{value:.4g}",
        ),
    ]
    return "\n".join(map(folded, "\n".join(lines).splitlines()))
