"""A classifier of each family, for tests that compare a student with its teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tiny_models import tiny_classifier

from bench.models.families import FAMILIES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    made = tiny_classifier(request.param)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    return made
