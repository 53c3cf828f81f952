"""``sf.collect``: stores that the real packages made become one row per finished run."""

from __future__ import annotations

import gzip
import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.collecting import counts, final_loss
from scalefit.collecting.records import Run, logged, number
from scalefit.errors import ArgumentError, DataError

STORES = Path(__file__).parent / "stores"  # made by make_stores.py


def expected(width: int, step: int = 100) -> float:
    return 2.0 + 3.0 / math.sqrt(step) + 20.0 / width


def said(table: pd.DataFrame, code: str) -> str:
    return " ".join(note["message"] for note in table.attrs["notes"] if note["code"] == code)


def left_out(table: pd.DataFrame, code: str) -> list[str]:
    """The runs that have no row for that reason, without their sources."""
    notes = [note for note in table.attrs["notes"] if note["code"] == code]
    return [run.partition(" (")[0] for note in notes for run in note["details"]["runs"]]


class TestWandb:
    def test_offline_folders_give_a_row_each_and_name_the_crashed(self):
        table = sf.collect(STORES / "wandb").set_index("run")
        assert sorted(table.index) == ["w128", "w64"]
        for width in (64, 128):
            row = table.loc[f"w{width}"]
            assert row.loss == pytest.approx(expected(width))
            assert row["D"] == 100 * 8 * 64
            assert row["N"] == sf.counting.count_parameters(2, width, T_max=64, vocab_size=256).total
            assert row["C"] == 6 * row.N * row.D
            assert row.status == "finished" and row.lr == 1e-3 and row.n_embd == width
        assert table.seed.to_dict() == {"w64": 0, "w128": 1}
        assert "w256" in said(table, "unfinished") and "crashed" in said(table, "unfinished")
        assert "one for each call of log" in said(table, "D")
        assert "nanoGPT" in said(table, "N")

    def test_unfinished_can_be_kept(self):
        table = sf.collect(STORES / "wandb", unfinished="keep").set_index("run")
        assert table.loc["w256", "status"] == "crashed"

    def test_a_log_cut_off_anywhere_is_unfinished_and_no_error(self, tmp_path):
        source = next(path for path in sorted(STORES.glob("wandb/*/*.wandb")))
        content = source.read_bytes()
        for end in (len(content) - 1, len(content) // 2, 40):
            folder = tmp_path / f"run-{end}"
            folder.mkdir()
            (folder / source.name).write_bytes(content[:end])
        with pytest.raises(DataError, match="no finished run"):
            sf.collect(tmp_path)
        table = sf.collect(tmp_path, unfinished="keep")
        assert set(table.status) == {"unfinished"} and len(table) == 2  # the shortest logged nothing

    def test_a_flipped_bit_ends_the_reading(self, tmp_path):
        source = next(path for path in sorted(STORES.glob("wandb/*/*.wandb")))
        content = bytearray(source.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / source.name).write_bytes(content)
        assert sf.collect(tmp_path, unfinished="keep").status.tolist() == ["unfinished"]

    def test_a_synchronised_folder_is_read_from_its_files(self, tmp_path):
        files = tmp_path / "run-20260101_000000-abc" / "files"
        files.mkdir(parents=True)
        (files / "config.yaml").write_text("n_params:\n  value: 1000\nseed:\n  desc: null\n  value: 3\n")
        (files / "wandb-summary.json").write_text('{"val/loss": 2.5, "_step": 10, "tokens": 5000, "_runtime": 7.5}')
        row = sf.collect(tmp_path, unfinished="keep").iloc[0]
        assert (row.N, row.D, row.loss, row.seed, row.seconds) == (1000, 5000, 2.5, 3, 7.5)

    def test_wide_exports_hold_several_runs(self, tmp_path):
        lines = ["Step,a - val/loss,a - val/loss__MIN,b - val/loss", "10,3.0,3.0,", "20,2.5,2.5,2.9", "30,,,2.7"]
        (tmp_path / "export.csv").write_text("\n".join(lines))
        table = sf.collect(tmp_path, N={"a": 1e6, "b": 2e6}, batch_tokens="1K").set_index("run")
        assert table.loss.to_dict() == {"a": 2.5, "b": 2.7}
        assert table.N.to_dict() == {"a": 1e6, "b": 2e6} and table.D.to_dict() == {"a": 2e4, "b": 3e4}

    def test_long_exports_hold_several_runs(self, tmp_path):
        frame = pd.DataFrame({"run": ["a", "a", "b", "b"], "step": [1, 2, 1, 2], "n_params": [5, 5, 9, 9]})
        frame.assign(val_loss=[3.0, 2.5, 2.8, 2.2], tokens=[10, 20, 10, 20]).to_csv(tmp_path / "long.csv", index=False)
        table = sf.collect(tmp_path).set_index("run")
        assert table[["N", "D", "loss"]].T.to_dict("list") == {"a": [5, 20, 2.5], "b": [9, 20, 2.2]}


class TestMlflow:
    @pytest.fixture
    def database(self, tmp_path):
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as base, base:
            base.executescript((STORES / "mlflow" / "mlflow.sql").read_text())
        return tmp_path / "mlflow.db"

    def test_both_stores_say_the_same(self, database):
        folder, base = (sf.collect(place).sort_values("run") for place in (STORES / "mlflow" / "mlruns", database))
        for table in (folder, base):
            assert table.run.tolist() == ["w128", "w64"]  # w256 failed, w512 was deleted
            assert table.N.tolist() == [128000, 64000] and table.D.tolist() == [51200, 51200]
            assert table.loss.tolist() == pytest.approx([expected(128), expected(64)])
            assert "w256" in said(table, "unfinished") and "w512" not in str(table.attrs["notes"])
        pd.testing.assert_frame_equal(
            folder.drop(columns=["source", "seconds"]).reset_index(drop=True),
            base.drop(columns=["source", "seconds"]).reset_index(drop=True),
        )

    def test_the_database_is_not_written_to(self, database):
        before = database.read_bytes()
        sf.collect(database)
        assert database.read_bytes() == before

    def test_another_database_is_passed_over_and_named(self, tmp_path, database):
        with closing(sqlite3.connect(tmp_path / "other.db")) as base, base:
            base.execute("CREATE TABLE things (x)")
        assert "none of MLflow's" in said(sf.collect(tmp_path), "unreadable")


class TestTensorboard:
    @pytest.fixture
    def write(self):
        pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")
        from torch.utils.tensorboard import SummaryWriter

        def write(folder, losses, first=0, tag="eval/loss", suffix=""):
            with SummaryWriter(folder, filename_suffix=suffix) as writer:
                for i, loss in enumerate(losses):
                    writer.add_scalar(tag, loss, first + i)

        return write

    def test_folders_are_never_merged(self, tmp_path, write):
        write(tmp_path / "a", [3.0, 2.5])
        write(tmp_path / "b", [3.0, 2.0])
        table = sf.collect(tmp_path, N=1e6, batch_tokens=100)
        assert table.run.tolist() == ["a", "b"] and table.loss.tolist() == [2.5, 2.0] and set(table.D) == {100.0}
        assert "taken as finished" in said(table, "status")

    def test_three_runs_in_one_folder_are_three(self, tmp_path, write):
        for i, loss in enumerate((2.5, 2.25, 2.0)):
            write(tmp_path / "a", [3.0, loss], suffix=f".{i}")
        table = sf.collect(tmp_path, N=1e6, batch_tokens=100)
        assert table.run.tolist() == ["a#1", "a#2", "a#3"] and sorted(table.loss) == [2.0, 2.25, 2.5]

    def test_a_resume_goes_on(self, tmp_path, write):
        write(tmp_path / "a", [3.0, 2.75, 2.5], suffix=".0")
        write(tmp_path / "a", [2.5, 2.25], first=2, suffix=".1")
        for path in (tmp_path / "a").iterdir():  # the ninth and the tenth of a process, of one second
            path.rename(path.with_name(f"events.out.tfevents.1700000000.host.77.{9 + int(path.suffix[1:])}"))
        table = sf.collect(tmp_path, N=1e6, batch_tokens=100)
        assert table.loss.tolist() == [2.25] and table.steps.tolist() == [3]


class TestLightning:
    def test_versions(self, tmp_path):
        pytest.importorskip("lightning", reason="lightning is not installed")
        from lightning.pytorch.loggers import CSVLogger

        for width in (64, 128):
            logger = CSVLogger(tmp_path, name="sweep")
            logger.log_hyperparams({"n_params": width * 10, "max_steps": 100, "batch_size": 4, "seq_len": 32})
            for step in range(20, 101 if width == 64 else 60, 20):
                logger.log_metrics({"train_loss_step": expected(width, step) - 1}, step=step)
                logger.log_metrics({"val_loss": expected(width, step)}, step=step)
            logger.save()
        table = sf.collect(tmp_path)
        assert table.run.tolist() == ["sweep/version_0"] and "version_1" in said(table, "unfinished")
        assert table[["N", "D"]].iloc[0].tolist() == [640, 100 * 4 * 32]
        assert table.loss[0] == pytest.approx(expected(64))

    def test_a_python_object_in_hparams_is_not_made(self, tmp_path):
        folder = tmp_path / "version_0"
        folder.mkdir()
        (folder / "metrics.csv").write_text("step,val_loss\n10,2.5\n")
        mark = tmp_path / "made"
        (folder / "hparams.yaml").write_text(
            f"n_params: 5\nbad: !!python/object/apply:os.system ['touch {mark}']\nmine: !Thing {{a: 1}}\n"
        )
        assert sf.collect(tmp_path).N.tolist() == [5]
        assert not mark.exists()


class TestTrainer:
    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "vocab_size": 100}),
            ("LlamaConfig", {"num_key_value_heads": 2}),
            ("LlamaConfig", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
            ("MistralConfig", {"num_key_value_heads": 1}),
            ("Qwen2Config", {"num_key_value_heads": 2}),
            ("Qwen3Config", {"num_key_value_heads": 2, "head_dim": 16}),
            ("GPTNeoXConfig", {}),
        ],
    )
    def test_counts_are_those_of_transformers(self, tmp_path, name, settings):
        pytest.importorskip("torch", reason="torch is not installed")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        if not hasattr(transformers, name):
            pytest.skip(f"this transformers has no {name}")
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        shape |= {"vocab_size": 100}
        config = getattr(transformers, name)(**(settings if name == "GPT2Config" else {**shape, **settings}))
        model = transformers.AutoModelForCausalLM.from_config(config)
        model.save_pretrained(tmp_path)
        counted = counts.from_config(json.loads((tmp_path / "config.json").read_text()))
        assert counted is not None and counted[0].total == model.num_parameters()
        assert counts.from_safetensors(tmp_path) == model.num_parameters()

    def test_a_real_run(self, tmp_path):
        torch = pytest.importorskip("torch", reason="torch is not installed")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        pytest.importorskip("accelerate", reason="accelerate is not installed")
        config = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=16, vocab_size=50)
        rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 50, (32, 16))]
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=6, per_device_train_batch_size=4, eval_strategy="steps", eval_steps=2,
            save_steps=6, report_to=[], use_cpu=True, disable_tqdm=True, logging_steps=2, seed=3,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
        trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows[:8])
        trainer.train()
        trainer.save_state()
        trainer.save_model()
        table = sf.collect(tmp_path)
        last = next(row["eval_loss"] for row in reversed(trainer.state.log_history) if "eval_loss" in row)
        assert len(table) == 1 and table.loss[0] == pytest.approx(last) and table.status[0] == "finished"
        assert table.N[0] == model.num_parameters() and table.D[0] == pytest.approx(6 * 4 * 16)

    def test_a_checkpoint_alone_is_unfinished(self, tmp_path):
        folder = tmp_path / "out" / "checkpoint-5"
        folder.mkdir(parents=True)
        history = [{"step": 5, "eval_loss": 2.5}]
        (folder / "trainer_state.json").write_text(
            json.dumps({"global_step": 5, "max_steps": 10, "log_history": history})
        )
        (folder / "training_args.bin").write_bytes(b"\x80\x04never")
        table = sf.collect(tmp_path, unfinished="keep")
        assert table.run.tolist() == ["out"] and table.status.tolist() == ["unfinished"]


