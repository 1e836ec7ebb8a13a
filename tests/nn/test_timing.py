"""The prior of sampling times: what it draws follows what it says, and a rhythm is learned."""

import torch
from torch.nn import functional as F

from caesura.nn.timing import Timing


def test_draws_follow_the_scores_that_are_learned():
    torch.manual_seed(0)
    timing, hints = Timing(3, 8), torch.randn(40, 3, 12)
    with torch.no_grad():
        timing.within.normal_()
    found = timing.draw(hints, torch.Generator().manual_seed(1))
    uniform = torch.rand(12, 3, 40, generator=torch.Generator().manual_seed(1)).permute(2, 1, 0)
    scores = timing(hints, found)
    assert torch.equal(found, uniform < scores.sigmoid())
    assert found.any()
    assert not found.all()


def test_scores_know_nothing_of_what_they_are_asked_for_nor_of_what_comes_later():
    torch.manual_seed(0)
    timing, hints = Timing(3, 8), torch.randn(1, 3, 12)
    with torch.no_grad():
        timing.within.normal_()
    seen = torch.rand(1, 3, 12) < 0.5
    whole = timing(hints, seen)
    for channel, step in ((0, 0), (1, 5), (2, 11)):
        other = seen.clone()
        other[:, channel, step] ^= True
        changed = (timing(hints, other) != whole)[0]
        assert not changed[:, :step].any()
        assert not changed[: channel + 1, step].any()
        assert changed[channel + 1 :, step].all()
        assert changed[:, step + 1 :].any() or step == 11


def rhythm(rows, steps, seed):
    """Two channels measured together every fourth step from a start of each row's own, one of them
    left out now and then."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.randint(0, 4, (rows, 1), generator=rng)
    on = (torch.arange(steps) - start) % 4 == 0
    kept = torch.rand(rows, steps, generator=rng) < 0.8
    return torch.stack([on, on & kept], 1)


def test_a_rhythm_is_learned():
    torch.manual_seed(0)
    timing, hints = Timing(2, 32), torch.zeros(64, 2, 24)
    optimizer = torch.optim.Adam(timing.parameters(), 1e-2)
    for step in range(400):
        seen = rhythm(64, 24, step)
        loss = F.binary_cross_entropy_with_logits(timing(hints, seen), seen.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = timing.draw(torch.zeros(400, 2, 24), torch.Generator().manual_seed(0))
    first, second = made.unbind(1)
    gaps = torch.cat([one.nonzero()[:, 0].diff() for one in first])
    assert (gaps == 4).float().mean() > 0.95
    assert (second & ~first).float().mean() < 0.01
    assert abs(second[first].float().mean() - 0.8) < 0.05
    starts = first.float().argmax(1)
    assert (torch.bincount(starts, minlength=4)[:4] > 60).all()
