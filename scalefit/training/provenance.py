"""Where a run's numbers come from: versions, hardware, corpus, code."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from scalefit import __version__
from scalefit.training.config import RunConfig
from scalefit.training.corpus import Corpus
from scalefit.training.distributed import World


def provenance(config: RunConfig, corpus: Corpus, world: World) -> dict[str, Any]:
    """Return what a reader needs to make the run again, or to know why it differs."""
    cuda = world.device.type == "cuda"
    return {
        "scalefit": __version__,
        "git": _git(),
        "corpus_sha256": corpus.meta["sha256"],
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "device": torch.cuda.get_device_name(world.device) if cuda else _cpu_name(),
        "world_size": world.size,
        "threads": torch.get_num_threads(),
        "dtype": config.runtime.dtype,
        "step": config.runtime.step,
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:8],
        "job": os.environ.get("SLURM_JOB_ID"),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git() -> str | None:
    """Commit of the code, with a mark where it was changed since; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("diff", "HEAD", "--", str(here)) if commit else ""
    except (OSError, subprocess.TimeoutExpired):
        return None
    if not commit:
        return None
    return commit + (f"+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else "")
