"""A small classifier to train."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from bench.toys import toy_config


@pytest.fixture
def model():
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(toy_config())
