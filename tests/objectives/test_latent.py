"""Latent objectives against literal transcriptions of their formulas."""

import math

import pytest
import torch
from torch.nn import functional as F

from builders import generator, make_batch
from caesura.nn.teacher import follow, frozen_copy, momentum_at
from caesura.objectives.dino import koleo, sinkhorn
from caesura.objectives.vicreg import covariance_penalty, variance_hinge
from caesura.signal.collapse import alignment, effective_rank, uniformity
from caesura.signal.mask import keep_indices
from contracts.test_tables import make_objective


def rows(count=20, dim=5, seed=0):
    return torch.randn(count, dim, generator=generator(seed)) * 0.7


def test_variance_and_covariance_equal_vicreg_by_the_letter():
    z = rows().requires_grad_()
    variance = torch.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean()
    covariance = (z - z.mean(0)).T @ (z - z.mean(0)) / (len(z) - 1)
    off = sum(covariance[i, j] ** 2 for i in range(5) for j in range(5) if i != j) / 5
    torch.testing.assert_close(variance_hinge(z), variance)
    torch.testing.assert_close(covariance_penalty(z), off)
    (ours,) = torch.autograd.grad(variance_hinge(z) + covariance_penalty(z), z)
    (theirs,) = torch.autograd.grad(variance + off, z)
    torch.testing.assert_close(ours, theirs)


def test_dino_is_ln_k_where_all_shares_are_uniform():
    objective = make_objective("dino").eval()
    for head in (objective.head, objective.teacher_head):
        torch.nn.init.zeros_(head.projector.out.weight)  # all cosines 0
        torch.nn.init.zeros_(head.projector.out.bias)
    loss = objective(make_batch((9, 6, 4)), generator(0))
    assert float(loss.parts["cross_entropy"]) == pytest.approx(math.log(256), abs=1e-5)


def test_dino_equals_its_formula():
    """Two global views and two local ones: five pairs a teacher's view leaves, less its own."""
    objective = make_objective("dino").eval()
    objective.centre.normal_(std=0.1, generator=generator(2))
    batch = make_batch((9, 6, 4))
    from caesura.nn.heads import pooled
    from caesura.signal.views import several_views

    views = several_views(
        batch.inputs, batch.index, generator(5), objective.config.crops, objective.config.view
    )

    def logits(encoder, head, view):
        x = F.normalize(head.projector(pooled(encoder(view), "auto")), dim=-1)
        return x @ F.normalize(head.prototypes.weight, dim=-1).T

    total, pairs = 0.0, 0
    for g in range(2):
        taught = logits(objective.teacher, objective.teacher_head, views[g])
        p = torch.softmax((taught - objective.centre) / 0.04, -1)
        for v in range(4):
            if v != g:
                q = torch.softmax(logits(objective.encoder, objective.head, views[v]) / 0.1, -1)
                total, pairs = total - (p * q.log()).sum(-1).mean(), pairs + 1
    loss = objective(batch, generator(5))
    torch.testing.assert_close(loss.total, total / pairs, atol=1e-5, rtol=1e-5)


def test_sinkhorn_balances_prototypes_and_keeps_rows_whole():
    shares = sinkhorn(3 * rows(64, 8), rounds=50)
    torch.testing.assert_close(shares.sum(1), torch.ones(64), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shares.sum(0), torch.full((8,), 8.0), atol=1e-2, rtol=1e-2)


def test_koleo_is_minus_the_mean_log_distance_to_the_nearest():
    z = rows(12, 3)
    unit = F.normalize(z, dim=-1)
    distances = torch.cdist(unit, unit).fill_diagonal_(9)
    expected = -(distances.min(1).values + 1e-8).log().mean()
    torch.testing.assert_close(koleo(z), expected, atol=1e-4, rtol=1e-4)


def test_jepa_equals_its_formula():
    objective = make_objective("jepa").eval()
    batch = make_batch((9, 8, 6))
    tokens = batch.inputs
    hidden = objective._blocks(tokens, batch, generator(4))
    assert (hidden.sum(1) <= tokens.valid.sum(1) - 1).all()
    assert (hidden.sum(1) >= (tokens.valid.sum(1) * 0.4).long()).all()
    seen = tokens.select(*keep_indices(tokens.valid & ~hidden))
    places, real = keep_indices(hidden)
    said = objective.predictor(objective.encoder(seen), tokens.select(places, real))
    known = objective.teacher(tokens).levels[-1].features
    total, count, means = 0.0, 0, []
    for row in range(3):
        own = said[row, : int(real[row].sum())]
        for k, vector in enumerate(own):
            goal = known[row, places[row, k]]
            goal = (goal - goal.mean()) / torch.sqrt(goal.var(unbiased=False) + 1e-5)
            total, count = total + (vector - goal).square().mean(), count + 1
        means.append(own.mean(0))
    z = torch.stack(means)
    loss = objective(batch, generator(4))
    expected = total / count + variance_hinge(z) + 0.04 * covariance_penalty(z)
    torch.testing.assert_close(loss.total, expected, atol=1e-5, rtol=1e-4)


def test_the_variance_term_sees_series_and_not_positions():
    """Features of the position alone vary within a series and are a collapse all the same."""
    same = torch.randn(1, 7, 5, generator=generator(0)).expand(16, -1, -1)
    assert float(variance_hinge(same.mean(1))) == pytest.approx(0.99, abs=1e-3)


def test_a_teacher_follows_by_its_momentum_and_the_momentum_rises_to_one():
    student = torch.nn.Linear(3, 2)
    teacher = frozen_copy(student)
    before = teacher.weight.clone()
    student.weight.data += 1
    follow(teacher, student, 0.9)
    torch.testing.assert_close(teacher.weight, before + 0.1)
    assert [momentum_at(0.996, p) for p in (0.0, 1.0)] == pytest.approx([0.996, 1.0])


def test_a_teacher_moves_in_after_step_and_never_by_a_gradient():
    for name in ("jepa", "dino"):
        objective = make_objective(name).train()
        before = [p.clone() for p in objective.teacher.parameters()]
        loss = objective(make_batch((9, 6, 4)), generator(0))
        loss.total.backward()
        assert all(p.grad is None for p in objective.teacher.parameters())
        for p in objective.encoder.parameters():
            p.data += 0.1
        objective.after_step(loss.carry, 0.0)
        moved = [
            bool((a != b).any())
            for a, b in zip(before, objective.teacher.parameters(), strict=True)
        ]
        assert all(moved)


def test_signs_of_collapse_know_the_extremes():
    same = torch.ones(10, 4)
    assert float(effective_rank(same)) == 0
    line = torch.arange(10.0)[:, None] * torch.ones(1, 4)
    assert float(effective_rank(line)) == pytest.approx(1, abs=1e-4)
    assert 3.5 < float(effective_rank(rows(500, 4))) <= 4.0001
    assert float(alignment(rows(), rows())) == pytest.approx(0, abs=1e-6)
    assert float(alignment(rows(), -rows())) == pytest.approx(4, abs=1e-5)
    assert float(uniformity(same)) == pytest.approx(0, abs=1e-5)
    assert float(uniformity(rows(200, 30))) < -3
