"""Rebuilds the demo's encoder: `python -m bench.data.tasks.pretrain_demo OUT [--steps N]`.

Masked-language modelling, from random weights, on passages of the demo's grammar. One thread takes
some six minutes.

A large encoder has weights to spare; one this small uses all that it has, and nothing would survive
at 20×. So the second half of the run pulls the weights that can be pruned towards zero (L1), which
gathers what was learnt in few of them. Whoever reads scores on the demo should know: it suits
pruning by magnitude.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, softshrink
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, PreTrainedTokenizerBase

from bench.data.tasks import demo
from bench.models.masked_lm import hidden_behind, ordinary_pieces

STEPS = 16_000
BATCH = 64
PEAK_RATE = 3e-3
SHRINKAGE = 0.05
"""Strength of the pull towards zero, a step's share of the learning rate."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNMASKED = -100
POSITIONS = 64


def build_tokenizer() -> PreTrainedTokenizerBase:
    """A BERT tokenizer that knows every word of the grammar whole."""
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *demo.words()))}
    return BertTokenizer(vocabulary, model_max_length=POSITIONS)


def build_model(vocab_size: int) -> BertForMaskedLM:
    """The untrained encoder: small enough for a cell in seconds, with layers and heads to cut."""
    width = 64
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=POSITIONS,
        # A width this small hardly learns from BERT's own 0.02.
        initializer_range=1 / math.sqrt(width),
    )
    model = BertForMaskedLM(config)
    # Where a word stands is learnt sooner from waves than from noise.
    waves = torch.arange(POSITIONS)[:, None] * 1000 ** (-torch.arange(0, 1, 2 / width))
    start = torch.stack((waves.sin(), waves.cos()), dim=-1).flatten(1) * math.sqrt(2 / width)
    model.bert.embeddings.position_embeddings.weight.data.copy_(start)
    return model


def _rate(word: str) -> float:
    """How often a word is to be predicted."""
    if word in SPECIAL:
        return 0.0
    return 0.7 if word in demo.REMARKS else 0.03 if word in demo.FRAME else 0.2


def batches(
    tokenizer: PreTrainedTokenizerBase, passages: Iterator[str], size: int, seed: int
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Masks passages, as in BERT but for which words are to be predicted.

    Remarks are asked for most, since they depend on all that they remark on, and function words,
    which depend on nothing, least.

    Yields:
        The inputs, each of shape (size, length), and the labels, `UNMASKED` where not asked for.
    """
    draw = torch.Generator().manual_seed(seed)
    vocabulary = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    rates = torch.tensor([_rate(word) for word in vocabulary])
    ordinary = torch.from_numpy(ordinary_pieces(tokenizer, len(tokenizer)))
    while texts := list(islice(passages, size)):
        # Sentences stand as a pair in most rows, as they do in the tasks.
        halves = [t.split(" . ") if i % 5 else [t] for i, t in enumerate(texts)]
        encoded = tokenizer.pad([tokenizer(*half) for half in halves], return_tensors="pt")
        ids = encoded["input_ids"]
        asked = torch.rand(ids.shape, generator=draw) < rates[ids]
        shown = hidden_behind(tokenizer.mask_token_id, ids, asked, ordinary, draw)
        yield {**encoded, "input_ids": shown}, torch.where(asked, ids, UNMASKED)


def masked_loss(
    model: BertForMaskedLM, inputs: dict[str, torch.Tensor], labels: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy in nats; the head sees the masked positions only, to save its cost."""
    asked = labels != UNMASKED
    hidden = model.bert(**inputs).last_hidden_state[asked]
    return cross_entropy(model.cls(hidden), labels[asked])


@torch.no_grad()
def _shrink(matrices: list[torch.nn.Parameter], amount: float) -> None:
    """Moves every weight towards zero, by at most its own size."""
    for weight in matrices:
        weight.copy_(softshrink(weight, amount))


def pretrain(steps: int = STEPS, seed: int = 0) -> tuple[BertForMaskedLM, PreTrainedTokenizerBase]:
    """Trains an encoder from random weights; the same seed and machine give the same weights."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer))
    # Dropout costs more than it saves on text that never repeats; fine-tuning sets its own.
    model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    matrices = [weight for weight in model.bert.encoder.parameters() if weight.ndim == 2]
    stream = batches(tokenizer, demo.passages(seed), BATCH, seed)
    for step, (inputs, labels) in enumerate(islice(stream, steps)):
        loss = masked_loss(model, inputs, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if 2 * step >= steps:
            _shrink(matrices, SHRINKAGE * float(schedule.get_last_lr()[0]))
        schedule.step()
        if step % 500 == 0:
            sys.stdout.write(f"step {step}: loss {loss.item():.3f}\n")
            sys.stdout.flush()
    return model, tokenizer


@torch.no_grad()
def held_out_loss(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase) -> float:
    """Mean masked-word loss, in nats, on the passages that pre-training never sees."""
    stream = batches(tokenizer, iter(demo.probe_text()), BATCH, seed=0)
    model.eval()
    losses = [masked_loss(model, inputs, labels).item() for inputs, labels in stream]
    return sum(losses) / len(losses)


def main(arguments: list[str] | None = None) -> None:
    """Trains, saves and reports the loss on held-out text."""
    parser = argparse.ArgumentParser(description="Rebuild the demo's encoder.")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model, tokenizer = pretrain(given.steps, given.seed)
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    (given.out / "vocab.txt").write_text("\n".join((*SPECIAL, *demo.words())) + "\n", "utf-8")
    sys.stdout.write(f"held-out masked-word loss {held_out_loss(model, tokenizer):.3f} nats\n")


if __name__ == "__main__":
    main()
