"""Advice in the Hugging Face Trainer: a small GPT-2 from a config, trained on the bytes of this file.

Needs the extra: pip install 'scalefit-lm[train,integrations]'. Advice only: dry_run=True is the default.
"""

import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from scalefit.integrations.huggingface import AdviceCallback
from scalefit.stopping.advice import Advice

torch.manual_seed(0)
data = torch.tensor(list(Path(__file__).read_bytes()) * 8)


def windows(first: int, last: int, length: int = 32) -> list[dict[str, torch.Tensor]]:
    """Cut the bytes into training examples."""
    cuts = [data[i : i + length] for i in range(first, last - length, length)]
    return [{"input_ids": cut, "labels": cut} for cut in cuts]


sizes = dict(vocab_size=256, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
arguments = TrainingArguments(
    output_dir=tempfile.mkdtemp(),
    max_steps=120,
    per_device_train_batch_size=8,
    learning_rate=3e-3,
    eval_strategy="steps",
    eval_steps=5,
    logging_steps=5,
    save_strategy="no",
    report_to=[],
    use_cpu=True,
    disable_tqdm=True,
)


def show(now: Advice) -> None:
    """One line for each evaluation."""
    end = f", end {now.final.loss:.2f} [{now.final.lower:.2f}, {now.final.upper:.2f}]" if now.final else ""
    print(f"step {now.step:3.0f}: {now.action} ({now.state}), loss {now.loss or float('nan'):.2f}{end}")


advice = AdviceCallback(on_advice=show)  # the plan is read from the Trainer's own arguments
trainer = Trainer(
    model=model, args=arguments, train_dataset=windows(0, 6000), eval_dataset=windows(6000, 8000), callbacks=[advice]
)
trainer.train()
print(advice.advice)
