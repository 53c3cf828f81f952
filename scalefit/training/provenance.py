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
from scalefit.training.data.corpus import Corpus
from scalefit.training.distributed import World


def provenance(corpus: Corpus, world: World, dtype: str) -> dict[str, Any]:
    """Return what a reader needs to repeat the run, or to see why a repeat differs."""
    return {
        **machine(world.device),
        "corpus_sha256": corpus.meta["sha256"],
        "world_size": world.size,
        "dtype": dtype,
        "job": os.environ.get("SLURM_JOB_ID"),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Return the versions and the hardware behind a measurement; `host` is a hash of the machine's name."""
    cuda = device.type == "cuda"
    return {
        "scalefit": __version__,
        "git": _git(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "driver": _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") if cuda else None,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:8],
    }


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or of the host's processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git() -> str | None:
    """Commit of the code, with a mark where it was changed since; None outside a checkout."""
    here = str(Path(__file__).parent)
    commit = _said("git", "-C", here, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _said("git", "-C", here, "diff", "HEAD", "--", here)
    return commit + (f"+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else "")


def _said(*command: str) -> str | None:
    """What a program printed; None where it is not there, failed or printed nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
