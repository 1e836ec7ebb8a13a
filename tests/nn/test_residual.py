"""Noise is drawn as rests were measured: size, memory, coupling, and what is slow beside quick."""

import torch

from caesura.nn.residual import Residual


def generator(seed):
    return torch.Generator().manual_seed(seed)


def everything(rest):
    return torch.ones_like(rest, dtype=torch.bool)


def test_noise_is_drawn_as_it_was_measured():
    rng = generator(0)
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    steps = torch.randn(4000, 2, 40, generator=rng)
    steps = torch.einsum("ij,njt->nit", mix, steps)
    rest = [steps[..., 0] / (1 - 0.6**2) ** 0.5]
    for t in range(1, 40):
        rest.append(0.6 * rest[-1] + steps[..., t])
    rest = torch.stack(rest, -1)
    noise = Residual(2, 4)
    assert float(noise.draw(5, 10, generator(1)).abs().max()) == 0.0  # nothing before
    observed = torch.rand(rest.shape, generator=rng) > 0.2
    noise.measure(rest * observed, observed)
    drawn = noise.draw(4000, 40, generator(2))
    for own, other in (
        (rest.std((0, 2)), drawn.std((0, 2))),
        (
            (rest[..., 1:] * rest[..., :-1]).mean((0, 2)),
            (drawn[..., 1:] * drawn[..., :-1]).mean((0, 2)),
        ),
        ((rest[:, 0] * rest[:, 1]).mean(), (drawn[:, 0] * drawn[:, 1]).mean()),
    ):
        torch.testing.assert_close(own, other, rtol=0.06, atol=0.03)


def test_a_level_that_keeps_and_quick_errors_stay_apart():
    rng = generator(0)
    level = torch.randn(3000, 2, 1, generator=rng)
    quick = 0.3 * torch.randn(3000, 2, 24, generator=rng)
    rest = level + quick
    noise = Residual(2, 4)
    noise.measure(rest, everything(rest))
    drawn = noise.draw(3000, 24, generator(1))
    for of in (
        lambda x: x.diff(dim=-1).std(),
        lambda x: x[..., :4].mean(-1).std(),
        lambda x: (x[..., :4].mean(-1) * x[..., -4:].mean(-1)).mean(),  # an AR(1) would forget
    ):
        torch.testing.assert_close(of(drawn), of(rest), rtol=0.15, atol=0.0)


def test_jumps_between_places_stay_there():
    rng = generator(0)
    rest = torch.randn(2000, 1, 6, generator=rng).repeat_interleave(4, -1)
    noise = Residual(1, 4)
    noise.measure(rest, everything(rest))
    jumps = noise.draw(2000, 24, generator(1)).diff(dim=-1).square().mean((0, 1))
    at = torch.arange(23) % 4 == 3
    assert float(jumps[~at].max()) < 1e-3
    torch.testing.assert_close(jumps[at], torch.full((5,), 2.0), rtol=0.15, atol=0.0)


def test_smooth_rests_with_larger_ends_do_not_jump_between_places():
    """Sines' rests are so: codes see one side of a window's ends, and errors there are larger."""
    rng = generator(0)
    phase = 6.28 * torch.rand(4000, 2, 1, generator=rng)
    at = torch.arange(24.0)
    ends = 1 + 0.8 * torch.exp(-at) + 0.8 * torch.exp(at - 23)
    size = torch.randn(4000, 2, 1, generator=rng)
    pace = 0.2 + 0.1 * torch.rand(4000, 2, 1, generator=rng)
    rest = size * ends * torch.sin(pace * at + phase)
    rest += 0.01 * torch.randn(rest.shape, generator=rng)
    noise = Residual(2, 4)
    noise.measure(rest, everything(rest))
    drawn = noise.draw(4000, 24, generator(1))

    def size_of(x):
        return x.square().mean((0, 1)).sqrt()

    torch.testing.assert_close(size_of(drawn), size_of(rest), rtol=0.15, atol=0.0)
    bends, real = (size_of(x.diff(2, dim=-1)) for x in (drawn, rest))
    assert float((bends[4:-4] / real[4:-4]).max()) < 1.5


