"""Image series of a pendulum with frames that fade into noise, and what its physics allow.

Own generator from the physics and the verbal description of the set (RKN, CRU; RoMAE, sec. 5.4):
no line of the public ones, which are under the AGPL. Figures on these data are therefore not
comparable with published ones beyond their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDE, STEPS, KEPT = 24, 100, 50
_GRAVITY, _FRICTION, _DT, _VELOCITY_NOISE = 9.81, 0.1, 0.01, 0.1
_LENGTH, _HALF_WIDTH = 10.0, 0.5
_READABLE = 0.02
"""Share of line in a frame below which it is noise."""


@dataclass(frozen=True)
class PendulumFrames:
    """frames: uint8 (sequences, 50, 24, 24); steps: (sequences, 50) of 0 to 99; angle: of each
    kept frame; clarity: share of line in each, 0 is pure noise."""

    frames: NDArray[np.uint8]
    steps: NDArray[np.int64]
    angle: Array
    clarity: Array

    @property
    def targets(self) -> NDArray[np.float32]:
        """Sine and cosine of the angle, (sequences, 50, 2)."""
        return np.stack([np.sin(self.angle), np.cos(self.angle)], axis=-1).astype(np.float32)


def pendulum(count: int, seed: int) -> PendulumFrames:
    """Draw sequences: start angle U(-pi, pi) at rest, noise on the velocity, half of the frames.

    The share of line follows a clipped random walk, cut off at two random thresholds.
    """
    rng = np.random.default_rng(seed)
    angle, velocity = rng.uniform(-np.pi, np.pi, count), np.zeros(count)
    path = np.empty((count, STEPS))
    for step in range(STEPS):
        path[:, step] = angle
        angle, velocity = _advance(angle, velocity)
        velocity = velocity + _VELOCITY_NOISE * rng.standard_normal(count)
    walk = np.empty((count, STEPS))
    walk[:, 0] = rng.random(count)
    for step in range(1, STEPS):
        walk[:, step] = np.clip(walk[:, step - 1] + rng.uniform(-0.2, 0.2, count), 0, 1)
    low, high = rng.uniform(0, 0.25, (count, 1)), rng.uniform(0.75, 1, (count, 1))
    clarity = np.clip((walk - low) / (high - low), 0, 1)
    steps = np.sort(rng.random((count, STEPS)).argsort(1)[:, :KEPT], axis=1)
    path, clarity = (np.take_along_axis(x, steps, 1) for x in (path, clarity))
    frames = np.empty((count, KEPT, SIDE, SIDE), np.uint8)
    for rows in np.array_split(np.arange(count), max(1, count // 100)):
        share = clarity[rows][..., None, None]
        noise = rng.random((len(rows), KEPT, SIDE, SIDE))
        frames[rows] = np.round(255 * (share * _drawn(path[rows]) + (1 - share) * noise))
    return PendulumFrames(frames, steps, path, clarity)


def _advance(angle: Array, velocity: Array) -> tuple[Array, Array]:
    velocity = velocity + _DT * (-_GRAVITY * np.sin(angle) - _FRICTION * velocity)
    return angle + _DT * velocity, velocity


def _drawn(angle: Array) -> Array:
    """Return images of a line from the centre, angle 0 downwards; (..., 24, 24) in [0, 1]."""
    centre = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - centre
    across, down = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    along = np.clip(x * across + y * down, 0, _LENGTH)
    distance = np.hypot(x - along * across, y - along * down)
    return np.asarray(np.clip(1 + _HALF_WIDTH - distance, 0, 1))


def oracles(data: PendulumFrames, noise: float = 0.03) -> tuple[Array, Array]:
    """Return (sin, cos) of each kept frame by a filter and by a smoother: (sequences, 50, 2).

    Both know the equations and read the angle of each readable frame up to `noise` radians.
    The filter (extended Kalman) sees frames up to its own, the smoother (Rauch, Tung, Striebel)
    all of them. Before a first readable frame the filter says (0, 0).
    """
    filtered = np.zeros((*data.angle.shape, 2))
    smoothed = np.zeros_like(filtered)
    rng = np.random.default_rng(0)
    read = data.angle + noise * rng.standard_normal(data.angle.shape)
    for row in range(len(data.angle)):
        means, covers, smooth = _track(
            data.steps[row], read[row], data.clarity[row] > _READABLE, noise
        )
        shrink = np.exp(-0.5 * covers[data.steps[row], 0, 0])
        own = means[data.steps[row], 0]
        known = np.isfinite(own)
        both = np.stack([np.sin(own), np.cos(own)], axis=-1) * shrink[:, None]
        filtered[row] = np.where(known[:, None], both, 0.0)
        angle = smooth[data.steps[row], 0]
        smoothed[row] = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return filtered, smoothed


def _track(
    steps: NDArray[np.int64], read: Array, readable: NDArray[np.bool_], noise: float
) -> tuple[Array, Array, Array]:
    """Return filtered means (100, 2) and covariances, and smoothed means; NaN before a start."""
    means, covers = np.full((STEPS, 2), np.nan), np.zeros((STEPS, 2, 2))
    ahead, ahead_covers = means.copy(), covers.copy()
    slopes = np.zeros((STEPS, 2, 2))
    seen = {int(s): float(a) for s, a, r in zip(steps, read, readable, strict=True) if r}
    if not seen:
        return means, covers, np.zeros((STEPS, 2))
    start = min(seen)
    mean = np.array([seen[start], 0.0])
    wide = (_GRAVITY * _DT * start) ** 2 / 2 + _VELOCITY_NOISE**2 * start + 1e-6
    cover = np.diag([noise**2, wide])
    for step in range(start, STEPS):
        if step > start:
            mean, slope = _predicted(mean)
            cover = slope @ cover @ slope.T + np.diag([0.0, _VELOCITY_NOISE**2])
            slopes[step], ahead[step], ahead_covers[step] = slope, mean, cover
            if step in seen:
                gain = cover[:, 0] / (cover[0, 0] + noise**2)
                gap = np.angle(np.exp(1j * (seen[step] - mean[0])))
                mean, cover = mean + gain * gap, cover - np.outer(gain, cover[0])
        means[step], covers[step] = mean, cover
    smooth = means.copy()
    for step in range(STEPS - 2, start - 1, -1):
        gain = covers[step] @ slopes[step + 1].T @ np.linalg.inv(ahead_covers[step + 1])
        smooth[step] = means[step] + gain @ (smooth[step + 1] - ahead[step + 1])
    for step in range(start - 1, -1, -1):  # before the first readable frame: backwards in time
        angle, velocity = smooth[step + 1]
        before = angle - _DT * velocity
        pull = velocity + _DT * _GRAVITY * np.sin(before)
        smooth[step] = before, pull / (1 - _DT * _FRICTION)
    return means, covers, smooth


def _predicted(state: Array) -> tuple[Array, Array]:
    angle, velocity = state
    kick = np.array([-_DT * _GRAVITY * np.cos(angle), 1 - _DT * _FRICTION])
    slope = np.array([[1 + _DT * kick[0], _DT * kick[1]], kick])
    angle, velocity = _advance(np.array([angle]), np.array([velocity]))
    # velocity noise enters after the step: it moves the angle one step later
    return np.array([angle[0], velocity[0]]), slope