class TestTables:
    def test_nanochat(self, tmp_path):
        (tmp_path / "results.csv").write_text(
            "flops_budget,depth,model_dim,params_total,num_iterations,tokens_trained,val_bpb,train_time_sec\n"
            "1e18,8,512,42000000,500,3.9e9,1.05,33.0\n1e18,10,640,70000000,400,2.4e9,1.01,35.0\n"
        )
        table = sf.collect(tmp_path)
        assert table[["N", "D", "C", "loss"]].to_numpy().tolist() == [
            [42e6, 3.9e9, 1e18, 1.05],
            [70e6, 2.4e9, 1e18, 1.01],
        ]
        assert set(table.loss_unit) == {"bit/byte"} and table.depth.tolist() == [8, 10]

    @pytest.mark.parametrize(
        ("columns", "loss"),
        [
            (("parameter_count", "throughput/total_tokens", "eval/paloma/c4_en/bpb"), "bit/byte"),  # marin
            (("n_params", "throughput/total_tokens", "eval/c4_en-validation/CrossEntropyLoss"), "nat/token"),  # OLMo
            (("N", "D", "smooth loss"), "nat/token"),  # step-law
            (("model_size__params", "dataset_size__tokens", "test_loss__c4"), "nat/token"),  # simple-scaling-laws
        ],
    )
    @pytest.mark.parametrize("more", [{}, {"name": ["a", "b"], "_step": 500}, {"_step": 500}])
    def test_columns_that_projects_publish(self, tmp_path, columns, loss, more):
        n, d, target = columns
        pd.DataFrame({n: [1e7, 2e7], d: [1e9, 3e9], target: [3.5, 3.25], **more}).to_csv(
            tmp_path / "t.csv", index=False
        )
        table = sf.collect(tmp_path)
        assert table[["N", "D", "loss"]].to_numpy().tolist() == [[1e7, 1e9, 3.5], [2e7, 3e9, 3.25]]
        assert set(table.loss_unit) == {loss} and set(table.loss_column) == {target}

    def test_several_losses_of_a_table_are_named(self, tmp_path):
        frame = pd.DataFrame({"params": [1e7], "tokens": [1e9], "test_loss__c4": [3.5], "test_loss__pile": [3.6]})
        frame.to_csv(tmp_path / "t.csv", index=False)
        with pytest.raises(DataError, match=r"'test_loss__c4', 'test_loss__pile'.*columns=\{'loss': 'test_loss__c4'\}"):
            sf.collect(tmp_path)
        assert sf.collect(tmp_path, columns={"loss": "test_loss__c4"}).loss.tolist() == [3.5]
        assert sf.collect(tmp_path, loss="test_loss__pile").loss.tolist() == [3.6]

    def test_a_history_with_sizes_is_one_run(self, tmp_path):
        frame = pd.DataFrame({"_step": [10, 20], "n_params": 1e7, "tokens": [1e6, 2e6], "eval/loss": [3.5, 3.25]})
        frame.to_csv(tmp_path / "t.csv", index=False)
        assert sf.collect(tmp_path)[["N", "D", "loss"]].to_numpy().tolist() == [[1e7, 2e6, 3.25]]

    def test_rows_that_differ_in_size_are_runs_though_their_steps_rise(self, tmp_path):
        sizes, steps = np.geomspace(1e6, 1e9, 8), np.arange(1000, 9000, 1000)
        frame = pd.DataFrame({"step": steps, "n_params": sizes, "tokens": 2e4 * steps, "val_loss": 4 - steps / 1e4})
        frame.to_csv(tmp_path / "t.csv", index=False)
        table = sf.collect(tmp_path)
        assert table.N.tolist() == pytest.approx(sizes) and table.loss.tolist() == pytest.approx(frame.val_loss)

    def test_a_status_column_counts(self, tmp_path):
        text = "Name,State,n_params,tokens,val_loss\na,finished,1e6,1e8,3.0\nb,crashed,1e6,1e8,9.0\n"
        (tmp_path / "runs.csv").write_text(text)
        table = sf.collect(tmp_path)
        assert table.run.tolist() == ["a"] and left_out(table, "unfinished") == ["b"]

    def test_own_store(self, tmp_path):
        for name in ("one", "two"):
            folder = tmp_path / "runs" / name
            folder.mkdir(parents=True)
            for file in ("config.json", "provenance.json"):
                (folder / file).write_text("{}")
        row = {"N": 10, "D": 20, "C": 1200.0, "loss": 2.5, "loss_se": 0.1, "status": "finished", "kind": "final",
               "seed": 4, "lr": 0.1, "run_id": "one-0-5", "steps": 5, "seconds": 1.0}  # fmt: skip
        probe = {**row, "kind": "lr_probe", "run_id": "one-0-1"}
        document = {"format": 1, "run_id": "one", "status": "finished", "rows": [row, probe], "seconds": 1.0}
        (tmp_path / "runs" / "one" / "result.json").write_text(json.dumps(document))
        table = sf.collect(tmp_path)
        assert table[["N", "D", "C", "loss", "loss_se", "seed"]].to_numpy().tolist() == [[10, 20, 1200, 2.5, 0.1, 4]]
        assert left_out(table, "unfinished") == ["two"] and left_out(table, "probe") == ["one-0-1"]


