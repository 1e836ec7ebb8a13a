"""L5: a training step of HiMAE, channels-last 2-D convolutions against plain `nn.Conv1d`.

Usage: OMP_NUM_THREADS=1 python benchmarks/pyramid_step.py

The same weights, masks and windows (64 of 10 s at 100 Hz) in both; outputs are compared, rounds
interleaved, process time. Prints the median ratio of steps (forward and backward).
"""

import copy
import time

import numpy as np
import torch
from torch import nn

from caesura.data.synthetic.pulses import pulses
from caesura.recipes import himae
from caesura.types import Batch, Grid

ROUNDS = 7


class Plain(nn.Module):
    """A 2-D convolution one pixel high, computed as a 1-D one on (batch, channels, time)."""

    def __init__(self, conv):
        super().__init__()
        flat = {"kernel_size": conv.kernel_size[1], "stride": conv.stride[1],
                "padding": conv.padding[1], "bias": conv.bias is not None}  # fmt: skip
        if isinstance(conv, nn.ConvTranspose2d):
            flat["output_padding"] = conv.output_padding[1]
            self.conv = nn.ConvTranspose1d(conv.in_channels, conv.out_channels, **flat)
        else:
            self.conv = nn.Conv1d(conv.in_channels, conv.out_channels, **flat)
        with torch.no_grad():
            self.conv.weight.copy_(conv.weight.squeeze(2))
            if conv.bias is not None:
                self.conv.bias.copy_(conv.bias)

    def forward(self, x):
        """Drop the height of one, convolve, put it back."""
        return self.conv(x.squeeze(2).contiguous()).unsqueeze(2)


def plain_of(objective):
    """Return a copy whose convolutions are 1-D."""
    own = copy.deepcopy(objective)
    for module in list(own.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                setattr(module, name, Plain(child))
    return own


def main():
    """Time both and print the ratio."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    signals = torch.from_numpy(pulses(64, 0).signals)[:, None]
    grid = Grid(signals, torch.ones_like(signals, dtype=torch.bool), rate_hz=100.0)
    batch = Batch(grid, torch.arange(64))
    ours = himae.objective(himae.encoder())
    theirs = plain_of(ours)
    rngs = [torch.Generator().manual_seed(1) for _ in range(2)]
    with torch.no_grad():
        losses = [float(m(batch, r).total) for m, r in zip((ours, theirs), rngs, strict=True)]
    assert abs(losses[0] - losses[1]) < 1e-4, losses
    for dtype in (torch.float32, torch.bfloat16):
        ratios, spent = [], []
        for _ in range(ROUNDS):
            seconds = []
            for one in (theirs, ours):
                begun = time.process_time()
                for step in range(2):
                    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                        loss = one(batch, torch.Generator().manual_seed(step)).total
                    loss.backward()
                seconds.append(time.process_time() - begun)
            ratios.append(seconds[0] / seconds[1])
            spent.append(seconds[1] / 2)
        name = str(dtype).removeprefix("torch.")
        print(f"{name}: nn.Conv1d / ours {np.median(ratios[1:]):.2f}, "
              f"{64 / np.median(spent):.0f} windows a second")  # fmt: skip


if __name__ == "__main__":
    main()
