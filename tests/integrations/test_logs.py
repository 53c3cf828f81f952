"""Readers of the logs that people have."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
from scalefit.integrations.log_plans import plan_from_log
from scalefit.integrations.logs import COLUMNS, read_log, replay

LOGS = {
    "trainer_state.json": json.dumps(
        {
            "global_step": 20,
            "log_history": [
                {"step": 10, "loss": 3.5, "learning_rate": 1e-3, "grad_norm": 0.8, "epoch": 0.1},
                {"step": 10, "eval_loss": 3.4, "eval_runtime": 1.0},
                {"step": 20, "loss": 3.0, "learning_rate": 5e-4, "grad_norm": 0.7},
                {"step": 20, "eval_loss": 2.9},
                {"step": 20, "train_runtime": 2.0, "train_loss": 3.25, "total_flos": 1.0},
            ],
        }
    ),
    "ours.csv": "step,train_loss,val_loss,lr,grad_norm\n10,3.5,3.4,1e-3,0.8\n20,3.0,2.9,5e-4,0.7\n",
    "long.csv": "step,split,loss,lr,grad_norm\n10,val,3.4,,\n10,train,3.5,1e-3,0.8\n"
    "20,val,2.9,,\n20,train,3.0,5e-4,.7\n",
    "wandb_export.csv": '"Step","run-1 - eval/loss","run-1 - eval/loss__MIN","run-1 - train/loss","run-1 - train/lr",'
    '"run-1 - train/grad_norm"\n"10","3.4","3.4","3.5","1e-3","0.8"\n"20","2.9","2.9","3.0","5e-4","0.7"\n',
    "wandb_history.csv": "_step,train/loss,val/loss,train/learning_rate,train/grad_norm\n"
    "10,3.5,3.4,1e-3,0.8\n20,3.0,2.9,5e-4,0.7\n",
    "metrics.csv": "epoch,step,train_loss_step,val_loss,lr-AdamW,grad_norm\n0,10,3.5,,1e-3,0.8\n0,10,,3.4,,\n"
    "0,20,3.0,,5e-4,0.7\n0,20,,2.9,,\n",
    "run.jsonl": '{"step": 10, "loss": 3.5, "val_loss": 3.4, "lr": 1e-3, "grad_norm": 0.8}\n'
    '{"step": 20, "loss": 3.0, "val_loss": 2.9, "lr": 5e-4, "grad_norm": 0.7}\n',
    "main.log": "s:10 tel:3.4\ns:10 trl:3.5 lr:1e-3 norm:0.8\ns:10 eval:0.29\n"
    "s:20 tel:2.9\ns:20 trl:3.0 lr:5e-4 norm:0.7\n",
    "nanogpt.txt": "number of parameters: 10.65M\nstep 10: train loss 3.5, val loss 3.4\niter 10: loss 3.6, time 12ms\n"
    "step 20: train loss 3.0, val loss 2.9\n",
    "modded.txt": "import torch\nclass GPT:\n    pass\n====\nstep:10/100 val_loss:3.4000 train_time:5ms step_avg:1ms\n"
    "step:10/100 train_loss:3.5000 train_time:5ms\n"
    "step:20/100 val_loss:2.9 train_time:9ms\nstep:20/100 train_loss:3.0\n",
}


@pytest.mark.parametrize("name", LOGS)
def test_every_log_gives_the_same_curve(tmp_path, name):
    path = tmp_path / name
    path.write_text(LOGS[name])
    table = read_log(path)
    assert list(table.columns) == ["step", *COLUMNS]
    assert table.step.tolist() == [10, 20] and table.val_loss.tolist() == [3.4, 2.9]
    if name != "nanogpt.txt":
        assert table.train_loss.tolist() == [3.5, 3.0]
    if name not in ("nanogpt.txt", "modded.txt"):
        assert table.lr.tolist() == [1e-3, 5e-4] and table.grad_norm.tolist() == [0.8, 0.7]


def test_tensorboard_event_files(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    for step, train, val in ((10, 3.5, 3.4), (20, 3.0, 2.9)):
        for tag, value in (("train/loss", train), ("eval/loss", val), ("train/learning_rate", 1e-3)):
            writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])))
    writer.close()
    for source in (tmp_path, next(tmp_path.iterdir())):
        table = read_log(source)
        np.testing.assert_allclose(
            table[["step", "val_loss", "train_loss"]], [[10, 3.4, 3.5], [20, 2.9, 3.0]], rtol=1e-6
        )


def test_a_resumed_run_in_event_files_is_read_to_its_end(tmp_path):
    """As a trainer killed at step 40 and resumed at 20 leaves it: each quantity goes back once, not the file."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    clock = 1e9
    for suffix, steps, off in ((".a", (10, 20, 30, 40), 0.0), (".b", (20, 30, 40, 50), 0.5)):
        writer = EventFileWriter(str(tmp_path), filename_suffix=suffix)
        for step in steps:
            for tag, value in (("train/loss", 3.5), ("val/loss", 3.6)):
                clock += 1
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value - off - step / 100)])
                writer.add_event(Event(step=step, wall_time=clock, summary=summary))
        writer.close()
    table = read_log(tmp_path)
    assert table.step.tolist() == [10, 20, 30, 40, 50]
    np.testing.assert_allclose(table.val_loss, [3.5, 2.9, 2.8, 2.7, 2.6], rtol=1e-6)
    np.testing.assert_allclose(table.train_loss, [3.4, 2.8, 2.7, 2.6, 2.5], rtol=1e-6)