class TestChoices:
    def run(self, values, name="val_loss", **more):
        return Run("r", "r", "csv", series={name: (np.arange(1.0, len(values) + 1), np.array(values, float))}, **more)

    def test_ways(self):
        run = self.run([5, 3, 2, 4])
        assert [final_loss.find(run, None, way, 2).loss for way in ("last", "mean", "best")] == [4, 3, 2]
        assert final_loss.find(run, None, "best", None).step == 3

    def test_training_losses_are_averaged_and_named(self):
        run = self.run([3.0] * 90 + [2.0] * 10, "train_loss")
        found = final_loss.find(run, None, None, None)
        assert found.loss == 2.0 and found.way == "mean of last 10" and not found.is_validation

    def test_standard_errors_cover(self):
        """Independent errors of known size on a falling curve: both estimates find it within their own scatter."""
        rng = np.random.default_rng(0)
        steps = np.arange(1.0, 201)
        curve = 2 + 3 / np.sqrt(steps)
        last, mean = [], []
        for _ in range(300):
            run = self.run(curve + rng.normal(0, 0.05, 200))
            last.append(final_loss.find(run, None, "last", None).error)
            mean.append(final_loss.find(run, None, "mean", 20).error)
        assert np.sqrt(np.mean(np.square(last))) == pytest.approx(0.05, rel=0.15)
        assert 0.05 / np.sqrt(20) * 0.85 < np.sqrt(np.mean(np.square(mean))) < 0.05 / np.sqrt(20) * 1.5

    def test_few_values_tell_no_error(self):
        assert math.isnan(final_loss.find(self.run([3, 2, 1]), None, None, None).error)
        assert math.isnan(final_loss.find(self.run(range(20)), None, "best", None).error)

    def test_several_losses_are_named_and_asked_for(self, tmp_path):
        frame = pd.DataFrame({"step": [1, 2], "eval/a/loss": [3, 2], "eval/b/loss": [4, 3]})
        frame.to_csv(tmp_path / "a.csv", index=False)
        with pytest.raises(DataError, match="eval/a/loss, eval/b/loss.*loss="):
            sf.collect(tmp_path)
        assert sf.collect(tmp_path, loss="eval/b/loss", N=1e6, D=1e7).loss.tolist() == [3]

    def test_what_is_not_told_is_nan_and_named(self, tmp_path):
        pd.DataFrame({"step": [1, 2], "val_loss": [3, 2]}).to_csv(tmp_path / "a.csv", index=False)
        table = sf.collect(tmp_path)
        assert len(table) == 1 and table[["N", "D", "C"]].isna().all(axis=None)
        assert "do not tell" in said(table, "N") and "batch" in said(table, "D")

    def test_settings_fill_in_what_is_missing(self, tmp_path):
        frame = pd.DataFrame({"step": [1, 2], "val_loss": [3, 2], "n_layer": 2, "n_embd": 8, "block_size": 4})
        frame.to_csv(tmp_path / "a.csv", index=False)
        assert math.isnan(sf.collect(tmp_path).N[0])
        table = sf.collect(tmp_path, config={"vocab_size": 16, "n_layer": 99, "batch_size": 3})
        assert table.N[0] == sf.counting.count_parameters(2, 8, T_max=4, vocab_size=16).total
        assert table.D[0] == 2 * 3 * 4

    def test_a_run_that_ends_in_nan_diverged(self, tmp_path):
        (tmp_path / "a.csv").write_text("run,step,val_loss\na,1,3\na,2,nan\nb,1,3\nb,2,2\n")
        table = sf.collect(tmp_path)
        assert table.run.tolist() == ["b"] and left_out(table, "diverged") == ["a"]

    def test_units_are_told(self, tmp_path):
        (tmp_path / "a.csv").write_text("step,val_ppl\n1,100\n2,20\n")
        table = sf.collect(tmp_path)
        assert table.loss[0] == pytest.approx(math.log(20)) and "perplexity" in said(table, "loss")

    def test_an_abandoned_branch_is_dropped(self):
        steps, values = logged([(1, 5), (2, 4), (3, 9), (4, 9), (3, 3), (4, 2)])
        assert steps.tolist() == [1, 2, 3, 4] and values.tolist() == [5, 4, 3, 2]

    @pytest.mark.parametrize(
        "arguments",
        [{"final": "worst"}, {"k": 0}, {"k": 3, "final": "last"}, {"N": -1.0}, {"unfinished": "x"}, {"loss": 3},
         {"batch_tokens": "many"}, {"config": 3}],
    )  # fmt: skip
    def test_bad_arguments(self, arguments):
        with pytest.raises(ArgumentError):
            sf.collect(STORES, **arguments)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(DataError, match="no runs of a known store"):
            sf.collect(tmp_path)
        with pytest.raises(DataError, match="no folder or file"):
            sf.collect(tmp_path / "none")

    def test_an_unreadable_run_does_not_stop_the_others(self, tmp_path):
        shutil.copytree(STORES / "wandb", tmp_path / "wandb")
        bad = tmp_path / "bad"
        bad.mkdir()
        (bad / "run-x.wandb").write_bytes(b"nothing")
        table = sf.collect(tmp_path)
        assert len(table) == 2 and "run-x.wandb" in said(table, "unreadable")

    def test_progress(self):
        seen = []
        sf.collect(STORES / "wandb", progress=lambda done, total: seen.append((done, total)))
        assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def test_numbers(self):
        assert number("1e-3") == 0.001 and number(True) is None and number("x") is None and number("inf") is None


