"""``scalefit advise --watch`` as it is run: into a pipe, on the folder of a Trainer, and until a signal ends it."""

import json
import shutil
import signal
import threading
import time

import pytest


@pytest.fixture
def watch(start, tmp_path):
    """Watch a folder; what it complains of goes to a file."""

    def call(folder, interval="0.05"):
        with (tmp_path / "complaints").open("w") as complaints:
            words = ("-m", "scalefit", "advise", folder, "--watch", "--interval", interval)
            return start(*words, stderr=complaints, deadline=300)

    return call


def rest(process, tmp_path):
    """What it says until it ends, and what it complains of."""
    said = process.stdout.read()
    assert process.wait() == 0
    return said, (tmp_path / "complaints").read_text()


def checkpoint(folder, n, keep=2):
    """Write the Trainer's checkpoint after `n` evaluations of ten, and remove older ones as save_total_limit does."""
    rows = []
    for i in range(1, n + 1):
        at = {"step": 100 * i, "epoch": i / 5}
        rows += [
            {**at, "loss": 3.5 - 0.5 * i**0.5, "learning_rate": 5e-5 * (1 - i / 10)},
            {**at, "eval_loss": 3.6 - 0.4 * i**0.5},
        ]
    state = {"global_step": 100 * n, "max_steps": 1000, "num_train_epochs": 2, "log_history": rows}
    place = folder / f"checkpoint-{100 * n}"
    place.mkdir(parents=True)
    (place / "trainer_state.json").write_text(json.dumps(state))
    for old in range(1, n - keep + 1):
        shutil.rmtree(folder / f"checkpoint-{100 * old}", ignore_errors=True)


@pytest.fixture
def folder(tmp_path):
    checkpoint(tmp_path / "out", 3)
    return tmp_path / "out"


def test_a_trainers_folder_is_followed_to_the_end_of_the_run_in_a_pipe(watch, folder, tmp_path):
    process = watch(folder)

    def train():
        for n in range(4, 11):
            time.sleep(0.1)
            checkpoint(folder, n)

    first = process.stdout.readline()  # comes at once, not when the pipe is full
    thread = threading.Thread(target=train)
    thread.start()
    said, complaints = rest(process, tmp_path)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert complaints == ""
    said = first + said
    assert "\x1b" not in said, "no colours and no cursor movements in a pipe"
    assert (
        "step 300" in said and "step 1000" in said and "the logged loss at the planned end" in said.replace("\n", " ")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(watch, folder, tmp_path, number):
    process = watch(folder, interval="60")
    said = process.stdout.readline()
    process.send_signal(number)
    more, complaints = rest(process, tmp_path)
    assert complaints == "" and "wait" in said + more
