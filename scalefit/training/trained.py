"""A trained model, read back from its run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from scalefit.training import checkpoint
from scalefit.training.config import RunConfig
from scalefit.training.data.corpus import Corpus, open_corpus
from scalefit.training.distributed import World, best_device
from scalefit.training.evaluation import evaluate
from scalefit.training.models.build import build_model
from scalefit.training.remote import open_store
from scalefit.training.store import Store, StoreError


@dataclass(frozen=True)
class TrainedModel:
    """The model of a finished run, in evaluation mode, with its corpus."""

    config: RunConfig
    model: nn.Module
    corpus: Corpus

    def loss(self, split: str = "val", tokens: int = 0) -> tuple[float, float]:
        """Return loss and standard error of the first member on a split [nat/token]; `tokens` 0 scores all of it."""
        length = self.corpus.row_length(self.config.model.T_max)
        batch = self.config.runtime.micro_batch or self.config.optimizer.batch_size
        alone = World(0, 1, next(self.model.parameters()).device)
        mean, error = evaluate(self.model, self.corpus, length, batch, tokens, alone, split)
        return float(mean[0]), float(error[0])


def load_trained(config: RunConfig, store: str | Path | Store) -> TrainedModel:
    """Load the model of a finished run on the run's device; it must have been trained with ``runtime.keep_weights``.

    Raises
    ------
    StoreError
        The run has no weights in this store, or the file is damaged.
    """
    place = open_store(store)
    corpus = open_corpus(config.corpus, place.root / "corpora")
    run_id = config.run_id(corpus.sha)
    folder = place.folder(run_id)
    place.fetch(f"runs/{run_id}/weights.safetensors")
    found = checkpoint.read(folder.weights_path, run_id)
    if found is None:
        raise StoreError(
            f"{folder.path} holds no weights",
            "nothing was loaded",
            "Train with runtime.keep_weights = true; a run that finished without keeps none, so delete its folder "
            "or use another store",
        )
    model = build_model(config.model, corpus.vocab_size, [seed for _, seed in config.members]).module
    model.load_state_dict(found[0], strict=False)
    return TrainedModel(config, model.to(best_device(config.runtime.device)).eval(), corpus)
