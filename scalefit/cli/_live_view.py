"""The live view of ``scalefit advise --watch``: curve, forecast band and verdict in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.plots.curves import MonitorFigure

if TYPE_CHECKING:
    from scalefit.stopping.monitor import Monitor

#: Lines of the curve on a terminal.
HEIGHT = 14
COLOURS = {
    "continue": "green",
    "wait": "cyan",
    "cooldown_now": "yellow",
    "stop": "red",
    "rollback": "red",
}


def chart(picture: MonitorFigure, end: float, width: int, height: int = HEIGHT) -> list[str]:
    """Draw the curve (``*``), the forecast (``-``) and its band (``:``) in lines of text.

    Parameters
    ----------
    picture : MonitorFigure
        What to draw.
    end : float
        Last step of the axis [steps].
    width, height : int
        Size of the plotting area [characters].

    Returns
    -------
    list of str
        `height` lines and the axis below.
    """
    bands = [b.lower for b in picture.branches] + [b.upper for b in picture.branches]
    every = np.concatenate([picture.settled, *bands])
    low, high = float(every.min()), float(every.max())
    high = high if high > low else low + 1e-3
    cells = [[" "] * width for _ in range(height)]

    def row(value: float) -> int:
        return int(np.clip(round((high - value) / (high - low) * (height - 1)), 0, height - 1))

    def column(step: float) -> int:
        return int(np.clip(round(step / end * (width - 1)), 0, width - 1))

    for branch in picture.branches:
        for x in range(column(float(branch.steps[0])), width):
            step = x / (width - 1) * end
            lower, middle, upper = (
                float(np.interp(step, branch.steps, v)) for v in (branch.lower, branch.loss, branch.upper)
            )
            for y in range(row(upper), row(lower) + 1):
                cells[y][x] = ":"
            cells[row(middle)][x] = "-"
    for step, value in zip(picture.steps, picture.loss, strict=True):
        if low <= value <= high:
            cells[row(float(value))][column(float(step))] = "*"
    lines = []
    for y, line in enumerate(cells):
        value = high - (high - low) * y / (height - 1)
        label = f"{value:7.3f} " if y % 4 == 0 or y == height - 1 else " " * 8
        lines.append(label + "|" + "".join(line))
    lines.append(" " * 8 + "+" + "-" * width)
    lines.append(" " * 9 + "0" + f"step {end:g}".rjust(width - 1))
    return lines


def render(monitor: Monitor, level: float, width: int) -> Any:
    """Return the view as something rich can print."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    advice = monitor.advise(level)
    picture = monitor.figure(level=level)
    colour = COLOURS[advice.action]
    parts: list[Any] = []
    if len(picture.loss):
        parts.append(Text("\n".join(chart(picture, monitor.plan.steps, max(width - 16, 20)))))
    parts.append(Text(str(advice)))
    title = f"{advice.action.replace('_', ' ')} · {advice.state}"
    return Panel(Group(*parts), title=f"[bold {colour}]{title}[/]", border_style=colour)