def test_names_of_ones_own(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,quality,c4_score\n10,30,3.4\n20,20,2.9\n")
    assert read_log(path, val="c4_score").val_loss.tolist() == [3.4, 2.9]
    with pytest.raises(DataError, match=r"holds no loss.* Columns: step, quality, c4_score"):
        read_log(path)
    with pytest.raises(DataError, match=r"no column 'nll' among step, quality, c4_score"):
        read_log(path, val="nll")


def test_a_resumed_log_drops_the_abandoned_branch(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,val_loss\n10,3.4\n20,2.9\n30,2.5\n40,2.7\n20,3.3\n35,2.8\n")
    table = read_log(path)
    assert table.step.tolist() == [10, 20, 35] and table.val_loss.tolist() == [3.4, 3.3, 2.8]
    assert "dropped" in table.attrs["notes"][0]
    path.write_text("step,train_loss,val_loss\n10,3.4,\n20,2.9,\n30,2.8,\n20,,2.7\n40,2.7,\n")
    assert read_log(path).train_loss.count() == 4  # an evaluation that came in late is not a resume
    path.write_text("step,val_loss\n10,3.4\n20,2.9\n30,2.5\n10,3.6\n20,3.0\n")
    with pytest.raises(DataError, match="two runs"):
        read_log(path)


def test_a_growing_file_has_no_half_line(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,val_loss\n10,3.4\n20,2.9\n30,2.")
    assert read_log(path, growing=True).step.tolist() == [10, 20]
    assert read_log(path).step.tolist() == [10, 20, 30]


@pytest.mark.parametrize("text", ["step,val_loss\n10,3.4\n20,nan\n", "s:10 tel:3.4\ns:20 tel:nan\n"])
def test_a_run_that_ends_in_nan_is_not_taken_for_a_gap(tmp_path, text):
    path = tmp_path / "run.log"
    path.write_text(text)
    table = read_log(path)
    assert np.isinf(table.val_loss.iloc[-1])
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.constant(100)))
    replay(monitor, table)
    assert monitor.advise().state == "lost"


def test_a_gap_written_as_nan_is_a_gap(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,train_loss,val_loss\n10,3.5,nan\n20,3.4,3.3\n")
    assert np.isnan(read_log(path).val_loss.iloc[0])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.csv", b"a,b\n1,2\n", "no step column among a, b"),
        ("run.csv", b"", "The log is empty"),
        ("run.csv", b"\xff\xfe\x00", "not a text log"),
        ("trainer_state.json", b'{"log_history": 3}', "not a trainer_state"),
        ("two.csv", b'"Step","a - val/loss","b - val/loss"\n1,2,3\n', "Several runs"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_log(path)


def test_bad_requests(tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_log(tmp_path / "nothing.csv")
    path = tmp_path / "run.csv"
    path.write_text("step,val_loss\n1,2\n")
    with pytest.raises(ArgumentError, match="Known: csv"):
        read_log(path, "excel")


def test_real_logs(external_data):
    folder = external_data / "curves_gpt2_fineweb"
    table = read_log(folder / "llmc_124M_first_6000_steps.csv")
    assert table.val_loss.notna().sum() >= 20 and table.train_loss.notna().sum() > 5000
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(19_560, warmup=700, final=0.0)))
    replay(monitor, table)
    final = monitor.advise().final
    assert final.lower < 3.2722 < final.upper  # the whole run's last validation loss, from its public log


def test_a_trainer_state_of_a_run_that_just_began_is_one_clear_line(tmp_path):
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 0, "log_history": []}))
    with pytest.raises(DataError, match="holds no loss"):
        read_log(path)


