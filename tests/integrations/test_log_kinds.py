"""Logs of further kinds, as tools print them: each holds the same curve, and none is read wrongly without a word."""

import gzip
import json
import math
import re

import pytest

from scalefit.errors import DataError
from scalefit.integrations._log_pairs import read_pairs
from scalefit.integrations.logs import read_log

STEPS = list(range(100, 1001, 100))


def train(step):
    return round(2 + 10 * step**-0.5, 4)


def val(step):
    return round(train(step) + 0.05, 4)


def each(line, every=1):
    """One line for each step; {e} is its epoch, counted from 1."""
    rows = enumerate(STEPS, 1)
    return "".join(
        line.format(
            s=s,
            e=e,
            t=train(s),
            v=val(s),
            m=2 * train(s) - 1,
            f=s / 500,
            tb=train(s) / math.log(2),
            vb=val(s) / math.log(2),
        )
        for e, s in rows
        if e % every == 0
    )


BOTH = {
    "card.md": "| Training Loss | Epoch | Step | Validation Loss |\n|:---:|:---:|:---:|:---:|\n"
    + each("| {t} | {f} | {s} | {v} |\n"),
    "notebook.tsv": "Step\tTraining Loss\tValidation Loss\n" + each("{s}\t{t}\t{v}\n"),
    "spaces.txt": "step train_loss val_loss\n" + each("{s} {t} {v}\n"),
    "header_again.md": ("| Step | Training Loss | Validation Loss |\n|---|---|---|\n"
                        + each("| {s} | {t} | {v} |\n| Step | Training Loss | Validation Loss |\n|---|---|---|\n")),
    "header_again.txt": "step  train_loss val_loss\n" + each("{s} {t} {v}\nstep train_loss  val_loss\n"),
    "header_again.csv": each("step,train_loss,val_loss\n{s},{t},{v}\n"),
    "comments.csv": "# run 17\n# lr 3e-4\nstep,train_loss,val_loss\n" + each("{s},{t},{v}\n"),
    "short_names.csv": "iter,train,val\n" + each("{s},{t},{v}\n"),
    "dev.csv": "Training Step,Dev Loss,Loss\n" + each("{s},{v},{t}\n"),
    "long_metric.csv": "step,metric,value\n" + each("{s},train/loss,{t}\n{s},eval/loss,{v}\n"),
    "columns.json": json.dumps({"step": STEPS, "loss": list(map(train, STEPS)), "val_loss": list(map(val, STEPS))}),
    "history.json": json.dumps(
        {"run": "a", "history": [{"step": s, "train_loss": train(s), "val_loss": val(s)} for s in STEPS]}, indent=1
    ),
    "nested.jsonl": "".join(
        json.dumps({"step": s, "metrics": {"train/loss": train(s), "eval/loss": val(s)}}) + "\n" for s in STEPS
    ),
    "cut_off.jsonl": each('{{"step": {s}, "loss": {t}, "eval_loss": {v}}}\n') + '{"step": 1100, "lo',
    "settings_first.jsonl": '{"type": "config", "lr": 0.0003}\n' + each('{{"step": {s}, "loss": {t}}}\n'
                                                                       '{{"step": {s}, "val_loss": {v}}}\n'),
    "neox.log": each(
        " samples/sec: 10.1 | iteration {s:8d}/ 2000 | elapsed time per iteration (ms): 466.0 | learning rate: 1.5E-04 "
        "| approx flops per GPU: 1TFLOPS | lm_loss: {t:.6E} | loss scale: 1.0 | number of skipped iterations:   0 |\n"
        " validation results at iteration {s} | lm_loss value: {v:.6E} | lm_loss_ppl value: 3.1E+01 |\n"
    ),
    "fairseq_simple.log": each(
        "2021-01-01 00:00:00 | INFO | train_inner | epoch 001:  {s} / 3000 loss={tb}, ppl=100.1, wps=3000, ups=2, "
        "wpb=2000, bsz=64, num_updates={s}, lr=0.0005, gnorm=1.2\n"
        "2021-01-01 00:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss {vb} | ppl 90 | wps 1 | "
        "num_updates {s} | best_loss 5\n"
    ),
    "litgpt.log": each("Epoch 1 | iter 4{s} step {s} | loss train: {t}, val: {v} | iter time: 300.00 ms (step)\n"),
    "logger.log": each("2024-01-01 00:00:00,123 INFO step {s}: train loss {t}, val loss {v}\n"),
    "equals.log": each("INFO:root:step={s} loss={t} lr=3e-4 val_loss={v}\n"),
    "colons.log": each("[2024-01-01] step: {s} | train_loss: {t} | val_loss: {v} | lr: 3.0e-04\n"),
    "blocks.log": each(
        "2024-01-01 INFO [olmo.train:500, rank=0] [step={s}/2000]\n    train/CrossEntropyLoss={t}\n"
        "    train/Perplexity=20.1\n    optim/learning_rate_group0=0.0003\n    eval/c4_en-validation/CE loss={v}\n"
    ),
    "epochs_end.log": each("Epoch {e}\nstep {s} loss: {t}\nEpoch {e} finished: train_loss: 9.9 val_loss: {v}\n"),
    "told.log": each("step {s} loss: {t}\nValidation at step {s}: loss: {v}\n"),
    "page.md": "# A model\n\n- Loss: 2.9\n- Accuracy: 0.8\n\n### Results\n\n"
    "| Training Loss | Step | Validation Loss |\n|:---:|:---:|:---:|\n"
    + each("| {t} | {s} | {v} |\n") + "\n### Versions\n- Transformers 4.40\n",
    "wide_spaces.txt": " Step  Training Loss  Validation Loss\n" + each("{s:5d}  {t}  {v}\n"),
    "pandas.json": json.dumps({
        name: {str(i): f(s) for i, s in enumerate(STEPS)}
        for name, f in (("step", int), ("loss", train), ("val_loss", val))
    }),
    "calls.csv": "_step,train/loss,eval/loss,train/global_step\n" + each("{e},{t},{v},{s}\n"),  # W&B counts its calls
    "two_counters.jsonl": each('{{"_step": {s}, "train/loss": {t}, "global_step": {s}}}\n'
                               '{{"_step": {s}, "eval/loss": {v}}}\n'),
    "no_step_of_its_own.jsonl": each('{{"step": {s}, "loss": {t}}}\n{{"eval_loss": {v}}}\n'),
    "swift.jsonl": each('{{"loss": {t}, "epoch": {f}, "global_step/max_steps": "{s}/2000"}}\n'
                        '{{"eval_loss": {v}, "epoch": {f}, "global_step/max_steps": "{s}/2000"}}\n'),
    "swift.log": each("{{'loss': {t}, 'epoch': {f}, 'global_step/max_steps': '{s}/2000'}}\n"
                      "{{'eval_loss': {v}, 'epoch': {f}, 'global_step/max_steps': '{s}/2000'}}\n"),
    "dicts.log": each("{{'step': {s}, 'train_loss': {t}}}\n{{'step': {s}, 'val_loss': {v}}}\n"),
    "json_after_text.log": each('INFO:root:{{"step": {s}, "train_loss": {t}}}\n'
                                'INFO:root:{{"step": {s}, "val_loss": {v}}}\n'),
    "bare.log": each("step {s:5d}/2000 | loss {t} (+0.1z)| norm 0.31 | lr 6.00e-04\nval loss {v}\n"),
    "tags.log": each("[train] step {s} | loss {t}\n[val] step {s} | loss {v}\n"),
    "words.log": each("step {s} | train {t}\nstep {s} | val {v}\n"),
    "nemo.log": each("Training epoch 0, iteration {e}/3999 | lr: 0.0003 | global_step: {s} | reduced_train_loss: {t}\n"
                     "Validation: iteration 1/10\n"
                     "Training epoch 0, iteration {e}/3999 | global_step: {s} | val_loss: {v}\n"),
    "olmo_core.log": each("[step={s}/4000,epoch=1]\n    train/CE loss={t}\n    train/Z loss=0.0012\n"
                          "[eval=lm,eval_step=10/100]\n    c4_en-validation/CE loss={v}\n"),
    "iterations.log": each("Epoch 1 | iter 4{s} step {s} | loss train: {t}, val: n/a\niter 4{s}: val loss {v}\n"),
    "phases.csv": "step,phase,loss\n" + each("{s},train,{t}\n{s},val,{v}\n"),
    "modes.jsonl": each('{{"mode": "train", "iter": {s}, "loss": {t}}}\n{{"mode": "val", "iter": {s}, "loss": {v}}}\n'),
    "splits.csv": "step,split,loss\n" + each("{s},train,{t}\n{s},val,{v}\n{s},test,9.9\n"),
    "metric_name.csv": "metricName,step,value\n" + each("val_loss,{s},{v}\ntrain_loss,{s},{t}\n"),
    "empty_column.csv": "step,train_loss,train_loss_step,val_loss\n" + each("{s},,{t},\n{s},,,{v}\n"),
    "summary_column.csv": "step,train_loss,train/loss,eval/loss\n" + each("{s},,{t},{v}\n") + "1000,2.9,,\n",
    "micro_batches.csv": "iter,step,loss,val_loss\n" + each("4{s},{s},1,\n4{s},{s},{m},{v}\n"),
    "newest_first.csv": "step,train_loss,val_loss\n" + "".join(f"{s},{train(s)},{val(s)}\n" for s in STEPS[::-1]),
    "maxtext_eval.log": each("completed step: {s}, seconds: 1.0, total_weights: 65536, loss: {t}\n"
                             "eval metrics after step: {s}, loss={v}, total_weights=65536.0\n"),
    "apart.log": each("step {s}: train loss {t}\nstep {s}: val loss {v}\n"),
    "own_val_line.log": each("[titan] - INFO - step: {s}  loss: {t}  grad_norm: 1.1\nval_loss: {v} at step: {s}\n"),
    "events.jsonl": each('{{"type": "log", "event": "train", "step": {s}, "loss": {t}}}\n'
                         '{{"type": "log", "event": "eval", "step": {s}, "loss": {v}}}\n'),
    "loguru.log": each("\x1b[32m2026\x1b[0m | __main__:\x1b[36mtrain\x1b[0m:\x1b[36m120\x1b[0m - "
                       "\x1b[1mstep {s}: train/loss={t} val/loss={v}\x1b[0m\n"),
    "tensors.log": each("step={s} loss=tensor({t}, device='cuda:0', grad_fn=<NllLossBackward0>)\n"
                        "step={s} val_loss=tensor([{v}])\n"),
    "docker.jsonl": each('{{"log":"step {s} | train loss {t}, val loss {v}\\n","stream":"stdout"}}\n'),
    "tabulate.txt": "+----+\n| step | train_loss | val_loss |\n+====+===+\n"
    + each("| {s} | {t} | {v} |\n+----+---+\n"),
    "rich.txt": "┏━━┳━━┳━━┓\n┃ step ┃ train_loss ┃ val_loss ┃\n┡━━╇━━╇━━┩\n"
    + each("│ {s} │ {t} │ {v} │\n") + "└──┴──┴──┘\n",
    "cut_inside.jsonl": each('{{"step": {s}, "loss": {t}, "val_loss": {v}}}\n') + '{"step": 1000, "lo\n'
    + '{"step": 1000, "loss": ' + str(train(1000)) + "}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BOTH)
def test_both_losses_are_read(tmp_path, name):
    path = tmp_path / name
    path.write_text(BOTH[name])
    table = read_log(path)
    assert table.step.tolist() == STEPS and table.attrs["counts"] == "steps"
    assert table.train_loss.tolist() == pytest.approx([train(s) for s in STEPS], rel=1e-5)
    assert table.val_loss.tolist() == pytest.approx([val(s) for s in STEPS], rel=1e-5)


def test_each_rank_prints_its_own_loss(tmp_path):
    path = tmp_path / "srun.log"
    path.write_text("".join(f"{rank}: step {s} | loss {train(s) + rank / 100:.4f}\n" for s in STEPS for rank in (0, 1)))
    table = read_log(path)
    assert table.train_loss.tolist() == pytest.approx([train(s) + 0.005 for s in STEPS], abs=1e-4)
    assert "averaged" in " ".join(table.attrs["notes"])


def test_a_validation_loss_that_is_printed_again_is_one_evaluation(tmp_path):
    """As litgpt does: the last one stands beside every training loss; taken for new ones they were a plateau."""
    steps = range(100, 2001, 100)
    seen = "n/a"
    lines = []
    for s in steps:
        seen = str(val(s)) if s % 500 == 0 else seen
        lines.append(f"Epoch 1 | iter {4 * s} step {s} | loss train: {train(s)}, val: {seen} | iter time: 300.00 ms\n")
    path = tmp_path / "litgpt.log"
    path.write_text("".join(lines))
    table = read_log(path)
    logged = table[table.val_loss.notna()]
    assert logged.step.tolist() == [500, 1000, 1500, 2000]
    assert logged.val_loss.tolist() == [val(s) for s in logged.step] and len(table) == len(steps)
    assert "repeats the last validation loss" in " ".join(table.attrs["notes"])


@pytest.mark.parametrize(
    "text",
    ["step:{s} - actor/pg_loss:{t} - actor/entropy_loss:0.3\n", "step {s} | policy_loss: {t} | value_loss: 0.3\n",
     "step: {s}, kl_loss: {t}\n"],
)  # fmt: skip
def test_the_objectives_of_reinforcement_learning_are_no_losses_of_a_model(tmp_path, text):
    path = tmp_path / "rl.log"
    path.write_text(each(text))
    with pytest.raises(DataError, match="step"):
        read_log(path)


def test_a_log_with_rewards_is_remarked_on(tmp_path):
    path = tmp_path / "grpo.log"
    path.write_text(each("{{'loss': {t}, 'reward': 0.4, 'reward_std': 0.2, 'epoch': {e}}}\n"))
    assert "rewards" in " ".join(read_log(path).attrs["notes"])
    path.write_text(each("{{'loss': {t}, 'rewards/chosen': 0.4, 'epoch': {e}}}\n"))  # DPO's is a likelihood
    assert "rewards" not in " ".join(read_log(path).attrs["notes"])


TRAIN_ONLY = {
    "torchtune.txt": "Step {s} | loss:{t} lr:2e-05 tokens_per_second_per_gpu:300.0 \n",
    "maxtext.log": "completed step: {s}, seconds: 1.2, TFLOP/s/device: 60.1, total_weights: 4096, loss: {t}\n",
    "deepspeed.log": "[2024-01-01 00:00:00,000] [INFO] [logging.py:96:log_dist] [Rank 0] step={s}, skipped=0, "
    "lr=[0.0003], mom=[(0.9, 0.95)]\nsteps: {s} loss: {t} iter time (s): 0.5 samples/sec: 60\n",
    "olmo_core.log": "2024-01-01\tINFO\t[step={s}/2,000,epoch=1,eta=1h]\n    optim/LR (group 0)=0.0003\n"
    "    train/CE loss={t}\n    train/PPL=30.0\n",
}  # fmt: skip


@pytest.mark.parametrize("rate", ["lr 3e-4", "lr 0.0003", "learning rate 3.0e-04"])
def test_a_rate_needs_no_colon(tmp_path, rate):
    path = tmp_path / "run.log"
    path.write_text(each("step {s} | loss {t} | " + rate + "\n"))
    table = read_log(path)
    assert table.lr.tolist() == [3e-4] * len(STEPS) and table.train_loss.tolist() == [train(s) for s in STEPS]


@pytest.mark.parametrize("name", TRAIN_ONLY)
def test_a_training_loss_alone_is_not_a_validation_loss(tmp_path, name):
    path = tmp_path / name
    path.write_text(each(TRAIN_ONLY[name]))
    table = read_log(path)
    assert table.step.tolist() == STEPS and table.val_loss.isna().all()
    assert table.train_loss.tolist() == [train(s) for s in STEPS]


EPOCHS = {
    "keras.log": "Epoch {e}/20\n100/100 [====] - 2s 20ms/step - loss: {t} - accuracy: 0.5 - val_loss: {v}\n",
    "bar.log": "Epoch {e}: 100%|█████| 100/100 [00:10<00:00, 10it/s, v_num=0, train_loss={t}, val_loss={v}]\n",
    "bars_before.log": "\r {e}%|█  | {s}/2000 [00:10<01:00, 1.2it/s]{{'loss': {t}, 'grad_norm': 1.2, 'epoch': {e}.0}}\n"
    "{{'eval_loss': {v}, 'eval_runtime': 1.0, 'epoch': {e}.0}}\n",
    "prefix.log": "[INFO|trainer.py:2000] 2024-01-01 >> {{'loss': {t}, 'eval_loss': {v}, 'epoch': {e}.0}}\n",
}


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_stand_for_steps(tmp_path, name):
    path = tmp_path / name
    path.write_text(each(EPOCHS[name]))
    table = read_log(path)
    assert table.attrs["counts"] == "epochs" and table.step.tolist() == list(range(1, 11))
    assert table.train_loss.tolist() == [train(s) for s in STEPS] and table.val_loss.tolist() == list(map(val, STEPS))


@pytest.mark.parametrize("sign", [",", " ", "_", "'", "\u202f"])
def test_thousands_are_read_whatever_sets_them_apart(tmp_path, sign):
    path = tmp_path / "run.csv"
    path.write_text("step;val_loss\n999;3.5\n" + f"1{sign}000;3.4\n12{sign}500;3.3\n")
    assert read_log(path).step.tolist() == [999, 1000, 12_500]


def test_decimal_commas_have_thousands_with_points(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step;val_loss\n999;3,51\n1.000;3,42\n12.500;3,3\n")
    table = read_log(path)
    assert table.step.tolist() == [999, 1000, 12_500] and table.val_loss.tolist() == [3.51, 3.42, 3.3]


THOUSANDS = [
    ("step;val_loss\n100;3,449\n200;3,432\n1.000;3,421\n", [100, 200, 1000], [3.449, 3.432, 3.421]),
    ("step;val_loss\n100;3,449\n200;3,432\n", [100, 200], [3.449, 3.432]),
    ("step;val_loss;lr\n100;3.449;0,0009\n200;3.432;0,0008\n", [100, 200], [3.449, 3.432]),
    ("step;val_loss\n1.000;3,44\n2.000;3,432\n", [1000, 2000], [3.44, 3.432]),
    ("step;val_loss\n1,000;3.449\n2,000;3.432\n", [1000, 2000], [3.449, 3.432]),
    ("step;val_loss\n999;3.51\n1.000;3.42\n", [999, 1000], [3.51, 3.42]),
    ('step,val_loss\n900,"3,449"\n"1,000","3,432"\n', [900, 1000], [3.449, 3.432]),
    ('step,val_loss\n"1,000,000","3,449"\n"1,001,000","3,432"\n', [1e6, 1.001e6], [3.449, 3.432]),
    ("step,val_loss\n1.000,3.449\n2.000,3.432\n", [1, 2], [3.449, 3.432]),
    ("step;val_loss\n1.000;1.234,5\n1.001;3,5\n", [1000, 1001], [1234.5, 3.5]),
    ("step val_loss\n100 3,449\n200 3,432\n", [100, 200], [3.449, 3.432]),
    ("| step | val_loss |\n|--|--|\n| 1.000 | 3,449 |\n| 2.000 | 3,432 |\n", [1000, 2000], [3.449, 3.432]),
    ("step 100, val_loss: 3,449\nstep 200, val_loss: 3,432\n", [100, 200], [3.449, 3.432]),
    ("step 100, val_loss: 1.234,5\nstep 200, val_loss: 934,5\n", [100, 200], [1234.5, 934.5]),
    ("[step: 100] val_loss: 3,449\n[step: 1,000] val_loss: 3,432\n", [100, 1000], [3.449, 3.432]),
]


@pytest.mark.parametrize(("text", "steps", "losses"), THOUSANDS)
def test_thousands_and_decimals_are_told_apart_by_column(tmp_path, text, steps, losses):
    path = tmp_path / "run.csv"
    path.write_text(text)
    table = read_log(path)
    assert table.step.tolist() == steps and table.val_loss.tolist() == losses


def test_a_norm_may_be_in_the_thousands(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step;val_loss;grad_norm\n100;3.449;1,234\n200;3.432;12.3\n")
    assert read_log(path).grad_norm.tolist() == [1234, 12.3]


REFUSED = [
    # Marks that nothing tells apart.
    ("step;val_loss\n100;3,449\n200;3.432\n", "'val_loss' has points and commas"),
    ("step;val_loss\n100;3,44\n200;3.432\n", "'val_loss' has points and commas"),
    ("step;val_loss\n1,000;3,449\n2,000;3,432\n", "'step' has marks that may be decimals"),
    ("step;val_loss\n1;3.44\n1.125;3.43\n", "'step' has marks that may be decimals"),
    ("step;val_loss\n1.000;3.44\n2,000;3.43\n", "'step' has points and commas"),
    ("step 100, val_loss: 3,449\nstep 200, val_loss: 3.432\n", "'val_loss' has points and commas"),
    # What is not a table with steps.
    ("step,val_loss\n0.1k,3.5\n0.2k,3.4\n", "not numbers: 2 of 2"),  # never 39 rows turned into 2
    ("step,val_loss\n100,3.5\nlater,3.4\n", "'later'"),
    ("Wall time,Step,Value\n1.7e9,100,3.5\n", "Columns: Wall time, Step, Value"),
    ("this run went well\n", "no step column among this run went well"),
    # Lines of names and values that are not read: one number is no curve, and steps have no decimals.
    ("this run went well\nbest so far: step 100 loss: 3.2\n", "fewer than two .*: 'best so far: step 100 loss: 3.2'"),
    ("step 100, val_loss: 3,449\n", "fewer than two .*: 'step 100, val_loss: 3,449'"),
    ("step 1.000, val_loss: 3,449\nstep 2.000, val_loss: 3,432\n", "fewer than two .*: 'step 1.000, val_loss: 3,449'"),
    ("step 100, loss 3,449\nstep 200, loss 3,432\n", "Write them as 'step: 1000, val_loss: 3.449'"),
    ("new best loss 3.449 at step 100\nnew best loss 3.432 at step 200\n",
     "Write them as 'step: 1000, val_loss: 3.449'"),
    (each("[batch={s}/2000]:\n\t Train loss/train/total: {t}\n\t Train metrics/LanguageCrossEntropy: {t}\n"),
     "Train loss/train/total, Train metrics/LanguageCrossEntropy"),
    (each("step {s} loss: {t}\n") * 2, "two runs"),
    # Several runs or data sets in one file, whatever the order of their rows.
    ("run,step,val_loss\n" + each("a,{s},{v}\nb,{s},{t}\n"), "run=a - val_loss, run=b - val_loss.*Choose one"),
    ("seed,step,loss\n" + each("0,{s},{v}\n") + each("1,{s},{t}\n"), "seed=0 - loss, seed=1 - loss"),
    ("run,step,val_loss\n" + each("a,{s},{v}\n") + each("b,{e}55,{t}\n"), "run=a - val_loss, run=b - val_loss"),
    ("step,val_loss\n" + each("{s},{v}\n{s},{t}\n"), "10 of 10 steps have several validation losses"),
    ("step,split,loss\n" + each("{s},eval_wiki,{v}\n{s},eval_code,{t}\n"), "eval_wiki/loss, eval_code/loss"),
    ("step,val_loss,val_loss\n" + each("{s},{v},{t}\n"), "val_loss, val_loss.1"),
    ("step,val_loss_1,val_loss_2\n" + each("{s},{v},{t}\n"), "val_loss_1, val_loss_2"),
    ('{"log_history": [{"step": 1, "loss": 3.0}, {"step": 1, "eval_a_loss": 3.1, "eval_b_loss": 2.1}]}',
     "eval_a_loss, eval_b_loss.*Choose one"),
    (each("step {s} train_loss {t}\nstep {s} val_loss/c4 {v} val_loss/wiki {t}\n"), "val_loss/c4, val_loss/wiki"),
    ("step,best_val_loss\n" + each("{s},{v}\n"), "holds no loss"),
    # Progress bars without a step, and steps that begin again in each epoch.
    (each("train: 10%|#| {s}/4000 [01:00<02:00, 1.2it/s, loss={t}]\n"), "fewer than two of its lines"),
    ("epoch,step,loss\n" + each("1,{s},{t}\n") + each("2,{s},{t}\n"), "begin again in each epoch"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_would_be_misread_is_refused(tmp_path, text, words):
    path = tmp_path / "run.log"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_log(path)


def test_a_loss_that_was_chosen_among_runs_is_that_run(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("run,step,val_loss\n" + each("a,{s},{v}\nb,{s},{t}\n"))
    assert read_log(path, val="run=b - val_loss").val_loss.tolist() == list(map(train, STEPS))
    path.write_text(
        "run,step,val_loss\n" + each("a,{s},{v}\n") + "b,950,9.9\nb,1000,3.3\n"
    )  # a resume, under a new name
    assert read_log(path).val_loss.tolist() == [*map(val, STEPS[:-1]), 9.9, 3.3]


def test_nan_in_json_is_no_gap(tmp_path):
    """Python writes a loss of NaN as the word that JSON does not have: the run has diverged."""
    path = tmp_path / "run.jsonl"
    path.write_text(each('{{"step": {s}, "val_loss": {v}}}\n') + '{"step": 1100, "val_loss": NaN}\n')
    assert math.isinf(read_log(path).val_loss.iloc[-1])
    path = tmp_path / "trainer_state.json"
    path.write_text('{"log_history": [{"step": 1, "eval_loss": 3.0}, {"step": 2, "eval_loss": NaN}]}')
    assert math.isinf(read_log(path).val_loss.iloc[-1])


ENCODED = {
    "gzip": lambda text: gzip.compress(text.encode()),
    "utf-16": lambda text: text.encode("utf-16"),  # as PowerShell writes what it redirects
    "marked": lambda text: text.encode("utf-8-sig"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
def test_files_of_other_systems(tmp_path, encoded):
    path = tmp_path / "run.csv"
    path.write_bytes(encoded("step,val_loss\n" + each("{s},{v}\n")))
    assert read_log(path).val_loss.tolist() == list(map(val, STEPS))


def test_a_damaged_archive_is_one_clear_error(tmp_path):
    path = tmp_path / "run.csv.gz"
    path.write_bytes(gzip.compress(("step,val_loss\n" + each("{s},{v}\n")).encode())[:-20])
    with pytest.raises(DataError, match="damaged or cut gzip"):
        read_log(path)


@pytest.mark.parametrize("cut", [4, 8])
def test_a_number_that_was_cut_is_left_out(tmp_path, cut):
    path = tmp_path / "run.csv"
    path.write_text(("step,train_loss,val_loss\n" + each("{s},{t},{v}\n"))[:-cut])
    table = read_log(path)
    assert table.step.tolist() == STEPS[:-1] and "cut off" in table.attrs["notes"][0]
    path.write_text(("step,train_loss,val_loss\n" + each("{s},{t},{v}\n"))[:-1])  # only its end is missing
    assert read_log(path).step.tolist() == STEPS


def test_steps_that_begin_again_in_each_epoch_are_counted_on(tmp_path):
    path = tmp_path / "run.log"
    path.write_text("".join(
        f"Epoch [{e}/4], Step [{s}/1000], Loss: {train(1000 * (e - 1) + s)}\n" for e in (1, 2) for s in STEPS
    ))  # fmt: skip
    table = read_log(path)
    assert table.step.tolist() == [*STEPS, *(1000 + s for s in STEPS)] and table.attrs["total_steps"] == 4000
    assert table.train_loss.tolist() == [train(s) for s in table.step]


def test_the_test_set_is_not_the_validation_set(tmp_path):
    """Megatron evaluates on both at the last step."""
    path = tmp_path / "run.log"
    line = (
        " iteration {s:8d}/ 1000 | lm loss: {t:.6E} |\n validation loss at iteration {s} | lm loss value: {v:.6E} |\n"
    )
    path.write_text(each(line) + " validation loss at iteration 1000 on test set | lm loss value: 9.9E+00 |\n")
    assert read_log(path).val_loss.tolist() == list(map(val, STEPS))


def test_bits_are_told_from_nats(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,Validation loss (bits)\n" + each("{s},{vb}\n"))
    table = read_log(path)
    assert table.val_loss.tolist() == pytest.approx(list(map(val, STEPS))) and "ln 2" in table.attrs["notes"][0]


LEFT_OUT = [
    ("step,train_loss,val_loss\n100,No log,3.5\n200,3.1,bad\n300,3.0,3.3\n", [3.5, 3.3], "numbers.*1 of 3 .'bad'"),
    ("Epoch 0: val_loss: 10.9\n" + each("step {s} loss: {t}\nEpoch {e} val_loss: {v}\n"), list(map(val, STEPS)),
     "before the first step were left out: val_loss"),
    ("| step | val_loss |\n|---|---|\n| 100 | 3.5 |\n| 200 | 3.4 |\n| 300 |\n", [3.5, 3.4],
     "than the header were left out: 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "losses", "words"), LEFT_OUT)
def test_what_is_left_out_is_named(tmp_path, text, losses, words):
    path = tmp_path / "run.log"
    path.write_text(text)
    table = read_log(path)
    assert table.val_loss.dropna().tolist() == losses
    (note,) = (note for note in table.attrs["notes"] if not note.startswith("The log is not a table"))
    assert re.search(words, note)


def test_the_batches_of_an_evaluation_are_not_steps():
    text = each("step {s} loss: {t}\n[Eval batch=10/10] val_loss: {v}\n")
    table = read_pairs(text)
    assert table.step.tolist() == STEPS and table.val_loss.astype(float).tolist() == list(map(val, STEPS))
