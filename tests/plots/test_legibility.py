"""Every figure can be read: sizes of words, contrast, and colours that readers of any colour vision tell apart.

Contrast is WCAG 2.2's, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio: 4.5 for words, 3 for what is drawn.
Colour-blindness is simulated with the matrices of Machado, Oliveira and Fernandes (2009), "A physiologically-based
model for simulation of color vision deficiency", IEEE TVCG 15(6), severity 1, on linear RGB.
Differences are CIEDE2000 (Sharma, Wu and Dalal 2005); 12 between colours that mean different things, 8 between
neighbours on the ramp of sizes, which stand in order and are labelled.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

import scalefit as sf
import scalefit.plots
from scalefit._files import save_figure
from scalefit.plots import _axes

WORDS, DRAWN, APART, NEIGHBOURS, SMALLEST = 4.5, 3.0, 12.0, 8.0, 9.0
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(rgb):
    rgb = np.asarray(rgb, float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(colour, paper=(1.0, 1.0, 1.0)):
    """What a translucent colour looks like on paper."""
    *rgb, alpha = to_rgba(colour)
    return alpha * np.array(rgb) + (1 - alpha) * np.asarray(paper, float)


def contrast(one, two=(1.0, 1.0, 1.0)):
    high, low = sorted((float(linear(c[:3]) @ [0.2126, 0.7152, 0.0722]) for c in (one, two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(rgb, matrix):
    t = (np.clip(linear(rgb) @ np.asarray(matrix).T, 0, 1) @ _XYZ.T) / _XYZ.sum(axis=1)
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one, two):
    (L1, a1, b1), (L2, a2, b2) = one, two
    mean = 0.5 * (np.hypot(a1, b1) + np.hypot(a2, b2))
    grow = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    C1, C2 = np.hypot(grow * a1, b1), np.hypot(grow * a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, grow * a1)) % 360, np.degrees(np.arctan2(b2, grow * a2)) % 360
    turn = 0.0 if C1 * C2 == 0 else (h2 - h1 + 180) % 360 - 180
    dL, dC, dH = L2 - L1, C2 - C1, 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn / 2))
    L, C = 0.5 * (L1 + L2), 0.5 * (C1 + C2)
    h = h1 + h2 if C1 * C2 == 0 else (h1 + turn / 2) % 360
    waves = ((1, -30, -0.17), (2, 0, 0.24), (3, 6, 0.32), (4, -63, -0.20))
    T = 1 + sum(k * np.cos(np.radians(n * h + off)) for n, off, k in waves)
    SL, SC, SH = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2), 1 + 0.045 * C, 1 + 0.015 * C * T
    RT = -2 * np.sqrt(C**7 / (C**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    parts = dL / SL, dC / SC, dH / SH
    return float(np.sqrt(sum(p**2 for p in parts) + RT * parts[1] * parts[2]))


def apart(one, two):
    """Least difference of two colours over all kinds of colour vision, and for whom."""
    return min((ciede2000(lab(one, matrix), lab(two, matrix)), name) for name, matrix in VISIONS.items())


@pytest.fixture(scope="module")
def figures():
    """Every figure of the gallery, and the names of the functions that drew them."""
    file = Path(__file__).parents[2] / "docs" / "_gallery.py"
    spec = importlib.util.spec_from_file_location("docs_gallery", file)
    gallery = sys.modules["docs_gallery"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    used: set[str] = set()

    def noted(make):
        return lambda *a, **k: (used.add(sys._getframe(1).f_code.co_name), make(*a, **k))[1]

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        for module in modules():
            for name in {"axes_for", "new_grid"} & set(vars(module)):
                patch.setattr(module, name, noted(vars(module)[name]))
        drawn = {shown.key: figure for shown, figure in gallery.drawn()}
    for figure in drawn.values():
        figure.canvas.draw()
    return drawn, used


def modules():
    found = [importlib.import_module(f"scalefit.plots.{info.name}") for info in pkgutil.iter_modules(sf.plots.__path__)]
    return [module for module in found if module is not _axes]


def test_published_differences_are_reproduced():
    """Pairs 1, 4, 7 and 17 of table 1 of Sharma, Wu and Dalal (2005)."""
    for one, two, value in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ):
        assert ciede2000(one, two) == pytest.approx(value, abs=1e-4)
    assert contrast((0, 0, 0)) == pytest.approx(21) and contrast((1, 1, 1)) == pytest.approx(1)
    for matrix in VISIONS.values():
        np.testing.assert_allclose(np.sum(matrix, axis=1), 1, atol=1e-5)  # white stays white


def test_the_palette_can_be_told_apart_by_everybody():
    colours = [seen(colour) for colour in _axes.COLOURS]
    assert min(map(contrast, colours)) >= DRAWN
    for i, one in enumerate(colours):
        for two in colours[:i]:
            assert apart(one, two)[0] >= APART
    steps = [colour[:3] for colour in _axes.ramp(np.linspace(0, 1, 5))]
    assert min(map(contrast, steps)) >= DRAWN
    for matrix in VISIONS.values():
        light = [lab(step, matrix)[0] for step in steps]
        assert all(np.diff(light) > 0), "brightness is the order"
    assert all(apart(*pair)[0] >= NEIGHBOURS for pair in zip(steps, steps[1:], strict=False))


def test_a_palette_that_fails_is_seen_to_fail():
    """Red and green of matplotlib's own palette and of Brewer's, for one kind of vision; its olive for all."""
    for red, green in (("#d62728", "#2ca02c"), ("#e41a1c", "#4daf4a")):
        away, whom = apart(seen(red), seen(green))
        assert away < APART and whom == "deuteranopia"
    assert contrast(seen("#bcbd22")) < DRAWN


def test_every_drawing_function_is_looked_at(figures):
    _, used = figures
    functions = {name for module in modules() for name in vars(module) if name.startswith("draw_")}
    assert "draw_fit" in functions and functions <= used, functions - used


def test_no_word_is_small_and_all_stand_out(figures):
    drawn, _ = figures
    for key, figure in drawn.items():
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text().strip():
                about = (key, text.get_text())
                assert text.get_fontsize() >= SMALLEST, about
                edges = [part._gc["foreground"] for part in text.get_path_effects() if hasattr(part, "_gc")]
                paper = edges[0] if edges and contrast(seen(edges[0])) > DRAWN else "white"
                assert contrast(seen(text.get_color()), seen(paper)) >= WORDS, about


def marks(axes):
    """Colours of lines and points, each with what else sets it apart, its edge, and its label."""
    for line in axes.lines:
        kind = (str(line.get_linestyle()), str(line.get_marker()))
        edges = [part._gc["foreground"] for part in line.get_path_effects() if hasattr(part, "_gc")]
        marked = line.get_marker() not in ("None", "", None)
        if marked and line.get_linestyle() in ("None", ""):
            face = line.get_markerfacecolor()
            hollow = isinstance(face, str) and face in ("none", "white")
            kind = (*kind, "hollow") if hollow else kind
            yield line.get_color() if hollow else face, kind, [line.get_markeredgecolor()], line.get_label()
        elif line.get_linestyle() not in ("None", ""):
            alpha = line.get_alpha()
            yield to_rgba(line.get_color(), alpha), kind, edges, line.get_label()
    for points in axes.collections:
        if isinstance(points, PathCollection) and len(points.get_offsets()):
            for colour in np.unique(points.get_facecolor(), axis=0):
                yield colour, ("points",), [], points.get_label()


def test_what_is_drawn_stands_out_from_what_is_behind_it(figures):
    drawn, _ = figures
    for key, figure in drawn.items():
        for axes in figure.axes:
            filled = [c for c in axes.get_children() if isinstance(c, QuadContourSet)]
            papers = [to_rgba(c)[:3] for c in filled[0].get_facecolor()] if filled else [(1, 1, 1)]
            for colour, _, edges, label in marks(axes):
                for paper in papers:
                    least = max(contrast(seen(part), paper) for part in (colour, *edges))
                    assert least >= DRAWN, (key, label, matplotlib.colors.to_hex(colour), round(least, 2))


def test_entries_of_a_legend_are_told_apart_by_colour_and_kind(figures):
    drawn, _ = figures
    for key, figure in drawn.items():
        for axes in figure.axes:
            named = [mark for mark in marks(axes) if mark[3] and not str(mark[3]).startswith("_")]
            for i, (one, kind, _, label) in enumerate(named):
                for two, other, _, second in named[:i]:
                    away, whom = apart(seen(one), seen(two))
                    assert kind != other or away >= APART, (key, label, second, round(away, 1), whom)


def test_axes_have_one_name_everywhere(figures):
    drawn, _ = figures
    allowed = {*_axes.INPUTS.values(), f"best {_axes.INPUTS['N']}", "serving compute [FLOP per token]"}
    own = {"share of the training tokens", "context [tokens]", "lag [tokens]", "compute multiplier over adamw"}
    names = {axis.get_label_text() for f in drawn.values() for axes in f.axes for axis in (axes.xaxis, axes.yaxis)}
    about = {name for name in names if any(word in name for word in ("param", "token", "compute", "FLOP"))}
    assert {name for name in about if "[nat/token]" not in name} <= allowed | own


def test_a_machine_that_is_slow_is_no_warning(tmp_path):
    """Matplotlib warns of legends that took a second to place, which a busy machine makes of any."""
    figure = Figure()

    class Slow(Figure):
        def savefig(self, *args, **options):
            warnings.warn('Creating legend with loc="best" can be slow with large amounts of data.', stacklevel=2)
            figure.savefig(*args, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(Slow(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").exists()