def test_the_table_can_be_fitted(tmp_path):
    truth = {"E": 1.8, "A": 400.0, "B": 1000.0, "alpha": 0.34, "beta": 0.3}
    rng = np.random.default_rng(1)
    lines = ["run,step,n_params,tokens,val_loss"]
    for i, (n, d) in enumerate((n, d) for n in np.geomspace(1e7, 1e9, 5) for d in np.geomspace(1e8, 3e10, 5)):
        end = truth["E"] + truth["A"] / n ** truth["alpha"] + truth["B"] / d ** truth["beta"]
        lines += [f"r{i},1,{n},{d / 2},9", f"r{i},2,{n},{d},{end * math.exp(rng.normal(0, 1e-3))}"]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    table = sf.collect(tmp_path)
    assert len(table) == 25
    assert sf.fit(table, law="chinchilla").n_runs == 25


def test_command_line(tmp_path, capsys):
    from scalefit.cli import main

    out = tmp_path / "runs.csv"
    with pytest.raises(SystemExit) as stop:
        main(["collect", str(STORES / "wandb"), "-o", str(out)])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "w256" in printed and "2 runs" in printed and "counted from its settings" in printed
    assert sorted(pd.read_csv(out).run) == ["w128", "w64"]
    with pytest.raises(SystemExit) as stop:
        main(["collect", str(tmp_path / "none"), "-o", str(out)])
    assert stop.value.code == 1


