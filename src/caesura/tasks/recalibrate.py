"""Estimates batch normalisation anew on whole windows, after a training on masked ones.

HiMAE's encoder learns its statistics with most samples hidden, and is used on windows that hide
none. Plain averages over batches replace the running ones.
"""

from __future__ import annotations

import torch
from torch import nn

from caesura.training.inference import device_of, move
from caesura.training.loop import BatchSource


def recalibrate(encoder: nn.Module, source: BatchSource, batches: int) -> int:
    """Run training batches through the encoder, unmasked; returns the layers estimated anew."""
    layers = [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        return 0
    device = device_of(encoder)
    kept = [layer.momentum for layer in layers]
    mode = encoder.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average
    encoder.train()
    with torch.no_grad():
        for step in range(batches):
            for batch in source.training(step, 0, 1):
                encoder(move(batch.inputs, device))
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    encoder.train(mode)
    return len(layers)