def test_a_log_of_tokens_needs_the_batch_size(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("tokens,val_loss\n1000,3.0\n2000,2.9\n")
    assert read_log(path, tokens_per_step=100)["step"].tolist() == [10.0, 20.0]
    with pytest.raises(DataError, match="Put tokens_per_step in the plan"):
        read_log(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,val_loss\n1,3\n", "no step column among time, val_loss"),
        ("step,eval/a_loss,eval/b_loss\n1,3,4\n", "eval/a_loss, eval/b_loss.*val="),
        ('"Step","a - val/loss","b - val/loss"\n1,3,4\n', "a - val/loss, b - val/loss"),
    ],
)
def test_what_a_log_lacks_is_named(tmp_path, text, said):
    path = tmp_path / "run.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_log(path)


def test_a_section_before_the_name(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,Metrics/loss,Metrics/val_loss,optim/lr\n10,3.5,3.4,1e-3\n20,3.0,2.9,5e-4\n")
    table = read_log(path)
    assert table["train_loss"].tolist() == [3.5, 3.0] and table["val_loss"].tolist() == [3.4, 2.9]
    path.write_text("step,eval/c4/val_loss,eval/pile/val_loss\n10,3.5,3.4\n20,3.0,2.9\n")
    with pytest.raises(DataError, match="eval/c4/val_loss, eval/pile/val_loss"):
        read_log(path)


SAMPLES = {  # steps from, to, rows; what is read; a word of the notes
    "acc_high.csv": (500, 10_000, 39, "val", ""), "axolotl.jsonl": (1 / 300, 3.303, 100, "train", "epochs"),
    "bits.csv": (500, 10_000, 39, "val", ""), "bpb.csv": (500, 10_000, 39, "val", "bit/byte"),
    "comma_decimal.csv": (500, 10_000, 39, "val", ""), "epoch_only.csv": (1, 10, 10, "both", "epochs"),
    "fairseq.log": (100, 10_000, 100, "train", "ln 2"), "few.csv": (2000, 8000, 3, "val", ""),
    "hfjsonl.jsonl": (500, 10_000, 39, "train", ""), "hfstdout.log": (0.5, 10, 39, "train", "epochs"),
    "inf.csv": (500, 10_000, 39, "val", ""), "keras.csv": (1, 20, 20, "both", "counted from 1"),
    "listlog.json": (100, 10_000, 100, "both", ""), "litgpt.csv": (100, 10_000, 100, "both", ""),
    "megatron.log": (100, 10_000, 100, "train", ""), "nan_end.csv": (500, 10_000, 39, "both", ""),
    "nan_mid.csv": (500, 10_000, 39, "both", ""), "nan_upper.csv": (500, 10_000, 39, "val", ""),
    "nanochat.log": (100, 10_000, 100, "val", "bit/byte"), "nanogpt_ddp.log": (500, 10_000, 39, "both", ""),
    "none.csv": (500, 10_000, 39, "val", ""), "olmocore.csv": (100, 10_000, 100, "both", ""),
    "overfit_finetune.csv": (500, 5000, 10, "both", ""), "ppl.csv": (500, 10_000, 39, "both", ""),
    "ppl_low.csv": (500, 10_000, 39, "val", ""), "ppl_named.csv": (500, 10_000, 39, "val", "logarithm"),
    "restart_resume.csv": (500, 10_000, 39, "both", "dropped"), "resume.csv": (500, 7000, 27, "val", "dropped"),
    "semicolon.csv": (500, 10_000, 39, "val", ""), "thousands.csv": (500, 10_000, 39, "val", ""),
    "torchtitan.log": (10, 9910, 100, "train", ""), "trl.json": (100, 10_000, 100, "train", ""),
    "v.csv": (1000, 2000, 2, "val", ""), "v2.csv": (1000, 2000, 2, "val", ""),
    "wandb_one.csv": (500, 10_000, 39, "val", ""),
}  # fmt: skip
REFUSED = {"concat_header.csv": "two runs", "concat_same.csv": "two runs",
           "two_val.csv": "eval/wiki_loss, eval/c4_loss",
           "wandb_runtime.csv": "no step column among Relative Time"}  # fmt: skip


@pytest.fixture
def samples():
    folder = Path(os.environ.get("SCALEFIT_DATA_DIR", "")) / "log_samples"
    if not folder.is_dir():
        pytest.skip("third-party logs: set SCALEFIT_DATA_DIR to the folder that holds log_samples")
    return folder


@pytest.mark.parametrize("name", SAMPLES)
def test_logs_of_many_tools_are_read_right(samples, name):
    first, last, rows, losses, note = SAMPLES[name]
    table = read_log(samples / name)
    assert (table.step.min(), table.step.max()) == pytest.approx((first, last), rel=1e-3) and len(table) == rows
    assert (table.val_loss.count() > 0, table.train_loss.count() > 0) == (losses != "train", losses != "val")
    assert note in " ".join(table.attrs["notes"]) and bool(note) == bool(table.attrs["notes"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_apart_is_refused_with_its_columns(samples, name):
    with pytest.raises(DataError, match=REFUSED[name]):
        read_log(samples / name)


def test_every_sample_is_accounted_for(samples):
    assert {path.name for path in samples.iterdir() if path.suffix != ".toml"} == {*SAMPLES, *REFUSED}


def test_tools_without_a_sample(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("0 val 10.9\n0 train 10.95\n1 train 10.1\n250 val 5.9\n250 hella 0.25\n250 train 5.8\n")
    assert read_log(path).val_loss.dropna().tolist() == [10.9, 5.9]
    path = tmp_path / "trainer_log.jsonl"
    path.write_text('{"current_steps": 10, "total_steps": 40, "loss": 2.5, "lr": 1e-4, "epoch": 0.5}\n'
                    '{"current_steps": 20, "total_steps": 40, "eval_loss": 2.4, "epoch": 1.0}\n')  # fmt: skip
    table = read_log(path)
    assert table.step.tolist() == [10, 20] and table.attrs["total_steps"] == 40
    path = tmp_path / "modded.txt"
    path.write_text("import torch\n" * 3000 + "step:10/100 val_loss:3.4 train_time:5ms\nstep:20/100 val_loss:2.9\n")
    assert read_log(path).val_loss.tolist() == [3.4, 2.9]
    folder = tmp_path / "out" / "checkpoint-20"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(LOGS["trainer_state.json"])
    assert read_log(tmp_path / "out").step.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: sf.Schedule.linear(1000, warmup=100), "linear"),
        (lambda: sf.Schedule.cosine(1000, warmup=100, final=0.0), "cosine"),
        (lambda: sf.Schedule.constant(1000, warmup=100), "constant"),
    ],
)
@pytest.mark.parametrize("total_known", [True, False])
def test_a_plan_comes_from_the_log_alone(make, kind, total_known):
    schedule = make()
    steps = np.arange(20.0, 701, 20)
    table = pd.DataFrame({"step": steps, "lr": 3e-4 * schedule.lr(steps), "val_loss": 3.0, "train_loss": 3.0})
    table.attrs = {"counts": "steps"} | ({"total_steps": 1000.0, "epochs": 3.0} if total_known else {})
    plan, notes = plan_from_log(table)
    assert plan.schedule.kind == kind and plan.schedule.warmup == pytest.approx(100, rel=0.01)
    if total_known or kind != "constant":
        assert plan.steps == pytest.approx(1000, rel=0.05)
    else:
        assert plan.steps == 1400 and "twice the steps" in notes[0].message
    assert plan.peak_lr == pytest.approx(3e-4, rel=1e-3) and plan.epochs == (3 if total_known else None)


def test_a_copied_output_folder_is_read_to_its_end(tmp_path):
    """A copy has times in no order; a run that began anew in the same folder has its own."""

    def state(step, shift=0.0):
        history = [{"step": s, "eval_loss": 4 - s / 1000 + shift} for s in range(100, step + 1, 100)]
        path = tmp_path / f"checkpoint-{step}" / "trainer_state.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"max_steps": 1000, "log_history": history}))
        return path

    old, new = state(300), state(1000)
    os.utime(new, (1, 1))
    assert read_log(tmp_path).step.max() == 1000
    os.utime(old, (2, 2))
    state(500, shift=0.5)
    assert read_log(tmp_path).step.max() == 500
