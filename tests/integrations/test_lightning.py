"""The Lightning callback: rank-agreed, not latched, restored with the plan given in code."""

from types import SimpleNamespace

import pytest

import scalefit as sf

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("lightning", reason="lightning is not installed")

from scalefit.integrations.lightning import AdviceCallback  # noqa: E402

PLAN = sf.RunPlan(schedule=sf.Schedule.constant(1000, warmup=20), tokens_per_step=1000, unique_tokens=1e4)


class Strategy:
    """Two ranks seen from one of them: rank zero's word counts."""

    def __init__(self, rank_zero_says=None):
        self.rank_zero_says, self.calls = rank_zero_says, 0

    def broadcast(self, value, source=0):
        self.calls += 1
        return value if self.rank_zero_says is None else self.rank_zero_says


def trainer(strategy=None):
    optimizer = SimpleNamespace(param_groups=[{"lr": 1e-3}])
    return SimpleNamespace(
        global_step=0,
        callback_metrics={},
        sanity_checking=False,
        should_stop=False,
        state=SimpleNamespace(fn="fit"),
        is_global_zero=True,
        strategy=strategy or Strategy(),
        optimizers=[optimizer],
    )


def play(callback, losses, where):
    for i, (train, val) in enumerate(losses):
        where.global_step = 40 * (i + 1)
        callback.on_train_batch_end(where, None, {"loss": train}, None, i)
        where.callback_metrics = {"val_loss": val}
        callback.on_validation_end(where, None)
    return where


LOSSES = [(3.0 - 0.1 * i, 3.0 - 0.1 * min(i, 8) + 0.05 * max(i - 8, 0)) for i in range(20)]


def test_dry_run_stops_nothing():
    callback = AdviceCallback(PLAN, train_every=1)
    assert not play(callback, LOSSES, trainer()).should_stop
    assert callback.advice.action == "stop"


def test_the_request_to_stop_is_taken_back_when_the_advice_clears():
    """Lightning's own flag, once set, stays set; ours follows the curve."""
    callback = AdviceCallback(PLAN, dry_run=False, train_every=1)
    where = play(callback, LOSSES, trainer())
    assert where.should_stop
    where.global_step = 840
    for value in (2.1, 2.0, 1.95, 1.9):  # a second descent
        where.global_step += 40
        where.callback_metrics = {"val_loss": value}
        callback.on_validation_end(where, None)
    assert callback.advice.action == "continue" and not where.should_stop
    where.should_stop = True  # somebody else's request is left alone
    where.global_step += 40
    where.callback_metrics = {"val_loss": 1.85}
    callback.on_validation_end(where, None)
    assert where.should_stop


def test_failure_17_ranks_agree_on_rank_zeros_decision():
    lonely = AdviceCallback(PLAN, dry_run=False, train_every=1)
    told_to_go_on = play(lonely, LOSSES, trainer(Strategy(rank_zero_says=False)))
    assert lonely.advice.action == "stop" and not told_to_go_on.should_stop
    healthy = AdviceCallback(PLAN, dry_run=False, train_every=1)
    told_to_stop = play(healthy, LOSSES[:8], trainer(Strategy(rank_zero_says=True)))
    assert healthy.advice.action == "continue" and told_to_stop.should_stop
    assert told_to_stop.strategy.calls == 8  # asked at every evaluation, also when this rank sees no trouble


def test_a_rank_without_the_metric_still_takes_part():
    strategy = Strategy(rank_zero_says=True)
    where = trainer(strategy)
    where.global_step = 40
    AdviceCallback(PLAN, dry_run=False).on_validation_end(where, None)
    assert strategy.calls == 1 and where.should_stop


def test_sanity_checks_are_not_evaluations():
    callback, where = AdviceCallback(PLAN), trainer()
    where.sanity_checking = True
    where.callback_metrics = {"val_loss": 9.0}
    callback.on_validation_end(where, None)
    assert callback.advice is None


def test_state_travels_and_settings_stay_in_code():
    first = AdviceCallback(PLAN, min_gain=0.5, train_every=1)
    play(first, LOSSES[:10], trainer())
    second = AdviceCallback(PLAN, min_gain=0.01, dry_run=False)
    second.load_state_dict(first.state_dict())
    where = trainer()
    where.global_step = 200
    second.on_train_start(where, None)
    assert second.monitor.last_step == 200 and second.monitor.min_gain == 0.01 and not second.dry_run


@pytest.mark.filterwarnings("ignore")  # Lightning warns about workers, loggers and its own deprecations
def test_under_the_real_trainer(tmp_path):
    import lightning.pytorch as pl
    import torch

    class Line(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def loss(self, batch):
            return torch.nn.functional.mse_loss(self.layer(batch), batch.sum(dim=1, keepdim=True))

        def training_step(self, batch, index):
            return self.loss(batch)

        def validation_step(self, batch, index):
            self.log("val_loss", self.loss(batch))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    torch.manual_seed(0)
    data = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
    seen = []
    callback = AdviceCallback(
        sf.RunPlan(schedule=sf.Schedule.constant(80)), train_every=2, on_advice=seen.append, dry_run=False
    )
    runner = pl.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], default_root_dir=tmp_path,
    )  # fmt: skip
    runner.fit(Line(), data, data)
    assert len(seen) == 10 and seen[-1].step == 80 and seen[-1].final is not None
    assert len(callback.monitor.curve("train")[0]) == 40
    path = tmp_path / "last.ckpt"
    runner.save_checkpoint(path)
    state = torch.load(path, weights_only=True)["callbacks"]
    assert any("AdviceCallback" in name for name in state)


@pytest.mark.filterwarnings("ignore")
def test_accumulated_losses_are_logged_whole(tmp_path):
    """Lightning hands callbacks the loss divided by the batches of a step."""
    import lightning.pytorch as pl
    import torch

    class Still(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, index):
            return (3.0 * self.weight).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    callback = AdviceCallback(sf.RunPlan(schedule=sf.Schedule.constant(80)), train_every=1)
    runner = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], default_root_dir=tmp_path, accumulate_grad_batches=4,
    )  # fmt: skip
    runner.fit(Still(), torch.utils.data.DataLoader(torch.zeros(64, 1), batch_size=8))
    assert callback.monitor.curve("train")[1] == pytest.approx([3.0] * len(callback.monitor.curve("train")[1]))
    assert len(callback.monitor.curve("train")[1]) >= 2
