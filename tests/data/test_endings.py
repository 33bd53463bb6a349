"""Passages cut in two, and fake endings beside the real ones, against plain loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from tiny_encoders import WORDS, save_bert
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from bench.data import endings
from bench.data.corpus import find_text
from bench.data.endings import ENDINGS, FAKES, PASSES, CausalWriter, MaskedWriter, rows_of
from bench.data.passages import Passage, cut_passages, load_passages, prepare_passages
from bench.errors import BenchError
from bench.models.causal_lm import continuing_flops, find_generator, load_generator
from bench.models.footprint import count_dense
from bench.models.masked_lm import head_flops
from bench.models.sampling import nucleus


def words(count: int, begin: int = 0) -> str:
    return " ".join(WORDS[(begin + place) % len(WORDS)] for place in range(count))


def save_gpt(folder: Path) -> Path:
    known = {piece: number for number, piece in enumerate(["<end>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(known) + 2, n_positions=48, n_embd=24, n_layer=2, n_head=3,
                        initializer_range=0.5, bos_token_id=0, eos_token_id=0)  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt(tmp_path_factory.mktemp("gpt"))


def test_a_sentence_is_cut_as_the_papers_script_cuts_it() -> None:
    numbers = [str(number) for number in range(40)]
    texts = [
        " ".join(numbers[:20]),
        " ".join(numbers[:19]),
        " ".join([*numbers[:25], "end.", *numbers]),
    ]
    assert list(cut_passages(texts)) == [
        Passage(" ".join(numbers[:10]), " ".join(numbers[10:19])),
        Passage(" ".join(numbers[:13]), " ".join(numbers[13:25])),  # 26 words, the last one "end"
        Passage(" ".join(numbers[:15]), " ".join(numbers[15:29])),  # 30 of 40 words
    ]  # fmt: skip


def test_passages_are_distinct_shuffled_capped_and_known(tmp_path: Path, encoder: Path) -> None:
    lines = [words(20, begin) for begin in range(12)]
    text = tmp_path / "text.txt"
    text.write_text("\n".join([*lines, *lines, f"{words(20, 13)} unheard of"]) + "\n")
    found = find_text(str(text), True)
    every = prepare_passages(found, tmp_path, None, encoder)
    assert every.count == 12
    loaded = load_passages(every)
    assert sorted(loaded) == sorted(cut_passages(lines))
    assert loaded != list(cut_passages(lines))
    few = prepare_passages(found, tmp_path, 5, encoder)
    assert load_passages(few) == loaded[:5] and few.fingerprint != every.fingerprint
    text.write_text(words(20) + "\n")
    with pytest.raises(BenchError, match="1 sentences of 20 words or more, 1 of them"):
        prepare_passages(find_text(str(text), True), tmp_path, None, encoder)


def test_the_nucleus_is_the_smallest_set_that_holds_the_share() -> None:
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(400, 9, generator=draw) * 2
    logits[:, 4] = -torch.inf
    drawn = nucleus(logits, torch.Generator().manual_seed(2), 0.7).tolist()
    points = torch.rand(400, 1, generator=torch.Generator().manual_seed(2)).squeeze(1).tolist()
    for row, point, piece in zip(
        logits.double().softmax(dim=1).tolist(), points, drawn, strict=True
    ):
        kept, held = [], 0.0
        for number in sorted(range(9), key=lambda n: -row[n]):
            if held >= 0.7:
                break
            kept.append(number)
            held += row[number]
        passed, chosen = 0.0, kept[-1]
        for number in kept:
            passed += row[number]
            if passed > point * held:
                chosen = number
                break
        assert piece == chosen


def test_a_masked_model_fills_every_place_once_with_ordinary_pieces(encoder: Path) -> None:
    writer = MaskedWriter(encoder)
    tokenizer = writer.tokenizer
    prompts = [tokenizer(words(10, n), add_special_tokens=False)["input_ids"] for n in range(6)]
    lengths = [1, 2, 5, 9, 9, 14]
    written = writer.write(prompts, lengths)
    assert [len(row) for row in written] == lengths
    special = set(tokenizer.all_special_ids)
    assert not special & {piece for row in written for piece in row}
    assert not any(tokenizer.convert_ids_to_tokens(row[0]).startswith("##") for row in written)
    assert MaskedWriter(encoder).write(prompts, lengths) == written
    # Every pass reads the whole texts, and the head is asked for each place once.
    base, head = writer._encoder, writer._head
    whole = count_dense(base).forward_flops([12 + length for length in lengths])
    assert writer.flops == PASSES * whole + head_flops(head, sum(lengths))
    count, place = torch.tensor(lengths)[:, None], torch.arange(15)[None]
    turns = writer._turns(count, place)
    for row, length in zip(turns.tolist(), lengths, strict=True):
        assert row[length:] == [-1] * (15 - length)
        shares = [row.count(turn) for turn in range(PASSES)]
        assert sum(shares) == length and max(shares) - min(shares) <= 1


def test_a_causal_model_continues_as_without_a_cache(
    gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The likeliest pieces: those of a plain loop that reads the whole text each time."""
    monkeypatch.setattr(endings, "nucleus", lambda logits, draw: nucleus(logits, draw, top_p=1e-9))
    writer = CausalWriter(gpt)
    prompts, lengths = [[5, 9, 3, 7], [4, 4, 8, 2]], [6, 3]
    written = writer.write(prompts, lengths)
    model, tokenizer = load_generator(gpt)
    never = [0, 1, *range(len(tokenizer), model.config.vocab_size)]
    for prompt, length, found in zip(prompts, lengths, written, strict=True):
        pieces = list(prompt)
        for _ in range(length):
            with torch.no_grad():
                logits = model(torch.tensor([pieces])).logits[0, -1]
            logits[never] = -torch.inf
            pieces.append(int(logits.argmax()))
        assert found == pieces[len(prompt) :]
    assert writer.flops == 2 * continuing_flops(model, 4, 6)  # both were written to the longest


