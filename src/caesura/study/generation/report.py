"""The page on synthetic series: scores beside floors, and pictures of both kinds of windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.lattice import value_step
from caesura.drawing import ACCENT, INK, SOFT, as_svg, new_figure
from caesura.metrics.generate import autocorrelation, scaled_like
from caesura.study.generation.windows import Sets
from caesura.study.report import Section, Table, write_report
from caesura.tasks.synthetic_scores import Measured

Floats = NDArray[np.floating[Any]]
_PANELS = 4
"""Channels that are drawn."""
_BINS = 40
_POINTS = 400
"""Windows of each kind in a map."""


def lead_of(found: Sequence[Measured]) -> str:
    """Return the first sentences: can the windows be told from real ones, and are they copies."""
    scores = [one for one in found if one.name.startswith("discriminative")]
    text = _told_apart(scores) if scores else "No critic was asked to tell them apart."
    copies = next((one for one in found if one.name == "copying ratio"), None)
    if copies is not None:
        share = copies.synthetic.mean() / copies.floor.mean()
        text += (
            f" Their distance to training windows is {share:.2f} times what it is for unseen real "
            f"ones{': they are too near, some may be copies' if share < 0.9 else ''}."
        )
    return text


def _told_apart(scores: Sequence[Measured]) -> str:
    """Return what the critic says that sees most."""
    worst = max(scores, key=lambda one: float(one.synthetic.mean() - one.floor.mean()))
    gap = worst.synthetic.mean() - worst.floor.mean()
    text = (
        f"The keenest critic ({worst.name.removeprefix('discriminative score, ')}) tells "
        f"synthetic from unseen real windows {100 * worst.synthetic.mean():.1f} points better than "
        f"by chance, and real ones that trained from those {100 * worst.floor.mean():.1f}: "
        f"{100 * gap:+.1f} points."
    )
    if not worst.informative:
        text += " Real windows of different times differ so much that this is not informative."
    return text


def write_page(path: Path, sets: Sets, found: Sequence[Measured]) -> None:
    """Write the page, whole or not at all."""
    sections = [
        Section(
            "Scores",
            ["Each measure compares synthetic windows, and real ones that may have trained "
             "('real', the floor), with real windows that were held out. In brackets: the least "
             "and largest of several seeds."],
            tables=[Table([one.row() for one in found])],
        ),
        Section(
            "Values, time and frequency",
            [_drawn_of(sets)],
            figures=[
                (_marginals(sets), "Distribution of the values of each channel; where gaps are "
                                  "compared, of those measured."),
                (_lags(sets), "Autocorrelation: deviations from the channel's mean."),
                (_spectra(sets), "Mean spectrum of a window."),
            ],
        ),
        Section(
            "Maps of windows",
            ["Each point is a window; where synthetic ones (accented) leave real ones uncovered, "
             "kinds of windows are missing."],
            figures=[(_maps(sets), "Principal components, and t-SNE, of whole windows.")],
        ),
        Section(
            "Nearest neighbours",
            ["Synthetic windows and the training windows nearest to them: near copies would lie on "
             "one another."],
            figures=[(_neighbours(sets),
                      f"Four synthetic windows, channel {sets.names[_measured_most(sets)[0]]}; "
                      "distances are of all channels.")],
        ),
    ]  # fmt: skip
    write_report(path, "Synthetic series beside real ones", lead_of(found), sections)


def _channels(sets: Sets) -> list[int]:
    """Return the channels that are drawn: where gaps are compared, those measured most, and when
    they were."""
    count = len(sets.names)
    if sets.gaps:
        most = sorted(_measured_most(sets)[: _PANELS // 2])
        return most + [count // 2 + one for one in most]
    chosen = np.unique(np.linspace(0, count - 1, min(count, _PANELS)).astype(int))
    return [int(one) for one in chosen]


def _drawn_of(sets: Sets) -> str:
    """Return how many of the channels are drawn."""
    kinds = 2 if sets.gaps else 1
    count, drawn = len(sets.names) // kinds, len(_channels(sets)) // kinds
    return f"{drawn} of the {count} channels." if drawn < count else "All channels."


def _measured_most(sets: Sets) -> list[int]:
    """Return the channels that hold values, those measured most first."""
    share = sets.measured(sets.unseen).mean((0, 2))[: sets.target() + 1]
    return [int(one) for one in np.argsort(-share, kind="stable")]


def _marginals(sets: Sets) -> str:
    chosen = _channels(sets)
    figure, axes = new_figure(2.6 * len(chosen), 2.2, len(chosen))
    for place, channel in enumerate(chosen):
        real, made = (
            one[:, channel][sets.measured(one)[:, channel]] for one in (sets.unseen, sets.synthetic)
        )
        edges = _edges(real)
        for values, colour, name in ((real, INK, "real, unseen"), (made, ACCENT, "synthetic")):
            axes[0, place].hist(values, edges, density=True, histtype="step", color=colour,
                                label=name)  # fmt: skip
        axes[0, place].set(title=sets.names[channel], yticks=[])
    return _with_legend(figure, axes)


def _edges(real: Floats) -> Floats:
    """Return edges of about 40 bins of nearly all values, each of as many of their steps as all."""
    low, high = (float(one) for one in np.quantile(real, [0.001, 0.999]))
    step = value_step(real.astype(np.float32))
    if step:
        width = step * max(1, round((high - low) / step / _BINS))
        return np.arange(low - step / 2, high + width, width)
    return np.linspace(low, high, _BINS + 1) if high > low else low + np.linspace(-1, 1, _BINS + 1)


def _lags(sets: Sets) -> str:
    chosen = _channels(sets)
    figure, axes = new_figure(2.6 * len(chosen), 2.2, len(chosen))
    for values, colour, name in (
        (autocorrelation(sets.train), SOFT, "real, training"),
        (autocorrelation(sets.unseen), INK, "real, unseen"),
        (autocorrelation(sets.synthetic), ACCENT, "synthetic"),
    ):
        for place, channel in enumerate(chosen):
            lags = np.arange(1, values.shape[1] + 1)
            axes[0, place].plot(lags, values[channel], color=colour, lw=1.2, label=name)
            axes[0, place].set(title=sets.names[channel], xlabel="steps")
    return _with_legend(figure, axes)


def _spectra(sets: Sets) -> str:
    chosen = _channels(sets)
    figure, axes = new_figure(2.6 * len(chosen), 2.2, len(chosen))
    both = scaled_like(sets.unseen, sets.unseen, sets.synthetic)
    kinds = ("real, unseen", "synthetic")
    for values, colour, name in zip(both, (INK, ACCENT), kinds, strict=True):
        power = np.square(np.abs(np.fft.rfft(values))).mean(0)[:, 1:]
        for place, channel in enumerate(chosen):
            at = np.arange(1, power.shape[1] + 1) / values.shape[2]
            axes[0, place].semilogy(at, power[channel] + 1e-12, color=colour, lw=1.2, label=name)
            axes[0, place].set(title=sets.names[channel], xlabel="cycles a step")
    return _with_legend(figure, axes)


def _maps(sets: Sets) -> str:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    both = scaled_like(sets.unseen, sets.unseen, sets.synthetic)
    rows = [_some(one).reshape(min(len(one), _POINTS), -1) for one in both]
    joined = np.concatenate(rows)
    perplexity = float(min(40, (len(joined) - 1) // 3))
    flat = PCA(2).fit_transform(joined) if joined.shape[1] > 1 else np.repeat(joined, 2, 1)
    near = TSNE(2, perplexity=perplexity, init="random", random_state=0).fit_transform(joined)
    figure, axes = new_figure(7.0, 3.0, 2)
    for place, (points, title) in enumerate(((flat, "principal components"), (near, "t-SNE"))):
        parts = np.split(points, [len(rows[0])])
        for part, colour, name in zip(parts, (INK, ACCENT), ("real", "synthetic"), strict=True):
            axes[0, place].scatter(part[:, 0], part[:, 1], s=5, color=colour, alpha=0.5, label=name)
        axes[0, place].set(title=title, xticks=[], yticks=[])
    return _with_legend(figure, axes)


def _neighbours(sets: Sets, count: int = 4) -> str:
    some = _some(sets.synthetic, count)
    made, train = scaled_like(sets.train, some, sets.train)
    drawn = _measured_most(sets)[0]
    figure, axes = new_figure(2.6 * len(made), 2.0, len(made))
    for place, one in enumerate(made):
        nearest = sets.train[int(np.square(train - one).sum((1, 2)).argmin()), drawn]
        axes[0, place].plot(nearest, color=INK, lw=1.2, label="training")
        axes[0, place].plot(some[place, drawn], color=ACCENT, lw=1.2, label="synthetic")
        axes[0, place].set(xlabel="steps")
    return _with_legend(figure, axes)


def _with_legend(figure: Any, axes: Any) -> str:
    """Return the drawing with one legend below its panels."""
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", ncol=3, frameon=False, bbox_to_anchor=(0.5, -0.06)
    )
    return as_svg(figure)


def _some(windows: Floats, count: int = _POINTS) -> Floats:
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), count)).astype(int)
    return np.asarray(windows[chosen])