def test_noise_of_what_is_seldom_measured_together_is_no_wider_and_does_not_swing():
    """Like stays in hospital: of some channels an hour is measured, of many a day."""
    rng = generator(0)
    rows, channels, time = 1000, 40, 48
    common = torch.randn(rows, 1, 1, generator=rng)
    rest = [common + torch.randn(rows, channels, 1, generator=rng)]
    for _ in range(time - 1):
        shock = torch.randn(rows, channels, 1, generator=rng)
        rest.append(common + 0.9 * (rest[-1] - common) + (1 - 0.9**2) ** 0.5 * shock)
    rest = torch.cat(rest, -1)
    often = torch.linspace(0.02, 0.5, channels)[:, None]
    observed = torch.rand(rest.shape, generator=rng) < often
    observed[:, -10:, 1::2] = False  # only on the hour
    noise = Residual(channels, 4)
    noise.measure(rest * observed, observed)
    drawn = noise.draw(2000, time, generator(1))
    wide = drawn.square().mean((0, 2)).sqrt() / rest.square().mean((0, 2)).sqrt()
    assert float(wide.min()) > 0.8
    assert float(wide.max()) < 1.25
    found, real = (
        torch.stack([(x[..., lag:] * x[..., :-lag]).mean((0, 2)) for lag in (1, 2, 4, 8)], 1)
        / x.square().mean((0, 2))[:, None]
        for x in (drawn, rest)
    )
    assert float((found - real)[20:30].abs().max()) < 0.2  # those measured in 0.26 and more
    assert float((found - real)[30:, 1:].abs().max()) < 0.2  # neighbours never were together
    assert float(found.min()) > 0.0
    both = torch.corrcoef(drawn[:, 20:, 10:14].mean(-1).T)
    assert (
        0.25 < float(both[~torch.eye(20, dtype=torch.bool)].mean()) < 0.6
    )  # 0.5, where pairs are many


def test_any_length_channels_and_few_windows_will_do():
    for rows, channels, time, hop in ((1, 1, 2, 4), (2, 3, 9, 4), (5, 600, 8, 8), (4, 2, 4, 4)):
        rest = torch.randn(rows, channels, time, generator=generator(0))
        noise = Residual(channels, hop)
        assert float(noise.draw(3, time, generator(1)).abs().max()) == 0.0  # nothing before
        noise.measure(rest, everything(rest))
        drawn = noise.draw(7, time + 1, generator(1))
        assert drawn.shape == (7, channels, time + 1)
        assert bool(drawn.isfinite().all())


def test_gaps_of_any_kind_will_do():
    for rows, channels, time, hop, share in (
        (1, 1, 2, 4, 0.5), (2, 3, 9, 4, 0.3), (5, 600, 8, 8, 0.2), (4, 2, 40, 4, 0.0),
        (50, 2, 4, 4, 0.5), (3, 1, 400, 8, 0.1),
    ):  # fmt: skip
        rest = torch.randn(rows, channels, time, generator=generator(0))
        observed = torch.rand(rest.shape, generator=generator(1)) < share
        observed[:, : channels - 1 : 2] = False  # some never are
        for size in (1.0, 0.0):
            noise = Residual(channels, hop)
            noise.measure(size * rest * observed, observed)
            drawn = noise.draw(7, time + 1, generator(2))
            assert drawn.shape == (7, channels, time + 1)
            assert bool(drawn.isfinite().all())
            assert float(drawn[:, : channels - 1 : 2].abs().sum()) < 1e-6
            assert float(drawn.abs().max()) < 10 * size + 1e-6


def test_its_correlation_is_that_of_what_it_draws():
    rng = generator(0)
    level = torch.randn(3000, 2, 6, generator=rng).repeat_interleave(4, -1)
    rest = torch.tensor([[1.0], [0.2]]) * level + 0.5 * torch.randn(3000, 2, 24, generator=rng)
    rest[:, :, 4:] += rest[:, :, :-4].clone()
    noise = Residual(2, 4)
    noise.measure(rest, everything(rest))
    drawn = noise.draw(20_000, 24, generator(1))
    found = noise.correlation(9)
    power = drawn[..., 4:20].square().mean((0, 2))  # between the ends, whose size is their own
    for lag in range(9):
        pairs = [drawn[..., at] * drawn[..., at + lag] for at in range(4, 12)]  # whole places
        torch.testing.assert_close(
            found[:, lag].float(), torch.stack(pairs).mean((0, 1)) / power, atol=0.04, rtol=0
        )
    assert not Residual(2, 4).correlation(9).any()  # nothing before
