"""Plain figures as inline SVG: axes, points, curves, bands; colours are classes, which the page's theme paints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalefit import _text as words
from scalefit._typing import Array
from scalefit.reporting.html import Markup, join, tag

#: Margins of a figure [px].
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 46
#: Width that the upright words of an axis take up.
_WORDS = 18


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its range, scale and words, and about how many ticks it has."""

    low: float
    high: float
    label: str
    log: bool = False
    write: Callable[[float], str] = lambda value: f"{value:.4g}"
    about: int = 6

    def share(self, value: Any) -> Array:
        """Where values lie between the ends, 0 to 1."""
        with np.errstate(all="ignore"):
            if self.log:
                return np.asarray(np.log(np.asarray(value, float) / self.low) / math.log(self.high / self.low))
            return np.asarray((np.asarray(value, float) - self.low) / (self.high - self.low))

    def ticks(self) -> list[float]:
        """Round values along the axis, about as many as asked for."""
        if not self.low < self.high:
            return [self.low]
        decades = math.log10(self.high / self.low) if self.log else 0.0
        if decades < 1:
            raw = (self.high - self.low) / self.about
            unit = 10 ** math.floor(math.log10(raw))
            step = unit * next(s for s in (1, 2, 2.5, 5, 10) if s * unit >= raw * 0.999)
            first = math.ceil(self.low / step - 1e-9)
            return [float(f"{k * step:.12g}") for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        steps: Sequence[float] = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.2 else (1,)
        stride = max(1, math.ceil(decades / 7))
        low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        found = [s * 10.0**k for k in range(low, high + 1) if k % stride == 0 for s in steps]
        inside = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
        return inside if len(inside) > 1 else [self.low, math.sqrt(self.low * self.high), self.high]


def padded(low: float, high: float, log: bool, share: float = 0.05) -> tuple[float, float]:
    """Widen a range by a share of itself at both ends."""
    if log:
        low, high = math.log(low), math.log(high)
    room = share * (high - low) if high > low else 0.1 * (abs(high) or 1.0)
    low, high = low - room, high + room
    return (math.exp(low), math.exp(high)) if log else (low, high)


@dataclass(slots=True)
class Figure:
    """A figure being drawn.

    Parameters
    ----------
    x, y : Axis
        Axes.
    title : str
        Accessible name.
    width, height : int
        Size of the view box.
    right : int
        Room right of the frame, for labels at the ends of curves.
    text : float
        Height of the words, for which labels of the axis below must leave room.
    """

    x: Axis
    y: Axis
    title: str
    width: int = 640
    height: int = 380
    right: int = _RIGHT
    text: float = 12.0
    parts: list[Markup] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Room left of the frame: the words of the axis, and the longest label of a tick beside them."""
        longest = max((len(self.y.write(value)) for value in self.y.ticks()), default=0)
        return float(math.ceil(max(_LEFT, _WORDS + 0.6 * self.text * longest + 7)))

    def px(self, value: Any) -> Array:
        """Abscissae in the view box."""
        return np.asarray(self.left + self.x.share(value) * (self.width - self.left - self.right))

    def py(self, value: Any) -> Array:
        """Ordinates in the view box."""
        return np.asarray(self.height - _BOTTOM - self.y.share(value) * (self.height - _TOP - _BOTTOM))

    def points(self, x: Array, y: Array, classes: Sequence[str], index: Iterable[Any], r: float = 3.6) -> None:
        """Runs; ``data-i`` is the run's number, by which the page finds it. Those beyond the frame sit on its edge."""
        edge_x = np.clip(self.px(x), self.left, self.width - self.right)
        edge_y = np.clip(self.py(y), _TOP, self.height - _BOTTOM)
        marks = [
            tag("circle", cx=_n(a), cy=_n(b), r=r, class_=name, data_i=i)
            for a, b, name, i in zip(edge_x, edge_y, classes, index, strict=True)
        ]
        self.parts.append(tag("g", *marks, class_="points"))

    def line(self, x: Any, y: Any, name: str) -> None:
        """Draw a curve through the points that are finite."""
        a, b = np.atleast_1d(self.px(x)), np.atleast_1d(self.py(y))
        keep = np.isfinite(a) & np.isfinite(b)
        path = " ".join(f"{_n(p)},{_n(q)}" for p, q in zip(a[keep], b[keep], strict=True))
        self.parts.append(tag("polyline", points=path, class_=f"curve {name}"))

    def band(self, x: Any, low: Any, high: Any, name: str) -> None:
        """Draw the area between two curves."""
        a = self.px(x)
        there = [*zip(a, self.py(high), strict=True), *zip(a[::-1], self.py(low)[::-1], strict=True)]
        self.parts.append(tag("polygon", points=" ".join(f"{_n(p)},{_n(q)}" for p, q in there), class_=f"band {name}"))

    def span(self, low: float, high: float, name: str = "") -> None:
        """Shade what lies between two abscissae."""
        a, b = (float(v) for v in np.clip(self.px([low, high]), self.left, self.width - self.right))
        height = self.height - _TOP - _BOTTOM
        self.parts.append(tag("rect", x=_n(a), y=_TOP, width=_n(b - a), height=height, class_=f"span {name}"))

    def rule(self, *, x: float | None = None, y: float | None = None, name: str = "rule") -> None:
        """Draw one vertical or horizontal line across the frame."""
        if x is not None:
            at = _n(float(self.px(x)))
            self.parts.append(tag("line", x1=at, x2=at, y1=_TOP, y2=self.height - _BOTTOM, class_=name))
        if y is not None:
            at = _n(float(self.py(y)))
            self.parts.append(tag("line", x1=self.left, x2=self.width - self.right, y1=at, y2=at, class_=name))

    def mark(self, x: float, y: float, name: str = "mark") -> None:
        """Draw a diamond."""
        a, b, s = float(self.px(x)), float(self.py(y)), 6
        corners = ((a, b - s), (a + s, b), (a, b + s), (a - s, b))
        self.parts.append(tag("polygon", points=" ".join(f"{_n(p)},{_n(q)}" for p, q in corners), class_=name))

    def note(self, words_: str, corner: str = "top") -> None:
        """Put a remark into the upper or lower right corner of the frame."""
        y = _TOP + 15 if corner == "top" else self.height - _BOTTOM - 8
        self.parts.append(tag("text", words_, x=self.width - self.right - 8, y=y, class_="remark", text_anchor="end"))

    def end_labels(self, labels: Iterable[tuple[float, float, str]]) -> None:
        """Label curves at their right ends (x, y, words), leaving out those that would overwrite another."""
        taken: list[float] = []
        for x, y, label in sorted(labels, key=lambda item: item[1]):
            at = float(self.py(y))
            if label and all(abs(at - other) >= 1.17 * self.text for other in taken):
                taken.append(at)
                self.parts.append(tag("text", label, x=_n(float(self.px(x)) + 6), y=_n(at + 4), class_="end"))

    def render(self, *, hover: bool = False, description: str = "") -> Markup:
        """The svg element; with `hover` the page lets a reader walk over its points by arrow keys."""
        bottom, right = self.height - _BOTTOM, self.width - self.right
        frame, free = [], -math.inf
        for value in self.x.ticks():
            place, label = float(self.px(value)), self.x.write(value)
            at, half = _n(place), 0.3 * self.text * len(label)
            frame.append(tag("line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="grid"))
            if place - half >= free:  # else it would overwrite the one before it
                frame.append(tag("text", label, x=at, y=bottom + 17, text_anchor="middle"))
                free = place + half + 0.5 * self.text
        for value in self.y.ticks():
            high = float(self.py(value))
            frame.append(tag("line", x1=self.left, x2=right, y1=_n(high), y2=_n(high), class_="grid"))
            frame.append(tag("text", self.y.write(value), x=self.left - 7, y=_n(high + 4), text_anchor="end"))
        middle, centre = (self.left + right) / 2, (_TOP + bottom) / 2
        frame.append(tag("text", self.x.label, x=_n(middle), y=self.height - 8, text_anchor="middle", class_="label"))
        turn = f"translate(13 {_n(centre)}) rotate(-90)"
        frame.append(tag("text", self.y.label, transform=turn, text_anchor="middle", class_="label"))
        about = join([tag("title", self.title), tag("desc", description) if description else None])
        return tag(
            "svg",
            about,
            tag("g", *frame, class_="axes", aria_hidden="true"),
            tag("g", *self.parts),
            viewBox=f"0 0 {self.width} {self.height}",
            role="application" if hover else "img",
            aria_roledescription="figure" if hover else None,
            class_="hover" if hover else None,
            tabindex="0" if hover else None,
            aria_label=self.title + ("; arrow keys step through the runs" if hover else ""),
        )


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def powers(value: float) -> str:
    """Tick label of compute."""
    return words.power(value, 2)


def counts(value: float) -> str:
    """Tick label of sizes and tokens."""
    return words.count(value, 3)
