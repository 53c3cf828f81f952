"""The real packages in local mode start the workers of a sweep; each test needs its package and skips without it."""

from __future__ import annotations

import gc
import sys
import warnings
from pathlib import Path

import pytest

from scalefit.errors import MissingExtraError
from scalefit.training.sweeps.grid import SweepConfig
from scalefit.training.sweeps.launchers import RayLauncher
from scalefit.training.sweeps.run import sweep


def finished(table) -> bool:
    return len(table) == 4 and bool((table["status"] == "finished").all())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cluster", ["debug", "local"])
def test_submitit(grid: SweepConfig, store: Path, cluster: str) -> None:
    submitit = pytest.importorskip("submitit", reason="submitit is not installed")
    executor = submitit.AutoExecutor(folder=store / "logs", cluster=cluster)
    executor.update_parameters(timeout_min=30)
    assert finished(sweep(grid, store, workers=2, launcher=executor))
    del executor
    gc.collect()  # it leaves processes to end by themselves, which the collector says; here nobody minds


@pytest.mark.filterwarnings("ignore")
def test_dask(grid: SweepConfig, store: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert finished(sweep(grid, store, workers=2, launcher=client))


def test_without_ray_the_error_tells_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install ray\.$"):
        RayLauncher()


@pytest.mark.filterwarnings("ignore")
def test_ray(grid: SweepConfig, store: Path) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            assert finished(sweep(grid, store, workers=2, launcher=RayLauncher(num_cpus=1)))
        finally:
            ray.shutdown()
