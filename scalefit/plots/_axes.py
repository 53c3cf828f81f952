"""Axes of their own for figures: nothing is registered with pyplot, so nothing outside the figure changes.

Colours, markers and labels that figures share stand here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalefit._text import count, power
from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, arg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The hues of Okabe & Ito's palette, darkened until each has a contrast of 3 to 1 with white and every two differ by
#: 12 of CIEDE2000 for readers of normal sight and of each kind of colour-blindness (`tests/plots/test_legibility.py`).
COLOURS = ("#0060B3", "#A54904", "#048B64", "#CC669B", "#A38700", "#1D9AE1", "#000000")
MARKERS = "osD^vP*X"
#: Lines beside each other differ in more than colour.
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (3, 2)), (0, (7, 1.5, 1.5, 1.5)), "-")
#: Labels of axes.
INPUTS = {"N": "parameters N", "D": "training tokens D", "C": "training compute C [FLOP]"}
LOSS = "loss [nat/token]"
#: Size of the smallest words [pt].
SMALL = 9
#: Brightness from small to large: the part of viridis that stands out from white.
_MAP, _PALEST = "viridis", 0.58


@cache
def _figure_class() -> type[Figure]:
    """Return a figure in the house palette that shows itself in a notebook, where only pyplot's do so by themselves."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def add_subplot(self, *args: Any, **kwargs: Any) -> Any:
            axes = super().add_subplot(*args, **kwargs)
            axes.set_prop_cycle(color=COLOURS)
            return axes

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=80)
            return buffer.getvalue()

    return NotebookFigure


def new_figure(size: tuple[float, float]) -> Figure:
    """Return a new figure of `size` [inch]."""
    return _figure_class()(figsize=size, layout="constrained")


def axes_for(ax: Any, size: tuple[float, float] = (7.0, 5.0)) -> Axes:
    """Return the axes that were given, or those of a new figure of `size` [inch]; not of a path."""
    from matplotlib.axes import Axes

    if ax is None:
        return new_figure(size).add_subplot()
    if not isinstance(ax, Axes):
        raise ArgumentError(
            f"{arg('ax', ax)} is not a matplotlib Axes",
            "nothing was drawn",
            "Pass axes, or leave ax out and save what is returned: plot().figure.savefig(path)",
        )
    return ax


def ramp(shares: Any) -> AnyArray:
    """Colours (n, 4) of shares (n,) from 0 to 1, the larger the paler."""
    import matplotlib

    return np.asarray(matplotlib.colormaps[_MAP](_PALEST * np.asarray(shares, float)))


def ramp_map() -> Any:
    """The same brightness as a colour map."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(ramp(np.linspace(0, 1, 256)), name="scalefit")


def marker(k: int) -> str:
    """Marker of the k-th group: together with its colour it repeats after 56 groups."""
    return MARKERS[k % len(MARKERS)]


def outlined(width: float = 2.5, colour: str = "white") -> list[Any]:
    """Path effects that set words or lines off from what is behind them."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=colour)]


def note_in_corner(axes: Axes, words: str, *, low: bool = False, colour: str = "0.3") -> None:
    """Put a remark into the upper or lower right corner of the frame, legible over what is drawn there."""
    style: dict[str, Any] = {"fontsize": SMALL, "color": colour, "zorder": 5, "path_effects": outlined(3)}
    at = (0.985, 0.025, "bottom") if low else (0.985, 0.975, "top")
    axes.text(*at[:2], words, transform=axes.transAxes, ha="right", va=at[2], **style)


