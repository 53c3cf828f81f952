"""Fixtures for every test; hides torch where the environment asks for it."""

from __future__ import annotations

import contextlib
import importlib.abc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

#: They are loaded as plugins; to --doctest-modules the folders' conftest.py would be modules of one name.
collect_ignore_glob = ["*conftest.py"]


class _NoTorch(importlib.abc.MetaPathFinder):
    """Make `import torch` fail. A None in sys.modules would do, but scipy looks there by name."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "torch":
            raise ModuleNotFoundError("torch is hidden by SCALEFIT_HIDE_TORCH", name=fullname)
        return None


if os.environ.get("SCALEFIT_HIDE_TORCH"):
    sys.meta_path.insert(0, _NoTorch())

# The same examples each time: what is found by chance would fail a change that has nothing to do with it.
common = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("scalefit", max_examples=50, derandomize=True, **common)
settings.register_profile("search", max_examples=1000, derandomize=False, **common)  # --hypothesis-profile search
settings.load_profile("scalefit")


@pytest.fixture(scope="session")
def external_data() -> Path:
    """Folder of third-party tables; the test is skipped, visibly, where there is none."""
    folder = os.environ.get("SCALEFIT_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("third-party tables: set SCALEFIT_DATA_DIR to the folder that holds them")
    return Path(folder)


@pytest.fixture
def start():
    """Start Python with some words, as a terminal would; it ends with the test, which fails after a deadline [s]."""
    started, late = [], []

    def call(*words, deadline=900, env=None, **options):
        fixed = {"PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **fixed, **(env or {})}
        # A job in the background ignores SIGINT, and so would its children; of a signal that is handled they do not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment, **options
            )
        finally:
            signal.signal(signal.SIGINT, before)
        clock = threading.Timer(deadline, ring, [process])
        clock.start()
        started.append((process, clock))
        return process

    def ring(process):
        late.append(process.args)
        end(process)

    def end(process):
        process.terminate()  # torchrun then ends its own processes, which a kill would leave alone
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(40)
        process.kill()

    yield call
    for process, clock in started:
        clock.cancel()
        end(process)
        process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()
    assert not late, "a deadline ended it"
