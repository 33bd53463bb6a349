"""A classifier of each family, for tests that need all of its weights."""

from __future__ import annotations

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier


@pytest.fixture(params=CONFIGS)
def model(request):
    torch.manual_seed(0)
    found = tiny_classifier(request.param)
    with torch.no_grad():  # all other than zero, of either sign
        for parameter in found.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.01)
    return found
