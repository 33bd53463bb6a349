"""The sparse engine's compiled kernels, against plain products."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("numba", reason="the sparse engine needs numba (the extra `engines`)")

from bench.deploy import kernels
from bench.deploy.sparse_engine import _blocks


@pytest.mark.parametrize("lanes", [16, 32, 64])
@pytest.mark.parametrize("head_size", [8, 26])
def test_attention(lanes: int, head_size: int) -> None:
    """Two examples of two blocks, the second one partly masked; heads that four do not divide."""
    torch.manual_seed(0)
    heads, tokens = 3, 2 * lanes
    by_token = torch.randn(3, 2, heads, tokens, head_size)
    mask = torch.zeros(2, tokens)
    mask[1, lanes - 5 :] = torch.finfo(torch.float32).min
    mask[1, -1] = -torch.inf

    def feature_major(x):
        x = x.transpose(2, 3).reshape(2, heads * head_size, 2, lanes)  # examples, ..., blocks
        return x.transpose(1, 2).reshape(4, heads * head_size, lanes)

    query, key, value = map(feature_major, by_token)
    want = feature_major(F.scaled_dot_product_attention(*by_token, attn_mask=mask[:, None, None]))
    out, scores = torch.empty_like(query), torch.empty(2, tokens, lanes)
    kernels.attention(
        *map(_blocks, (query, key, value)), mask.numpy(), head_size, _blocks(scores), _blocks(out)
    )
    torch.testing.assert_close(out, want, rtol=1e-5, atol=1e-5)


START = """
import numpy as np
from bench.deploy import kernels
x, one = np.zeros((1, 1), kernels.block_type(16)), np.zeros(1, np.float32)
kernels.layer_norm(x, one, one, 1e-5, x)
print(sum(kernels.layer_norm.stats.cache_hits.values()),
      sum(kernels.layer_norm.stats.cache_misses.values()))
"""


def test_a_second_start_does_not_compile(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", START]
    answers = [
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert [answer.split() for answer in answers] == [["0", "1"], ["1", "0"]]
