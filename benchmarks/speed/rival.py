"""The usual way, written out: padded rows, dense masks, separate products, Python loops.

What the published RoMAE package does step by step, in our own words: the same layer counts and
sizes as `romae.encoder("tiny")` with its decoder, one scalar and two positions a token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

WIDTH, HEADS, HIDDEN = 180, 3, 720


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-12))


def rotate_axes(x: Tensor, angles: list[Tensor]) -> Tensor:
    """Rotate each axis' slice of the heads, one after the other."""
    parts = []
    for part, angle in zip(x.chunk(len(angles), dim=-1), angles, strict=True):
        first, second = part.chunk(2, dim=-1)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        parts.append(torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1))
    return torch.cat(parts, dim=-1)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(), Norm()
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor, angles: list[Tensor], mask: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (
            layer(y).view(*y.shape[:2], HEADS, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        q, k = rotate_axes(q, angles), rotate_axes(k, angles)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.silu(self.up(self.norm2(x))))


class Stack(nn.Module):
    def __init__(self, depth: int, axes: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in range(depth)])
        planes = WIDTH // HEADS // axes // 2
        theta = 10_000.0 ** (-torch.arange(planes) / planes)
        self.register_buffer("theta", theta)

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        angles = [positions[..., a, None] * self.theta for a in range(positions.shape[-1])]
        mask = torch.zeros(x.shape[0], x.shape[1], x.shape[1])  # made anew, also if all is real
        mask = mask.masked_fill(padding[:, None, :], float("-inf"))
        for layer in self.layers:
            x = layer(x, angles, mask)
        return x


class Rival(nn.Module):
    """Masked autoencoding of padded rows; `hidden` counts are those of the padded length."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(1, WIDTH)
        self.cls, self.token = (nn.Parameter(torch.zeros(1, 1, WIDTH)) for _ in range(2))
        self.encoder, self.decoder = Stack(12), Stack(2)
        self.between, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, values: Tensor, positions: Tensor, padding: Tensor, hidden: Tensor) -> Tensor:
        rows = len(values)
        seen = self.enter(values)[~hidden].view(rows, -1, WIDTH)
        places = positions[~hidden].view(rows, -1, 2)
        x = torch.cat([self.cls.expand(rows, -1, -1), seen], dim=1)
        x_places = torch.cat([torch.zeros(rows, 1, 2), places + 1], dim=1)
        x_padding = F.pad(padding[~hidden].view(rows, -1), (1, 0))
        x = self.between(self.encoder(x, x_places, x_padding))
        asked = self.token.expand(rows, int(hidden[0].sum()), -1)
        all_places = torch.cat([x_places, positions[hidden].view(rows, -1, 2) + 1], dim=1)
        all_padding = torch.cat([x_padding, padding[hidden].view(rows, -1)], dim=1)
        out = self.decoder(torch.cat([x, asked], dim=1), all_places, all_padding)
        predicted = self.head(out[:, x.shape[1] :])
        goal = values[hidden].view(rows, -1, 1)
        real = ~padding[hidden].view(rows, -1, 1)
        return ((predicted - goal) ** 2 * real).sum() / real.sum()


def loop_masks(lengths: list[int], width: int, ratio: float = 0.75) -> Tensor:
    """Draw which places to hide, row by row and place by place."""
    hidden = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in enumerate(lengths):
        count = int(width * ratio)
        chosen: list[int] = []
        order = torch.randperm(length).tolist()
        for place in order:
            if len(chosen) == min(int(length * ratio), count):
                break
            chosen.append(place)
        for place in range(width - 1, -1, -1):  # the same count in each row: fill with padding
            if len(chosen) >= count:
                break
            if place >= length:
                chosen.append(place)
        for place in order:
            if len(chosen) >= count:
                break
            if place not in chosen:
                chosen.append(place)
        for place in chosen:
            hidden[row, place] = True
    return hidden


class Series(Dataset):
    """One dictionary a series."""

    def __init__(self, values: list[Tensor], positions: list[Tensor]) -> None:
        self.values, self.positions = values, positions

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {"values": self.values[number], "positions": self.positions[number]}


def padded_loader(data: Series, rows: int, width: int) -> DataLoader:
    """Load batches padded to `width`, or to their own longest where it is 0, with masks."""

    def collate(items: list[dict[str, Tensor]]) -> tuple[Tensor, ...]:
        lengths = [len(item["values"]) for item in items]
        values = pad_sequence([item["values"] for item in items], batch_first=True)
        positions = pad_sequence([item["positions"] for item in items], batch_first=True)
        more = max(0, width - values.shape[1])
        values, positions = (F.pad(x, (0, 0, 0, more)) for x in (values, positions))
        padding = torch.arange(values.shape[1]) >= torch.tensor(lengths)[:, None]
        return values, positions, padding, loop_masks(lengths, values.shape[1])

    return DataLoader(data, batch_size=rows, shuffle=True, collate_fn=collate, num_workers=0)