def test_flops_of_a_continuation_are_those_that_are_made(gpt: Path) -> None:
    model, _ = load_generator(gpt)
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        past, shown = None, torch.tensor([[5, 9, 3, 7]])
        for _ in range(6):
            output = model(shown, past_key_values=past, use_cache=True)
            past, shown = output.past_key_values, output.logits[:, -1].argmax(dim=-1)[:, None]
    assert continuing_flops(model, 4, 6) == counter.get_total_flops()


class Backwards(NamedTuple):
    """A writer of known texts: the prompt from its end."""

    tokenizer: object
    room: int

    def write(self, prompts: list[list[int]], lengths: list[int]) -> list[list[int]]:
        assert len(set(map(len, prompts))) == 1
        return [row[::-1][:length] for row, length in zip(prompts, lengths, strict=True)]


def test_rows_hold_the_real_ending_first_and_the_order_of_passages(encoder: Path) -> None:
    tokenizer = MaskedWriter(encoder).tokenizer
    passages = [Passage(words(10, n), words(9 - n % 3, n + 10)) for n in range(40)]
    rows = list(rows_of(passages, Backwards(tokenizer, 46)))
    assert len(rows) == ENDINGS * len(passages)
    for number, passage in enumerate(passages):
        real, *fakes = rows[ENDINGS * number :][:ENDINGS]
        assert (real["text"], real["text_pair"], real["label"]) == (*passage, 1)
        count = len(passage.ending.split())
        wanted = " ".join(passage.prompt.split()[::-1][:count])
        assert [(row["text"], row["text_pair"], row["label"]) for row in fakes] == FAKES * [
            (passage.prompt, wanted, 0)
        ]
    assert len({row["id"] for row in rows}) == len(rows)
    short = list(rows_of(passages[:1], Backwards(tokenizer, 12)))
    assert len(short[0]["text_pair"].split()) == 6  # half of the room is the ending's


@pytest.mark.parametrize(("change", "wrong"), [
    ({"architectures": ["BertForMaskedLM"]}, "is no causal language model (its config.json says"),
    ({"architectures": None}, "its config.json says no class"),
    ({"is_encoder_decoder": True}, "is no causal language model"),
    ({"auto_map": {"AutoModel": "x.y"}}, "names Python code of its own"),
    ({"n_layer": 10**9}, "n_layer"),
    ({"vocab_size": 9_000_000}, "parameters at least, and the weights beside it hold"),
    ({"attn_implementation": "somebody/kernel"}, "attn_implementation"),
])  # fmt: skip
def test_what_is_no_generator_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], wrong: str
) -> None:
    folder = save_gpt(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(BenchError) as raised:
        find_generator(str(folder), offline=True)
    assert wrong in str(raised.value) and "\n" not in str(raised.value)


def test_a_generator_that_is_not_there_is_one_line(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(BenchError, match="no model folder"):
        find_generator(str(tmp_path / "gone"), offline=True)
    with pytest.raises(BenchError, match="no causal language model"):
        find_generator(str(encoder), offline=True)
