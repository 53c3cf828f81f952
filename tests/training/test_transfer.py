"""Maximal-update parametrisation: what a step changes keeps its size as the width grows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scalefit.training.config import ModelConfig
from scalefit.training.models.decoder import Decoder
from scalefit.training.optimizer import FlatAdamW, Settings

WIDTHS = (64, 128, 256, 512)


def changes(family: str, base_width: int | None, optimiser: float | None = None) -> np.ndarray:
    """Size of what four steps change in the last activations and in the logits, (width, 2)."""
    found = []
    for width in WIDTHS:
        config = ModelConfig(
            family=family, n_layers=2, d_emb=width, n_heads=width // 32, T_max=16, tied=False, base_width=base_width
        )
        model = Decoder(config, 32, (0,))
        flat = FlatAdamW(model, [1e-2], Settings(0.9, 0.99, 1e-8, 0.0, 1e9, {}, optimiser))
        ids = torch.randint(0, 32, (8, 17), generator=torch.Generator().manual_seed(1))
        inputs, targets = ids[:, :-1], ids[:, 1:]

        def outputs(model=model, inputs=inputs) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.no_grad():
                return model(inputs, taps=("pre_norm",))["pre_norm"], model(inputs)

        before = outputs()
        for step in range(4):
            flat.zero_grad()
            model(inputs, targets).mean().backward()
            flat.step(step + 1, 1.0)
        found.append([float((b - a).square().mean().sqrt()) for a, b in zip(before, outputs(), strict=True)])
    return np.array(found)


def slopes(values: np.ndarray) -> np.ndarray:
    """Exponent of each column in the width."""
    return np.polyfit(np.log(WIDTHS), np.log(values), 1)[0]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_coordinates_keep_their_size_as_the_width_grows(family: str) -> None:
    """The coordinate check of Yang et al. (2022, arXiv:2203.03466, appendix D.1); the usual one fails it."""
    transferred, usual = slopes(changes(family, 64)), slopes(changes(family, None))
    assert (abs(transferred) < 0.25).all(), transferred
    assert (usual > abs(transferred) + 0.2).all(), (usual, transferred)


def test_the_base_width_itself_is_the_usual_model() -> None:
    """At its base width (and heads of 32) the parametrisation changes nothing."""
    ids = torch.randint(0, 32, (2, 16))
    plain, base = (
        Decoder(ModelConfig(n_layers=2, d_emb=64, n_heads=2, T_max=16, base_width=width), 32, (0,))
        for width in (None, 64)
    )
    torch.testing.assert_close(plain(ids), base(ids))
    assert {base.rate(name, parameter) for name, parameter in base.named_parameters()} == {1.0}