def label_ends(axes: Axes, ends: Iterable[tuple[float, float, str]], *, above: float = 0.0) -> None:
    """Put words (x, y, words) to the right of points, `above` them [pt]; one that would cover another moves up or down.

    The abscissa is widened for the last one. A label that moved has a thin line to its point.
    """
    from matplotlib.transforms import ScaledTranslation

    kept = sorted((end for end in ends if end[2]), key=lambda end: end[1])
    if not kept:
        return
    pixel, (left, right) = axes.figure.dpi / 72, axes.get_xlim()
    wide, (west, low), (east, high) = [], *axes.transAxes.transform([(0, 0), (1, 1)])
    for x, y, label in kept:
        share = (float(axes.transData.transform((x, y))[0]) - west) / (east - west)
        words = _width(label) * pixel / (east - west)
        wide.append(share / max(1 - words, 0.2))
    room = max(1.0, *wide)
    axes.set_xlim(right=left * (right / left) ** room if axes.get_xscale() == "log" else left + room * (right - left))
    gap, taken, drawn = 1.3 * SMALL * pixel, list[tuple[float, float, float]](), _drawn(axes)
    for x, y, label in kept:
        start, wanted = (float(v) for v in axes.transData.transform((x, y)))
        point, end = wanted, start + _width(label) * pixel
        wanted = float(np.clip(wanted + above * pixel, low + 0.5 * gap, high - 0.5 * gap))
        beside = [at for a, b, at in taken if a < end and start < b]
        near = [wanted + way * 0.5 * gap for way in (1, -1, 2, -2, 3, -3)]
        places = [wanted, *(at + way * gap for at in beside for way in (1, -1)), *near]
        inside = [at for at in places if low + 0.5 * gap <= at <= high - 0.5 * gap]
        free = [at for at in inside if all(abs(at - other) > 0.99 * gap for other in beside)]
        under = drawn[(drawn[:, 0] > start + 5 * pixel) & (drawn[:, 0] < end), 1]
        hidden = {at: int((np.abs(under - at) < 0.5 * gap).sum()) for at in free}
        at = min(free or [wanted], key=lambda place: abs(place - wanted) + gap * min(hidden.get(place, 0), 4))
        taken.append((start, end, at))
        leader = {"arrowstyle": "-", "color": "0.45", "lw": 0.7, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            label,
            (x, y),
            xytext=(x, y),
            textcoords=axes.transData
            + ScaledTranslation(6 / 72, (at - point) / pixel / 72, axes.figure.dpi_scale_trans),
            va="center",
            fontsize=SMALL,
            color="0.15",
            zorder=4,
            path_effects=outlined(),
            arrowprops=leader if abs(at - wanted) > 0.3 * gap else None,
        )


def _drawn(axes: Axes) -> AnyArray:
    """Where points and lines are drawn (m, 2), in pixels; lines as points some pixels apart."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        at = line.get_transform().transform(line.get_xydata())
        if line.get_linestyle() not in ("None", "", " ") and len(at) > 1:
            along = np.append(0.0, np.hypot(*np.diff(at, axis=0).T).cumsum())
            steps = np.linspace(0.0, along[-1], int(np.clip(along[-1] / 6, 2, 1000)))
            at = np.column_stack([np.interp(steps, along, part) for part in at.T])
        found.append(at)
    for points in axes.collections:
        at = np.asarray(points.get_offsets(), dtype=float)
        if points.get_paths() and len(at) > 1:
            found.append(points.get_offset_transform().transform(at))
    whole = np.vstack(found)
    return np.asarray(whole[np.isfinite(whole).all(axis=1)])


def _width(words: str) -> float:
    """Width of a label with its distance from the point [pt]."""
    return 10 + 0.62 * SMALL * len(words)


def log_axis(axes: Axes, which: Literal["x", "y"], key: str = "", label: str | None = None) -> None:
    """Make one axis logarithmic with a few round ticks, as people write them: 300M, 1B, 10²¹."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    axis.set_label_text(INPUTS.get(key, key) if label is None else label)
    write = _WRITTEN.get(key, lambda value: f"{value:.3g}")
    axis.set_major_locator(_locator_class()())
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))  # type: ignore[no-untyped-call]
    axis.set_minor_formatter(NullFormatter())


_WRITTEN: dict[str, Callable[[float], str]] = {"N": count, "D": count, "C": lambda value: power(value, 2)}


@cache
def _locator_class() -> type[Any]:
    """Return a locator of about six round numbers, whatever part of the axis is looked at."""
    from matplotlib.ticker import Locator

    class FewRoundNumbers(Locator):
        def __call__(self) -> list[float]:
            ticks = self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]
            box = self.axis.axes.bbox  # type: ignore[union-attr]
            pixels = box.width if self.axis.axis_name == "x" else box.height  # type: ignore[union-attr]
            most = max(2, int(72 * pixels / self.axis.axes.figure.dpi / 38))  # type: ignore[union-attr]
            while len(ticks) > most:
                ticks = ticks[::2]
            return ticks

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            low, high = sorted((max(vmin, 1e-300), max(vmax, 1e-300)))
            decades = float(np.log10(high / low))
            if decades < 0.7:
                raw = (high - low) / 6
                unit = 10.0 ** np.floor(np.log10(raw)) if raw > 0 else 1.0
                step = unit * next(s for s in (1, 2, 2.5, 5, 10) if s * unit >= 0.999 * raw)
                return [step * float(k) for k in np.arange(np.ceil(low / step), np.floor(high / step) + 1)]
            steps = (1, 2, 5) if decades < 1.8 else (1, 3) if decades < 3.2 else (1,)
            stride = max(1, round(decades / 7))
            tens = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
            ticks = np.outer(10.0 ** tens[tens % stride == 0], steps).ravel()
            return [float(tick) for tick in ticks if 0.999 * low <= tick <= 1.001 * high]

    return FewRoundNumbers


def new_grid(rows: int, columns: int, size: tuple[float, float]) -> AnyArray:
    """Return the axes (rows * columns,) of a new figure of `size` [inch]."""
    return np.ravel(new_figure(size).subplots(rows, columns, squeeze=False))
