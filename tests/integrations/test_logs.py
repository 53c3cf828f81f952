"""Readers of the logs that people have."""

import json

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
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


def test_names_of_ones_own(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,perplexity,c4_nll\n10,30,3.4\n20,20,2.9\n")
    assert read_log(path, val="c4_nll").val_loss.tolist() == [3.4, 2.9]
    with pytest.raises(DataError, match="holds no loss"):
        read_log(path)
    with pytest.raises(DataError, match=r"no column 'nll'; there are step, perplexity, c4_nll"):
        read_log(path, val="nll")


def test_a_resumed_log_keeps_the_last_values(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,val_loss\n10,3.4\n20,2.9\n10,3.3\n30,2.8\n")
    table = read_log(path)
    assert table.step.tolist() == [10, 20, 30] and table.val_loss.tolist() == [3.3, 2.9, 2.8]


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
    ("text", "said"), [("epoch,val_loss\n1,3\n", "no step column"), ("step,ppl\n1,20\n", "logarithm")]
)
def test_what_a_log_lacks_is_said(tmp_path, text, said):
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
    with pytest.raises(DataError, match="no loss"):  # two candidates are none
        read_log(path)
