"""The gallery: every figure of the library with the lines that draw it, made while the site is built.

`tests/plots/test_legibility.py` draws the same list and measures contrast, colours and sizes of words in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

PREAMBLE = """
import numpy as np
import pandas as pd
import scalefit as sf

# A simulated table: 90 runs on six budgets, 0.4 % noise.
rng = np.random.default_rng(0)
law = sf.published("chinchilla", "besiroglu2024")
budgets, shares = np.geomspace(1e18, 3e20, 6), np.geomspace(0.2, 5, 15)
C, share = (a.ravel() for a in np.meshgrid(budgets, shares))
N = 0.09 * share * C**0.5
runs = pd.DataFrame({"N": N, "D": C / (6 * N), "C": C})
noise = np.exp(0.004 * rng.standard_normal(90))
runs["loss"] = law.predict(N=runs["N"], D=runs["D"]) * noise
result = sf.fit(runs)
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure: name of its file, title, what to read off it, and the lines that end in `figure`."""

    key: str
    title: str
    about: str
    code: str


FIGURES = (
    Shown(
        "fit",
        "A fit",
        "Runs with the law at sizes from the table, residuals, and the profile of the least certain exponent.",
        "figure = result.plot()",
    ),
    Shown(
        "shared",
        "Two tables, shared exponents",
        "Each series has its own colour, marker and line style.",
        """
grid = np.meshgrid([3e7, 1e8, 3e8, 1e9], [2e9, 6e9, 2e10, 6e10])
N, D = (a.ravel() for a in grid)
noise = np.exp(0.003 * rng.standard_normal(16))
web = pd.DataFrame({"N": N, "D": D, "loss": law.predict(N=N, D=D) * noise})
code = web.assign(series="code", loss=0.8 * web["loss"])
both = pd.concat([web.assign(series="web"), code])
figure = sf.fit(both, by="shared").plot()
""",
    ),
    Shown(
        "overlay",
        "Several laws and a planned run",
        "Curves extend to the planned run, which is marked with the interval of each law.",
        """
axes = sf.plot(
    [result, sf.forecast(runs), law],
    names=["fit", "forecast", "Besiroglu et al. 2024"],
    planned={"N": 5e9, "D": 1e11},
)
""",
    ),
    Shown(
        "forecast",
        "A calibrated forecast",
        "The interval widens with the distance from the runs, as calibrated on public tables.",
        "axes = sf.forecast(runs).plot()",
    ),
    Shown(
        "plan",
        "A plan",
        "Loss over size and tokens, budgets, the runs behind the law, the data wall, and the plan with its intervals.",
        "axes = sf.plan(result, C=1e22, unique_tokens=8e10).plot()",
    ),
    Shown(
        "frontier",
        "Training against serving",
        "Plans of equal loss: smaller models cost more to train and less to serve.",
        """
from scalefit.plots.planning import draw_frontier

axes = draw_frontier(sf.plan(result, C=1e22).frontier(15))
""",
    ),
    Shown(
        "isoflop",
        "IsoFLOP curves",
        "The loss over the size for each budget, with the best size of each.",
        'axes = sf.isoflop(runs, method="parabola").plot()',
    ),
    Shown(
        "approaches",
        "Approaches to the best size",
        "The best size by isoFLOP curves, by a fitted law and by a published law.",
        """
from scalefit.planning.figures import allocation_data
from scalefit.plots.planning import draw_allocation

isoflop = sf.isoflop(runs, method="parabola")
ways = {"isoFLOP": isoflop, "fitted law": result, "published law": law}
axes = draw_allocation(allocation_data(ways, (1e18, 1e23)))
""",
    ),
    Shown(
        "advice",
        "A live run",
        "The logged loss, and where the planned schedule and an alternative are expected to end.",
        """
schedule = sf.Schedule.wsd(10_000, warmup=200)
plan = sf.RunPlan(schedule=schedule, n_params=124e6, tokens_per_step=2**19)
monitor = sf.Monitor(plan)
for step in range(100, 6001, 100):
    loss = 2.9 + 12 * (step + 50) ** -0.45 + 0.003 * rng.standard_normal()
    monitor.update(step=step, val_loss=loss)
branch = schedule.cooldown_from(step=6000, steps=1000)
axes = monitor.plot(what_if={"cool down now": branch})
""",
    ),
    Shown(
        "recipes",
        "Recipes",
        "How many times the compute the baseline needs for the same loss.",
        """
parts = []
for name, gain in (("adamw", 1.0), ("new", 1.25), ("newer", 1.6)):
    better = law.predict(N=runs["N"] * gain**0.5, D=runs["D"] * gain**0.5)
    noise = np.exp(0.003 * rng.standard_normal(90))
    parts.append(runs.assign(recipe=name, loss=better * noise))
found = sf.compare_recipes(pd.concat(parts), recipe="recipe", baseline="adamw")
axes = found.plot()
""",
    ),
    Shown(
        "hyperparameters",
        "Learning rates",
        "The best learning rate for each N and D of a sweep, and the law through them.",
        """
cells = np.meshgrid([5e7, 1e8, 2e8], [2e9, 8e9, 3e10], range(5))
n, d, step = (a.ravel() for a in cells)
best = 1.79 * n**-0.713 * d**0.307
lr = 2e-3 * 2.0 ** (np.round(np.log2(best / 2e-3)) + step - 2)
loss = law.predict(N=n, D=d) + 0.03 * np.log(lr / best) ** 2
loss = loss + 0.001 * rng.standard_normal(n.size)
sweep = {"N": n, "D": d, "lr": lr, "loss": loss}
axes = sf.fit_hyperparameters(sweep, of="lr").plot()
""",
    ),
    Shown(
        "downstream",
        "A task",
        "Accuracy over the loss, with its interval beyond the lowest loss seen.",
        """
tasks = {"N": runs["N"], "D": runs["D"], "val_loss": runs["loss"]}
tasks["acc"] = 0.25 + 0.7 / (1 + np.exp(3 * (runs["loss"] - 2.9)))
tasks["acc"] += 0.01 * rng.standard_normal(90)
found = sf.fit_downstream(tasks, loss="val_loss", metric="acc", chance=0.25)
axes = found.plot("acc")
""",
    ),
    Shown(
        "mixture",
        "A mixture of domains",
        "The best shares with their intervals, how far they can move at little cost, and what was tried.",
        """
shares = rng.dirichlet([2, 2, 2], 30)
table = pd.DataFrame(shares, columns=["share_web", "share_code", "share_books"])
worth = {"web": [1, 0.3, 0.5], "code": [0.2, 1, 0.1], "books": [0.4, 0.1, 1]}
for domain, row in worth.items():
    noise = np.exp(0.002 * rng.standard_normal(30))
    table[f"loss_{domain}"] = (1.8 + 0.9 * (shares @ row) ** -0.3) * noise
fits = sf.fit(table, "effective_mixture", loss="loss_*")
axes = sf.optimal_mixture(fits).plot()
""",
    ),
    Shown(
        "minimum_loss",
        "The lowest loss of a plan",
        "The prediction of each published law; filled if its runs covered the plan.",
        "axes = sf.minimum_loss(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024).plot()",
    ),
    Shown(
        "entropy",
        "Entropy of a text",
        "Held-out losses of n-grams are upper bounds of the entropy.",
        """
line = "the cat sat on the mat and the dog sat on the log. "
text = [line * 5 + str(i) for i in range(60)]
axes = sf.entropy_bounds(text).plot()
""",
    ),
    Shown(
        "correlations",
        "Correlations of a text",
        "Strength over distance; filled if above the noise.",
        """
walk = np.cumsum(rng.integers(-1, 2, (60, 1000)), axis=1) % 12
axes = sf.predict_exponent(walk).plot()
""",
    ),
    Shown(
        "energy",
        "Energies of associative memories",
        "Figure 1 of Niu et al. (2024).",
        """
from scalefit.memory.figures import plot_energy_landscapes

axes = plot_energy_landscapes()
""",
    ),
    Shown(
        "radius",
        "The loss over the radius of the balls",
        "Proposition 4 of Niu et al. (2024): the loss is extremely sensitive to the radius.",
        """
from scalefit.memory.figures import loss_against_radius, plot_loss_against_radius

axes = plot_loss_against_radius(loss_against_radius(768, 1e6))
""",
    ),
    Shown(
        "capacity",
        "Capacity of associative memories",
        "The number of patterns recalled, measured and in theory.",
        """
from scalefit.memory.figures import capacity_against_dimension, plot_capacity

found = capacity_against_dimension((8, 12, 16), n_queries=20, max_patterns=256)
axes = plot_capacity(found)
""",
    ),
)


def drawn() -> Iterator[tuple[Shown, Any]]:
    """Every entry with its matplotlib figure; the lines run one after the other, as a reader would run them."""
    names: dict[str, Any] = {}
    exec(PREAMBLE, names)  # the list above is the only source
    for shown in FIGURES:
        names.update(figure=None, axes=None)
        exec(shown.code, names)
        yield shown, names["figure"] or np.ravel(names["axes"])[0].figure


def write_gallery(folder: Path) -> None:
    """Write the page and its figures into `folder`; the hook of the site calls this."""
    pictures = folder / "gallery"
    pictures.mkdir(exist_ok=True)
    lines = [
        "# Gallery",
        "",
        "Every figure of scalefit, with the code that draws it. Colours can be distinguished with every kind of colour "
        "vision, and no information is in the colour alone; a test checks this.",
        "",
        "```python",
        PREAMBLE.strip(),
        "```",
        "",
    ]
    for shown, figure in drawn():
        figure.savefig(pictures / f"{shown.key}.png", dpi=110)
        lines += [f"## {shown.title}", "", shown.about, "", f"![{shown.title}](gallery/{shown.key}.png)", ""]
        lines += ["```python", shown.code.strip(), "```", ""]
    (folder / "gallery.md").write_text("\n".join(lines), encoding="utf-8")
