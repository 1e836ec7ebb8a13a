"""Toy versions of the four systems, as small as the types allow.

They exist to show that `caesura.types` and the loop carry masked, joint-embedding, multi-crop,
two-stage and distilled learning, in one process or several; nothing in them learns well.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from caesura.signal.noise import keyed_uniform
from caesura.types import Batch, Features, Grid, Level, Loss, Tokens

WIDTH, CODES = 8, 4


def ragged_batch(rows: range, width: int = 6) -> Batch:
    """Make Tokens of unequal length; a row depends on its number alone."""
    lengths = torch.tensor([3 + row % 4 for row in rows])
    rng = torch.Generator().manual_seed(7)
    values = torch.randn(64, width, 1, generator=rng)[list(rows)]
    valid = torch.arange(width) < lengths[:, None]
    positions = torch.arange(float(width))[None, :, None].expand(len(rows), -1, -1)
    tokens = Tokens(values * valid[..., None], valid[..., None], positions, valid)
    index = torch.tensor(list(rows))
    return Batch(tokens, index, target=index % 2)


def grid_batch(rows: range) -> Batch:
    """Make a Grid batch; a row depends on its number alone."""
    values = torch.randn(64, 2, 8, generator=torch.Generator().manual_seed(3))[list(rows)]
    return Batch(Grid(values, torch.ones_like(values, dtype=torch.bool)), torch.tensor(list(rows)))


class ToySource:
    """Splits the same eight series over ranks and micro-batches."""

    def __init__(self, make, micro: int = 1) -> None:
        self.make, self.micro = make, micro

    def steps_per_epoch(self, world_size):
        return 1

    def training(self, step, rank, world_size):
        # uneven shares on purpose: weights by count must make up for it
        cuts = {1: [0, 8], 2: [0, 3, 8]}[world_size]
        rows = range(cuts[rank], cuts[rank + 1])
        size = -(-len(rows) // self.micro)
        return [self.make(rows[i : i + size]) for i in range(0, len(rows), size)]

    def validation_steps(self, world_size):
        return 1

    def validation(self, rank, world_size):
        return self.training(0, rank, world_size)


class ToyEncoder(nn.Module):
    """Per-token layers and a masked mean; one level a block."""

    consumes, order, summary_width, reads_tokens = Tokens, "full", WIDTH, True

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(2, WIDTH)
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])

    @property
    def widths(self):
        return (WIDTH,)

    def tokenise(self, inputs):
        return inputs

    def forward(self, inputs, every_layer=False):
        x = self.project(torch.cat([inputs.values, inputs.positions], -1))
        levels = []
        for block in self.blocks:
            x = x + torch.tanh(block(x))
            levels.append(Level(x, inputs.valid, inputs.positions))
        real = inputs.valid[..., None]
        summary = (x * real).sum(1) / real.sum(1).clamp(min=1)
        return Features(tuple(levels) if every_layer else (levels[-1],), summary)


class ToyDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WIDTH + 1, 1)

    def forward(self, features, query):
        context = features.summary[:, None].expand(-1, query.positions.shape[1], -1)
        return self.out(torch.cat([context, query.positions], -1))


def hide(tokens: Tokens, index, rng):
    """Return (seen, hidden mask): half of each row's real tokens, at least one kept."""
    noise = keyed_uniform(rng, index, tokens.valid.shape[1]).masked_fill(~tokens.valid, 2.0)
    rank = noise.argsort(1).argsort(1)
    hidden = (rank < (tokens.valid.sum(1) // 2)[:, None]) & tokens.valid
    seen = replace(tokens, values=tokens.values * ~hidden[..., None], valid=tokens.valid & ~hidden)
    return seen, hidden


def masked_mean(error, real):
    count = real.sum().float()
    return (error * real).sum() / count.clamp(min=1), count


class Toy(nn.Module):
    needs_random_batches, comparable, target, carry_rules = False, True, "none", {}

    def after_step(self, carry, progress):
        pass


class ToyMasked(Toy):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = ToyEncoder(), ToyDecoder()

    def forward(self, batch, rng):
        tokens = self.encoder.tokenise(batch.inputs)
        seen, hidden = hide(tokens, batch.index, rng)
        guess = self.decoder(self.encoder(seen), tokens.without_values())
        total, count = masked_mean((guess - tokens.values).square()[..., 0], hidden)
        return Loss(total, count, {"mse": total.detach()})

    def parts(self):
        return {"encoder": self.encoder, "decoder": self.decoder}


def follow(teacher, student, momentum):
    """Exponential moving average, shard by shard where parameters are sharded."""
    with torch.no_grad():
        for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
            old.mul_(momentum).add_(new, alpha=1 - momentum)


def frozen_copy(module, make):
    copy = make()
    copy.load_state_dict(module.state_dict())
    return copy.requires_grad_(False)


class ToyJepa(Toy):
    needs_random_batches = True

    def __init__(self):
        super().__init__()
        self.encoder = ToyEncoder()
        self.teacher = frozen_copy(self.encoder, ToyEncoder)
        self.predict = nn.Linear(WIDTH, WIDTH)

    def forward(self, batch, rng):
        tokens = self.encoder.tokenise(batch.inputs)
        seen, hidden = hide(tokens, batch.index, rng)
        with torch.no_grad():
            goal = self.teacher(tokens).levels[-1].features
        guess = self.predict(self.encoder(seen).summary)[:, None]
        total, count = masked_mean((guess - goal).square().mean(-1), hidden)
        return Loss(total, count)

    def after_step(self, carry, progress):
        follow(self.teacher, self.encoder, 0.9 + 0.1 * progress)

    def parts(self):
        return {"encoder": self.encoder, "teacher": self.teacher}


class ToyDino(Toy):
    """Two global and two local crops of ragged tokens; the centre travels by `carry`."""

    needs_random_batches, carry_rules = True, {"centre": "mean"}

    def __init__(self):
        super().__init__()
        self.encoder, self.head = ToyEncoder(), nn.Linear(WIDTH, 5)
        self.teacher = nn.ModuleDict({"encoder": frozen_copy(self.encoder, ToyEncoder)})
        self.teacher["head"] = frozen_copy(self.head, lambda: nn.Linear(WIDTH, 5))
        self.register_buffer("centre", torch.zeros(5))

    def crop(self, tokens, index, rng, share):
        start = keyed_uniform(rng, index, 1)
        lengths = tokens.valid.sum(1, keepdim=True)
        kept = (lengths * share).ceil()
        first = (start * (lengths - kept + 1)).floor()
        place = torch.arange(tokens.valid.shape[1])
        inside = tokens.valid & (place >= first) & (place < first + kept)
        return replace(tokens, values=tokens.values * inside[..., None], valid=inside)

    def forward(self, batch, rng):
        tokens = self.encoder.tokenise(batch.inputs)
        crops = [self.crop(tokens, batch.index, rng, s) for s in (0.8, 0.8, 0.4, 0.4)]
        with torch.no_grad():
            raw = [self.teacher["head"](self.teacher["encoder"](c).summary) for c in crops[:2]]
            goals = [((r - self.centre) / 0.1).softmax(-1) for r in raw]
        guesses = [self.head(self.encoder(c).summary).log_softmax(-1) for c in crops]
        terms = [
            -(g * s).sum(-1).mean()
            for i, g in enumerate(goals)
            for j, s in enumerate(guesses)
            if i != j
        ]
        count = torch.tensor(float(len(batch.index)))
        centre = torch.stack(raw).mean((0, 1))
        return Loss(torch.stack(terms).mean(), count, carry={"centre": centre})

    def after_step(self, carry, progress):
        self.centre.lerp_(carry["centre"].float(), 0.1)
        follow(self.teacher["encoder"], self.encoder, 0.99)
        follow(self.teacher["head"], self.head, 0.99)

    def parts(self):
        return {"encoder": self.encoder, "head": self.head, "teacher": self.teacher}


class ToyTokenizer(nn.Module):
    """A codebook over windows of a Grid; the codes are learned by counting."""

    consumes, order, widths, summary_width = Grid, "full", (2,), 0
    reads_tokens = False

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(4, 2), nn.Linear(2, 4)
        self.register_buffer("codes", torch.tensor([[-1.0, 0], [1, 0], [0, 1], [0, -1]]))

    def forward(self, inputs, every_layer=False):
        patches = inputs.values.unflatten(-1, (2, 4)).flatten(1, 2)
        latent = self.enter(patches)
        positions = torch.arange(float(latent.shape[1]))[None, :, None].expand(len(latent), -1, -1)
        return Features((Level(latent, torch.ones(latent.shape[:2], dtype=torch.bool), positions),))


class ToyScaleTokens(Toy):
    carry_rules = {"code_count": "sum", "code_sum": "sum"}

    def __init__(self):
        super().__init__()
        self.tokenizer = ToyTokenizer()

    def forward(self, batch, rng):
        latent = self.tokenizer(batch.inputs).levels[0].features
        code = torch.cdist(latent, self.tokenizer.codes).argmin(-1)
        chosen = latent + (self.tokenizer.codes[code] - latent).detach()
        patches = batch.inputs.values.unflatten(-1, (2, 4)).flatten(1, 2)
        error = (self.tokenizer.leave(chosen) - patches).square()
        hits = nn.functional.one_hot(code, CODES).flatten(0, 1).float()
        carry = {"code_count": hits.sum(0), "code_sum": hits.T @ latent.detach().flatten(0, 1)}
        return Loss(error.mean(), torch.tensor(float(error.numel())), carry=carry)

    def after_step(self, carry, progress):
        mean = carry["code_sum"] / carry["code_count"].clamp(min=1)[:, None]
        used = carry["code_count"][:, None] > 0
        self.tokenizer.codes.copy_(torch.where(used, mean, self.tokenizer.codes).float())

    def parts(self):
        return {"tokenizer": self.tokenizer}


class ToyNextScale(Toy):
    """The second stage starts from the first one's tokenizer, frozen."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False)
        self.prior = nn.ModuleDict({"embed": nn.Embedding(CODES + 1, WIDTH)})
        self.prior["out"] = nn.Linear(WIDTH, CODES)

    def forward(self, batch, rng):
        with torch.no_grad():
            latent = self.tokenizer(batch.inputs).levels[0].features
            code = torch.cdist(latent, self.tokenizer.codes).argmin(-1)
        before = torch.cat([torch.full_like(code[:, :1], CODES), code[:, :-1]], 1)
        past = self.prior["embed"](before).cumsum(1)
        logits = self.prior["out"](past).flatten(0, 1)
        total = nn.functional.cross_entropy(logits, code.flatten())
        return Loss(total, torch.tensor(float(code.numel())))

    def parts(self):
        return {"tokenizer": self.tokenizer, "prior": self.prior}


class ToySupervised(Toy):
    target = "required"

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(WIDTH, 2)

    def forward(self, batch, rng):
        logits = self.head(self.encoder(batch.inputs).summary)
        total = nn.functional.cross_entropy(logits, batch.target)
        return Loss(total, torch.tensor(float(len(batch.index))))

    def parts(self):
        return {"encoder": self.encoder, "head": self.head}


class ToyDistil(Toy):
    def __init__(self, teacher):
        super().__init__()
        self.encoder, self.teacher = ToyEncoder(), teacher.requires_grad_(False)

    def forward(self, batch, rng):
        with torch.no_grad():
            goal = self.teacher(batch.inputs).summary
        error = (self.encoder(batch.inputs).summary - goal).square()
        return Loss(error.mean(), torch.tensor(float(error.numel())))

    def parts(self):
        return {"encoder": self.encoder}


def systems():
    """Yield (name, maker of the objective from the parts so far, batches)."""
    yield "masked", lambda parts: ToyMasked(), ragged_batch
    yield "jepa", lambda parts: ToyJepa(), ragged_batch
    yield "dino", lambda parts: ToyDino(), ragged_batch
    yield "scale_tokens", lambda parts: ToyScaleTokens(), grid_batch
    yield "next_scale", lambda parts: ToyNextScale(parts["scale_tokens"]["tokenizer"]), grid_batch
    yield "finetune", lambda parts: ToySupervised(parts["masked"]["encoder"]), ragged_batch
    yield "distil", lambda parts: ToyDistil(parts["jepa"]["encoder"]), ragged_batch
