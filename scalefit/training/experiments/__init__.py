"""Experiments on the memory theories: one command each, with the numbers that could refute the theory.

Those of Niu et al. (2024, arXiv:2405.08707), and facts under Zipf's law (Cabannes et al. 2024, arXiv:2310.02984).

An experiment is a module with ``TITLE``, ``SIZES`` (``tiny`` for tests, ``small`` for a CPU, ``full`` as published) and
``run(size, store) -> Finding``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from scalefit.errors import ArgumentError
from scalefit.training.experiments.finding import Finding

NAMES = ("figure2", "figure3", "figure4", "memoriser", "balance", "fresh_floor", "zipf_facts")


def run_experiment(
    name: str, size: str = "small", out: str | Path = "experiments", store: str | Path = "scalefit_runs", **changes: Any
) -> Finding:
    """Run an experiment and write its table, figure and verdict.

    Parameters
    ----------
    name : str
        One of NAMES.
    size : {"tiny", "small", "full"}
        Seconds, minutes on one CPU core, or the published size.
    out : path
        ``<out>/<name>-<size>/`` gets table.csv, figure.png and verdict.md.
    store : path
        Folder of runs; a second call reuses them and trains nothing.
    **changes
        Settings to replace, such as ``corpus_path`` or ``model_path``.

    Raises
    ------
    ArgumentError
        Unknown name, size or setting.
    """
    if name not in NAMES:
        raise ArgumentError(f"Unknown experiment {name!r}", "nothing was run", f"Known: {', '.join(NAMES)}")
    module = importlib.import_module(f"{__name__}.{name}")
    if size not in module.SIZES:
        raise ArgumentError(f"{name} has no size {size!r}", "nothing was run", f"Known: {', '.join(module.SIZES)}")
    settings = dict(module.SIZES[size])
    unknown = set(changes) - set(settings)
    if unknown:
        raise ArgumentError(f"{name} has no setting {sorted(unknown)}", "nothing was run", f"Known: {sorted(settings)}")
    if "://" in str(store):
        raise ArgumentError(f"An experiment needs a folder, not {store}", "nothing was run", "Give a local store")
    finding: Finding = module.run({**settings, **changes}, Path(store))
    finding.write(Path(out) / f"{name}-{size}")
    return finding
