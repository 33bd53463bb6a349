"""The best constant answer: what a score is worth that a table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Majority(Method):
    """Answer the most frequent class of the training rows, or their mean, whatever is asked."""

    info = MethodInfo(
        name="majority",
        summary="always answer the most frequent class, or the mean of a regression",
        kind="reference",
        removes="nothing",
        starts_from="none",
        control=True,
        version=2,
        revised_after=(),  # its probabilities were wrong; answers and scores stay
    )
    Params = bench.Params

    def compress(self, run: Run, params: bench.Params) -> PreTrainedModel:
        """Returns the untrained model with a head that ignores it and answers by its bias."""
        import torch

        model = run.pretrained()
        answer = list(bench.head_modules(model).values())[-1]
        labels = torch.tensor(run.labels())
        with torch.no_grad():
            answer.weight.zero_()
            if run.task.finds_spans:  # which it knows none of: no piece is likelier than another
                answer.bias.zero_()
            elif run.task.is_regression:
                answer.bias.fill_(labels.mean())
            else:
                shares = labels.bincount(minlength=run.task.num_labels) / len(labels)
                # Their logarithms, so that its probabilities are the shares; half a row for none.
                answer.bias.copy_(shares.clamp(min=0.5 / len(labels)).log())
        return model
