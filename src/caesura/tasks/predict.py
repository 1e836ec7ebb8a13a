"""Predictions of a fine-tuned run: probabilities of classes, or values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.schema import Target
from caesura.data.store import RaggedStore
from caesura.data.view import View, view_store
from caesura.errors import CheckpointError
from caesura.objectives.supervised import SupervisedConfig, head_inputs
from caesura.tasks.needs import Trained, need
from caesura.training.batches import inference_batches
from caesura.training.inference import averaged
from caesura.types import Batch


def predict(run: Trained, store: RaggedStore) -> NDArray[np.float64]:
    """Return probabilities (series, classes or labels), or values (series, targets).

    A series longer than the token limit is cut into windows; their outputs are averaged.
    """
    need(run, "head")
    return predict_view(run, view_store(store, run.schema))


def predict_view(run: Trained, view: View) -> NDArray[np.float64]:
    """Predict for a store that is seen by the run's schema already."""
    encoder, head = need(run, "encoder"), need(run, "head")
    config = run.recipe.stages[-1].objective
    target = run.schema.target
    if not isinstance(config, SupervisedConfig) or target is None:
        raise CheckpointError("this run was not fine-tuned; `caesura finetune` it first")
    settings = config

    def outputs_of(batch: Batch) -> list[torch.Tensor]:
        return [head(head_inputs(settings, encoder(batch.inputs), batch))]

    batches = inference_batches(view, run.recipe.training.max_tokens)
    (mean,) = averaged((encoder, head), batches, outputs_of, len(view))
    return _outputs(mean, target)


def decided(target: Target, outputs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class of each row of probabilities, by the weights that a target keeps."""
    return np.asarray((outputs * np.array(target.weights or 1.0)).argmax(1))


def _outputs(logits: NDArray[np.float64], target: Any) -> NDArray[np.float64]:
    if target.task == "classification":
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(shifted / shifted.sum(1, keepdims=True))
    if target.task == "multilabel":
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))
    return np.asarray(logits * np.array(target.scales) + np.array(target.centers))
