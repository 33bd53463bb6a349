"""An encoder and its masked-language-model head, of every family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import CONFIGS, tiny_config
from transformers import AutoModel, AutoModelForMaskedLM

from bench.errors import BenchError
from bench.models.masked_lm import load_masked_model


def test_every_family_has_a_head_to_ask(tmp_path: Path) -> None:
    """An encoder saved without its head is told from one with it, in each family."""
    for family in CONFIGS:
        config = tiny_config(family)
        AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / family)
        encoder, head = load_masked_model(tmp_path / family)
        whole = AutoModelForMaskedLM.from_pretrained(tmp_path / family).eval()
        ids = torch.arange(5, 12)[None]
        with torch.no_grad():
            head.base_model.hidden = encoder(input_ids=ids).last_hidden_state[[0], [3]][None]
            torch.testing.assert_close(
                head(input_ids=ids).logits[0, 0], whole(input_ids=ids).logits[0, 3]
            )
        AutoModel.from_config(config).save_pretrained(tmp_path / f"{family}-bare")
        with pytest.raises(BenchError, match=r"missing: \w+"):
            load_masked_model(tmp_path / f"{family}-bare")
