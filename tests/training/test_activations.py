"""Distances and activations: exact, against brute force and analytic values; user models from a local folder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from scalefit.errors import ArgumentError, DataError
from scalefit.training.activations import (
    collect_activations,
    gaussian_null,
    measure_radius,
    nearest_distances,
    shuffled_null,
)  # fmt: skip
from scalefit.training.config import ModelConfig
from scalefit.training.loop import train
from scalefit.training.models.decoder import Decoder
from scalefit.training.models.gpt2 import to_transformers
from scalefit.training.models.huggingface import load_pretrained


def brute_force(points: np.ndarray) -> np.ndarray:
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


@pytest.mark.parametrize("block", [7, 64, 4096])
def test_nearest_distances_equal_brute_force(block: int) -> None:
    points = np.random.default_rng(0).normal(size=(150, 12)).astype(np.float32)
    np.testing.assert_allclose(nearest_distances(points, block=block), brute_force(points.astype(float)), rtol=1e-12)


def test_near_neighbours_far_from_the_origin_do_not_cancel() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(40, 30))
    points = (1000 + np.concatenate([base, base + 1e-2 * rng.normal(size=base.shape)])).astype(np.float32)
    np.testing.assert_allclose(nearest_distances(points), brute_force(points.astype(float)), rtol=1e-12)


def test_a_neighbour_hidden_by_rounding_is_found_again() -> None:
    # hundreds of points nearer together than single precision tells apart at this distance from the mean
    rng = np.random.default_rng(0)
    centres = 100 * rng.standard_normal((10, 64))
    points = (centres[rng.integers(0, 10, 600)] + 1e-3 * rng.standard_normal((600, 64))).astype(np.float32)
    np.testing.assert_allclose(nearest_distances(points, block=256), brute_force(points.astype(float)), rtol=1e-12)


def test_equal_to_the_numpy_ones() -> None:
    from scalefit import memory

    points = np.random.default_rng(2).normal(size=(200, 16)).astype(np.float32)
    np.testing.assert_allclose(nearest_distances(points), memory.nearest_neighbour_distances(points), rtol=1e-5)


def test_gaussian_points_sit_where_the_norm_says() -> None:
    # squared distances of independent N(0, I_n) points are 2 chi2_n: near sqrt(2 n), the nearest of m somewhat below
    report = measure_radius(np.random.default_rng(0).normal(size=(800, 512)))
    assert 0.85 * math.sqrt(2 * 512) < report.median < math.sqrt(2 * 512)
    assert report.volume_radius == pytest.approx(math.sqrt(512 / (2 * math.pi * math.e)))
    assert report.rms_norm == pytest.approx(math.sqrt(512), rel=0.01)
    assert [row["share"] for row in report.rows()] == [0.25, 0.5, 0.75, 1.0]
    medians = [row["median"] for row in report.rows()]
    assert medians == sorted(medians, reverse=True)  # more points, nearer neighbours


def test_copies_are_dropped_and_bad_points_refused() -> None:
    points = np.random.default_rng(0).normal(size=(50, 4))
    report = measure_radius(np.concatenate([points, points]))
    assert report.n_points == 50 and report.median > 0
    for bad in (points[:1], np.full((5, 2), np.nan)):
        with pytest.raises(ArgumentError):
            nearest_distances(bad)
    with pytest.raises(ArgumentError, match="distinct"):
        measure_radius(np.ones((30, 3)))


def test_nulls_keep_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 3)) @ np.array([[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.1]]) + [5, 0, -1]
    null = gaussian_null(points)
    np.testing.assert_allclose(np.cov(null.T), np.cov(points.T), atol=0.25)
    np.testing.assert_allclose(null.mean(axis=0), points.mean(axis=0), atol=0.15)
    shuffled = shuffled_null(points)
    np.testing.assert_allclose(np.sort(shuffled, axis=0), np.sort(points.astype(np.float32), axis=0))
    assert abs(np.corrcoef(shuffled.T)[0, 1]) < 0.05


@pytest.mark.filterwarnings("ignore")
def test_activations_of_our_model_and_of_its_transformers_twin_agree() -> None:
    model = Decoder(ModelConfig(n_layers=2, d_emb=32, n_heads=2, T_max=16), 40)
    contexts = np.random.default_rng(0).integers(0, 40, (30, 16))
    contexts[1] = contexts[0]
    ours, theirs = collect_activations(model, contexts), collect_activations(to_transformers(model), contexts)
    for name in ("pre_norm", "post_norm"):
        assert ours[name].shape == (29, 32)
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_ones_own_is_trained_and_measured(with_, store: Path, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=99, max_position_embeddings=64, num_key_value_heads=2, **shape)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    own = ModelConfig(family="huggingface", path=str(tmp_path / "llama"), T_max=32)
    record = train(with_(model=own), store)
    assert record.status == "finished" and record.rows[-1]["loss"] < record.rows[0]["loss"] < math.log(32) + 0.1
    assert (record.rows[0]["d_ff"], record.rows[0]["n_heads"], record.rows[0]["tied"]) == (32, 2, False)
    model = load_pretrained(str(tmp_path / "llama"))
    assert collect_activations(model, np.arange(64).reshape(2, 32))["pre_norm"].shape == (2, 16)
    with pytest.raises(ArgumentError, match="one member"):
        train(with_(model=own, seeds=(0, 1)), store)
    with pytest.raises(DataError, match="nowhere"):
        train(with_(model=ModelConfig(family="huggingface", path="nowhere", T_max=32)), store)


def test_names_are_never_looked_up_elsewhere() -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_pretrained("gpt2")
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("k", [2, 4])
def test_points_on_a_surface_show_its_dimension_and_not_that_of_the_space(k):
    rng = np.random.default_rng(k)
    points = rng.uniform(size=(4000, k)) @ np.linalg.qr(rng.normal(size=(48, k)))[0].T
    report = measure_radius(points)
    assert report.dim == 48 and report.intrinsic_dimension == pytest.approx(k, rel=0.25)
    assert {row["intrinsic_dimension"] for row in report.rows()} == {report.intrinsic_dimension}


def test_one_share_has_no_intrinsic_dimension():
    report = measure_radius(np.random.default_rng(0).normal(size=(100, 4)), shares=(1.0,))
    assert np.isnan(report.intrinsic_dimension)