def test_a_second_collection_overwrites_the_first_and_does_not_count_it(tmp_path, monkeypatch, capsys):
    """Its own table lies among the logs, and no log is ever overwritten, whatever is forced."""
    from scalefit.cli import main

    monkeypatch.chdir(tmp_path)
    log = "step,train_loss,val_loss\n1,3.2,3.3\n2,3.1,3.2\n3,3.0,3.1\n"
    for name in ("run1/metrics.csv", "alone.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(log)

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["collect", ".", *words])
        return stop.value.code, capsys.readouterr().err

    for _ in range(2):
        assert run("--N", "1e8", "--D", "2e9")[0] == 0
        assert len(pd.read_csv("runs.csv")) == 2
    for name in ("run1/metrics.csv", "alone.csv"):
        code, said = run("--out", name, "--force")
        assert code == 1 and "is the input itself" in said and (tmp_path / name).read_text() == log


STEPS = range(100, 1001, 100)


def test_seeds_in_one_history_are_runs_of_their_own(tmp_path):
    """Side by side, or one after the other: the last row of all was taken for the end of one run."""
    rows = [f"{seed},{step},{step * 1000},{4 - step / 1000 + seed}" for step in STEPS for seed in (0, 1)]
    for order in (rows, sorted(rows, key=lambda row: row[0])):
        (tmp_path / "log.csv").write_text("seed,step,tokens,val_loss\n" + "\n".join(order))
        table = sf.collect(tmp_path)
        assert table.seed.tolist() == [0, 1] and table.loss.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.csv",
            "run;step;tokens;n_params;val_loss\n" + "".join(f"r;{s};{s}.000;1.000;3,{s}\n" for s in STEPS if s < 1000),
        ),
        (
            "a.csv",
            "run,step,tokens,n_params,val_loss\n"
            + "".join(f'r,{s},"{s},000","1,000",3.{s}\n' for s in STEPS if s < 1000),
        ),
        (
            "a.tsv",
            "run\tstep\ttokens\tn_params\tval_loss\n"
            + "".join(f"r\t{s}\t{s}000\t1000\t3.{s}\n" for s in STEPS if s < 1000),
        ),
    ],
)
def test_tables_of_other_countries(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    table = sf.collect(tmp_path)
    assert table[["N", "D", "loss"]].to_numpy().tolist() == [[1000, 900_000, 3.9]]


@pytest.mark.parametrize("pack", [lambda text: text.encode("utf-16"), lambda text: gzip.compress(text.encode())])
def test_files_of_other_systems(tmp_path, pack):
    text = "run,step,tokens,val_loss\n" + "".join(f"r,{s},{s}000,{4 - s / 1000}\n" for s in STEPS)
    (tmp_path / ("a.csv.gz" if pack(text)[:2] == b"\x1f\x8b" else "a.csv")).write_bytes(pack(text))
    assert sf.collect(tmp_path).loss.tolist() == [3.0]


def test_a_copied_folder_is_named(tmp_path):
    text = "run,step,tokens,val_loss\n" + "".join(f"{{0}},{s},{s}000,{4 - s / 1000}\n" for s in STEPS)
    (tmp_path / "a.csv").write_text(text.format("one"))
    assert not any(note["code"] == "copies" for note in sf.collect(tmp_path).attrs["notes"])
    (tmp_path / "b.csv").write_text(text.format("again"))
    (note,) = (note for note in sf.collect(tmp_path).attrs["notes"] if note["code"] == "copies")
    assert note["details"]["runs"] == ["again"]


def scalars(folder, tag, losses):
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    for step, loss in enumerate(losses, 1):
        writer.add_scalar(tag, loss, 100 * step)
    writer.close()


@pytest.mark.parametrize(
    ("train", "val"),
    [("train", "validation"), ("loss_train", "loss_val"), ("", "eval")],  # Keras, add_scalars, an Estimator
)
def test_event_folders_of_training_and_validation_are_one_run(tmp_path, train, val):
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    scalars(tmp_path / "a" / train, "epoch_loss", [3.0, 2.5, 2.0])
    scalars(tmp_path / "a" / val, "epoch_loss", [3.2, 2.8, 2.4])
    scalars(tmp_path / "a" / val, "evaluation_loss_vs_iterations", [9.0, 9.0, 9.0])
    table = sf.collect(tmp_path)
    assert len(table) == 1 and table.run[0] == "a"
    assert table.loss[0] == pytest.approx(2.4) and "epoch_loss" in table.loss_column[0]


def test_event_folders_with_names_of_their_own_are_runs_of_their_own(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    for name, loss in (("wide", 2.0), ("constrain", 2.2), ("eval", 2.4)):  # an "eval" without a training part
        scalars(tmp_path / name, "val/loss", [3.0, loss])
    table = sf.collect(tmp_path).set_index("run")
    assert table.loss.to_dict() == pytest.approx({"wide": 2.0, "constrain": 2.2, "eval": 2.4})


def test_choices_are_printed_with_the_options_that_overrule_them(tmp_path, capsys):
    from scalefit.cli import main

    (tmp_path / "plot.csv").write_text(
        '"Step","a - loss","b - loss"\n' + "".join(f"{i},4.{i},3.{i}\n" for i in range(9))
    )
    with pytest.raises(SystemExit):
        main(["collect", str(tmp_path / "plot.csv"), "-o", str(tmp_path / "runs.csv")])
    out = " ".join(capsys.readouterr().out.split())
    assert "Override with --loss, --final and --k." in out and "loss=" not in out
