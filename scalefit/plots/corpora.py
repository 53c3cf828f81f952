"""Figures of what a corpus says: losses over context, correlations over lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._text import count
from scalefit._typing import AnyArray, Array
from scalefit.plots._axes import COLOURS, LOSS, SMALL, axes_for, marker, ramp


@dataclass(frozen=True, slots=True, eq=False)
class EntropyFigure:
    """What :func:`draw_entropy` draws.

    Attributes
    ----------
    context : ndarray (n,)
        Tokens that an n-gram looks back.
    sizes : ndarray (k,)
        Training tokens.
    loss : ndarray (k, n)
        Held-out loss [nat/token].
    in_sample : ndarray (n,)
        Entropy of the training part's own frequencies [nat/token].
    upper : float
        Upper bound [nat/token].
    interval : (float, float) or None
        Interval of the entropy [nat/token].
    title : str
        The corpus.
    """

    context: Array
    sizes: Array
    loss: Array
    in_sample: Array
    upper: float
    interval: tuple[float, float] | None
    title: str


def draw_entropy(data: EntropyFigure, ax: Any = None) -> Any:
    """Draw held-out losses by size and the in-sample entropy over the context, and what they leave between them."""
    ax = axes_for(ax)
    for i, (size, loss) in enumerate(zip(data.sizes, data.loss, strict=True)):
        style = {
            "color": ramp((i + 1) / len(data.sizes)),
            "marker": marker(i),
            "label": f"held out, {count(size)} tokens",
        }
        ax.plot(data.context, loss, **style)
    ax.plot(data.context, data.in_sample, "--", color=COLOURS[4], label="of the training part's own frequencies")
    ax.axhline(data.upper, color=COLOURS[1], lw=1.2, label=f"upper bound {data.upper:.4g}")
    if data.interval is not None:
        ax.axhspan(*data.interval, color=COLOURS[2], alpha=0.25, label="entropy")
    ax.set_xlabel("context [tokens]")
    ax.set_ylabel(LOSS)
    ax.set_ylim(bottom=0)
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax


@dataclass(frozen=True, slots=True, eq=False)
class CorrelationFigure:
    """What :func:`draw_correlations` draws.

    Attributes
    ----------
    curves : mapping of str to (lag, norm, error, kept)
        By centring: lags [tokens], operator norms with their errors, and whether each stands above the noise.
    noise : float
        Norm of the noise at one lag.
    window : (float, float)
        Lags of the fit.
    line : (float, float) or None
        Coefficient and exponent of the power law in the window.
    title : str
        The corpus.
    """

    curves: Mapping[str, tuple[Array, Array, Array, AnyArray]]
    noise: float
    window: tuple[float, float]
    line: tuple[float, float] | None
    title: str


def draw_correlations(data: CorrelationFigure, ax: Any = None) -> Any:
    """Draw operator norms over the lag, filled where they stand above the noise, and the fitted power law."""
    ax = axes_for(ax)
    for i, (name, (lag, norm, error, kept)) in enumerate(data.curves.items()):
        shown = norm > 0
        ax.errorbar(lag[shown], norm[shown], error[shown], fmt="none", color=COLOURS[i], lw=1)
        for some, face in ((shown & kept, COLOURS[i]), (shown & ~kept, "white")):
            label = f"centred: {name}" if face != "white" else None
            ax.plot(lag[some], norm[some], marker(i), color=COLOURS[i], markerfacecolor=face, label=label)
    ax.axhline(data.noise, color=COLOURS[6], lw=0.8, ls=":", label="noise floor")
    if data.line is not None:
        x = np.geomspace(*data.window, 30)
        label = f"lag^-{data.line[1]:.2f}"
        ax.plot(x, data.line[0] * x ** -data.line[1], "-", color=COLOURS[3], lw=1.5, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("lag [tokens]")
    ax.set_ylabel("operator norm of the co-occurrences")
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax
