"""Write and execute the notebooks from the cells below; needs nbclient and ipykernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

FIT_AND_PLAN = [
    "# From a table of runs to the next run\n\nThe project's own ladder of small models, trained on a Markov source "
    "whose entropy is known: the law's E can be compared with the truth.",
    "import scalefit as sf\n\nruns = sf.load_dataset('scalefit_cpu')\nruns = runs[runs['series'] == 'markov']\n"
    "runs[['N', 'D', 'loss', 'lr', 'H_data']].describe().round(3)",
    "A law, with its verdict first. Points of one training trunk share its noise, so the bootstrap draws whole trunks.",
    "result = sf.fit(runs, 'chinchilla').bootstrap(n=1000, seed=0, cluster=runs['trunk_id'])\nresult",
    "result.plot()",
    "low, high = result.conf_int(0.95).loc['E']\n"
    "print(f\"E {result.params.E:.3f} [{low:.3f}, {high:.3f}]; the source's entropy is {runs['H_data'].iloc[0]:.3f}\")",
    "Which law forecasts the larger runs best from the smaller ones?",
    "table = sf.compare(runs, ['chinchilla', 'kaplan', 'coupled'], holdout='largest_C')\n"
    "print(table.attrs['verdict'])\n"
    "table[['law', 'rmse', 'bias', 'coverage', 'weight']].round(4)",
    "And the run to make next, with ten times the compute of the largest one.",
    "plan = sf.plan(result, C=10 * runs['C'].max())\nprint(plan)",
]
LIVE_RUN = [
    "# Advice on a live run\n\nA monitor takes the schedule and the losses as they come, and forecasts where the run "
    "will end.",
    "import numpy as np\nimport scalefit as sf\n\nschedule = sf.Schedule.wsd(20_000, warmup=500, cooldown=0.2)\n"
    "monitor = sf.Monitor(sf.RunPlan(schedule=schedule, n_params=124e6, tokens_per_step=524_288))\n"
    "rng = np.random.default_rng(0)\nfor step in range(500, 12_001, 250):\n"
    "    monitor.update(step=step, val_loss=2.9 + 9 * step**-0.45 + 0.004 * rng.standard_normal())\n"
    "print(monitor.advise())",
    "What if the run cooled down now?",
    "early = monitor.what_if(schedule.cooldown_from(step=12_000, steps=2_000))\n"
    "print(f'{early.loss:.3f} [{early.lower:.3f}, {early.upper:.3f}] at step {early.step:g}')",
    "monitor.plot(what_if={'cool down now': schedule.cooldown_from(step=12_000, steps=2_000)}).figure",
    "The state survives a crash: the loaded monitor gives the same advice, bit for bit.",
    "import tempfile\nfrom pathlib import Path\n\npath = Path(tempfile.mkdtemp()) / 'run.json'\nmonitor.to_json(path)\n"
    "assert sf.load_monitor(path).advise().final.loss == monitor.advise().final.loss",
]


def main() -> None:
    for name, cells in (("fit_and_plan", FIT_AND_PLAN), ("live_run", LIVE_RUN)):
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        for i, text in enumerate(cells):
            is_prose = not any(mark in text for mark in ("import ", "=", "(")) or text.startswith("# ") or i == 0
            make = nbformat.v4.new_markdown_cell if is_prose else nbformat.v4.new_code_cell
            cell = make(text)
            cell["id"] = f"cell-{i}"
            notebook.cells.append(cell)
        NotebookClient(notebook, timeout=120).execute()
        for cell in notebook.cells:
            cell.get("metadata", {}).pop("execution", None)
        nbformat.write(notebook, Path(__file__).parent / f"{name}.ipynb")


if __name__ == "__main__":
    main()
