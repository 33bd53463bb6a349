"""Logits of every row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.errors import DivergedError
from bench.toys import toy_rows
from bench.training.evaluate import predict


def test_a_model_that_predicts_nan_is_not_scored(model) -> None:
    with torch.no_grad():
        model.classifier.bias.fill_(math.nan)
    with pytest.raises(DivergedError, match="NaN"):
        predict(model, toy_rows(0), "cpu")


def test_predictions_do_not_depend_on_the_company_of_a_row(model) -> None:
    data = toy_rows(0)
    together = predict(model, data, "cpu")
    alone = np.concatenate([predict(model, data.select([i]), "cpu") for i in range(len(data))])
    np.testing.assert_allclose(together, alone, atol=1e-5)
