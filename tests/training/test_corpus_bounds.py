"""A trained model among the bounds on the entropy of its corpus."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scalefit as sf
from scalefit.training import CorpusConfig, RuntimeConfig, load_trained, train


def test_a_trained_model_bounds_the_entropy_of_its_corpus(tiny, store):
    config = replace(tiny, runtime=RuntimeConfig(device="cpu", keep_weights=True))
    train(config, store)
    model = load_trained(config, store)
    found = sf.entropy_bounds(model.corpus, model=model)
    mean, error = model.loss("val")
    row = found.table.set_index("model").loc["trained model"]
    assert (row["loss"], row["se"]) == pytest.approx((mean, error))
    alone = sf.entropy_bounds(model.corpus)
    assert found.upper_model == alone.upper_model != "trained model" and mean > found.upper
    assert found.upper > alone.upper > alone.exact  # more bounds: each at a higher level
    with pytest.raises(ValueError, match="another corpus"):
        sf.entropy_bounds(CorpusConfig(source="markov", n_states=8, branching=2), model=model)
