"""Places samples on one regular grid: rounding where the rate fits, resampling where it differs.

A channel's own rate is that of the line on which its times lie (`data.lines`). Irregular times are
an error here, as what such series need is RoMAE, not a grid; unless they are asked to be binned, as
a generator can do with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.lines import Line, dense_line, fitted_line, misfit, round_step, whole_step
from caesura.data.store import RaggedStore
from caesura.errors import DataError

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

_SAME_RATE = 0.02
"""Relative difference of two rates below which they count as one."""
_NEAR, _NEARLY_ALL = 0.1, 0.9
"""How near gaps must lie to a multiple of the shortest, and how many of them."""
_FINEST, _KEPT = 6, 0.8
"""Parts of the usual gap that are tried as steps, and how much gaps must keep to one."""
_ROUND = 1e-4
"""How far, in parts of it, a rounder number may be from a step of irregular times."""
_SHORTER, _SHORTEST = 1.5, 4.0
"""How often the short gap must fit into the median one for that to be several steps, and how often
at most: where more are missing, most samples may as well be steps and the short gaps extra."""
_ROUNDED = 0.2
"""Part of a step by which its median gap may be off it where stamps are rounded."""
_REFINED_ON = 50
"""Series whose lines tell the rate of a table."""
_FULL_SHARE = 0.8
"""Share of the steps of all channels that must be measured for a table to count as regular."""
_REGULAR = 0.8
"""Share of gaps that must lie near the median one; random times have about a third."""


class Signal(NamedTuple):
    """Values (variables, samples) of all series in a row, where they were measured, bounds."""

    values: Floats
    observed: Bools
    offsets: NDArray[np.int64]


def native_rate(store: RaggedStore, most: int = 1000) -> float:
    """Return one over the step of the times within a channel of a series; 0 where there is none.

    That is their median gap, or, where gaps are multiples of a shorter one, the median step of the
    first series; where series keep to it, that of the lines through their times, as a round number
    if one fits as well. Of several channels the fastest one counts.
    """
    rates = [0.0]
    some = store.channel[: 10**6], store.series[: 10**6], store.times[: 10**6]
    for code in range(len(store.channels)):
        own = np.flatnonzero(some[0] == code)
        series, gaps = some[1][own], np.diff(some[2][own])
        there = (np.diff(series) == 0) & (gaps > 0)
        series, gaps = series[1:][there], gaps[there]
        if not len(gaps):
            continue
        step = middle = float(np.median(gaps))
        if _step_of(gaps) not in (None, middle):
            first = np.unique(series)[:most]
            bounds = np.searchsorted(series, np.append(first, first[-1] + 1))
            parts = [gaps[a:b] for a, b in itertools.pairwise(bounds)]
            steps = [_step_of(part) or float(np.median(part)) for part in parts]
            step = float(np.median(np.repeat(steps, [len(part) for part in parts])))
        if _step_of(gaps) is not None:
            step = _refined(step, some[0] == code, some[1], some[2])
        rates.append(1 / step)
    return max(rates)


def _refined(
    step: float, chosen: Bools, series: NDArray[np.int64], times: NDArray[np.float64]
) -> float:
    """Return the step of the lines through the times of the first series that keep to about one."""
    whose, when = series[chosen], times[chosen]
    first = np.unique(whose)[:_REFINED_ON]
    bounds = np.searchsorted(whose, np.append(first, first[-1] + 1))
    steps, counts, tolerances = [], [], []
    for begin, end in itertools.pairwise(bounds):
        part = _rising(when[begin:end])
        if len(part) < 3:
            continue
        fitted = whole_step(part, step)
        if abs(fitted / step - 1) <= _ROUNDED:
            steps.append(fitted)
            counts.append((part[-1] - part[0]) / fitted)
            tolerances.append(misfit(part, fitted))
    if not steps:
        return step
    order = np.argsort(steps)
    half = np.searchsorted(np.cumsum(np.array(counts)[order]), sum(counts) / 2)
    middle = order[min(int(half), len(order) - 1)]
    return round_step(steps[middle], tolerances[middle])


def binning_rate(store: RaggedStore) -> float:
    """Return one over the step of a grid for irregular times; 0 where no channel has a gap.

    That is the lower quartile of gaps within a channel of a series (at the median too many would
    meet in one step), or near it the step that times keep to best, or the whole number of such
    steps: nights are a day apart, and round numbers are preferred.
    """
    key = store.series.astype(np.int64) * len(store.channels) + store.channel
    order = np.argsort(key, kind="stable")
    gaps, same = np.diff(store.times[order]), np.diff(key[order]) == 0
    gaps = gaps[same & (gaps > 0)]
    if not len(gaps):
        return 0.0
    usual = float(np.quantile(gaps, 0.25, method="inverted_cdf")) * np.linspace(0.9, 1.1, 41)
    parts = {count: _kept_to(gaps, usual / count) for count in range(1, _FINEST + 1)}
    count = next((one for one, part in parts.items() if _kept(gaps, part) >= _KEPT), 1)
    step = count * _kept_to(store.times[: 10**5], parts[count] * np.linspace(0.995, 1.005, 51))
    round_ones = [float(f"{step:.{digits}g}") for digits in range(1, 5)]
    step = next((one for one in round_ones if abs(one / step - 1) < _ROUND), step)
    return 1 / float(f"{step:.5g}") if step >= 1 else float(f"{1 / step:.5g}")


def _kept_to(times: NDArray[np.float64], steps: NDArray[np.float64]) -> float:
    """Return the step of some by whose multiples the most of times lie in one phase."""
    return float(steps[int(np.argmax([_kept(times, step) for step in steps]))])


def _kept(times: NDArray[np.float64], step: float) -> float:
    """Return how much times lie in one phase of a step: 1 for all, 0 for none."""
    return float(np.abs(np.exp(2j * np.pi * times / step).mean()))


def is_irregular(store: RaggedStore, most: int = 1000) -> bool:
    """Say whether a channel of one of the first series has no rate of its own."""
    times = store.take(np.arange(min(most, len(store)))).times
    for number in range(min(most, len(store))):
        rows = slice(int(store.offsets[number]), int(store.offsets[number + 1]))
        for code in np.unique(store.channel[rows]):
            if _own_step(times[rows][store.channel[rows] == code]) is None:
                return True
    return False


def full_rate(store: RaggedStore) -> float:
    """Return the rate of a long table of several channels whose series are regular; 0 where it has
    one channel, where times are irregular, or where a fifth of the steps of channels are missing.
    """
    if len(store.channels) < 2 or is_irregular(store):
        return 0.0
    rate = native_rate(store)
    steps = np.round(store.spans * rate) + 1
    full = len(store.clock) >= _FULL_SHARE * len(store.channels) * steps.sum()
    return rate if full else 0.0


def step_offsets(store: RaggedStore, rate: float) -> Floats:
    """Return where within a step of a grid each time after a series' first lies, -1/2 to 1/2."""
    at = store.times * rate
    later = np.ones(len(at), dtype=np.bool_)
    later[store.offsets[:-1]] = False
    return np.asarray((at - np.round(at))[later], dtype=np.float32)


def padded(signal: Signal, least: int) -> Signal:
    """Return the signal with absent samples after each series that is shorter than `least`."""
    own = np.diff(signal.offsets)
    lengths = np.maximum(own, least)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(signal.offsets[-1]) + np.repeat(offsets[:-1] - signal.offsets[:-1], own)
    values = np.zeros((len(signal.values), int(offsets[-1])), dtype=signal.values.dtype)
    observed = np.zeros(values.shape, dtype=np.bool_)
    values[:, place], observed[:, place] = signal.values, signal.observed
    return Signal(values, observed, offsets)


def regular_signal(
    store: RaggedStore,
    channel: NDArray[np.int32],
    channels: int,
    rate: float,
    binned: bool = False,
) -> Signal:
    """Lay every series of a store out at `rate`, in hertz of its (second-counting) times.

    channel: the model's number of each observation's channel. Variables are channels x values.
    Channels of other rates are resampled by a polyphase filter. A series at irregular times is
    a DataError; `binned`: every time goes to its nearest step, nothing is resampled.
    """
    size = store.values.shape[1]
    plans = [own for own, _ in laid_out(store, channel, rate, binned)]
    lengths = np.array([max(plan.length for plan in own) for own in plans], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.zeros((channels * size, int(offsets[-1])), dtype=store.values.dtype)
    observed = np.zeros(values.shape, dtype=np.bool_)
    for number, own in enumerate(plans):
        for plan in own:
            code = int(channel[plan.rows[0]])
            for element in range(size):
                place = slice(offsets[number], offsets[number] + plan.length)
                row = code * size + element
                values[row, place], observed[row, place] = plan.laid_out(
                    store.values[plan.rows, element], store.observed[plan.rows, element]
                )
    return Signal(values, observed, offsets)


class Plan(NamedTuple):
    """How one channel of one series comes onto the grid: its native step of each row, the ratio
    of rates (1: none), and how many samples come out."""

    rows: NDArray[np.int64]
    step: NDArray[np.int64]
    ratio: Fraction
    length: int

    def laid_out(self, values: Floats, observed: Bools) -> tuple[Floats, Bools]:
        """Return the samples, 0 where unobserved, and which were observed."""
        native = np.zeros(int(self.step[-1]) + 1, dtype=values.dtype)
        seen = np.zeros(len(native), dtype=np.bool_)
        at = self.step[observed]
        seen[at] = True
        if len(at) == seen.sum():
            native[at] = values[observed]
        else:  # several meet in a step
            np.add.at(native, at, values[observed])
            native /= np.maximum(np.bincount(at, minlength=len(native)), 1)
        if self.ratio == 1 or not seen.any():
            return native[: self.length], seen[: self.length]
        up, down = self.ratio.numerator, self.ratio.denominator
        new = _polyphase(bridged(native, seen), self.ratio).astype(values.dtype)
        nearest = np.minimum((np.arange(self.length) * down + up // 2) // up, len(seen) - 1)
        there = seen[nearest]
        return np.where(there, new[: self.length], values.dtype.type(0)), there


def resampled(values: Floats, rate: float, wanted: float) -> Floats:
    """Return a whole signal of one rate at another, in hertz, by a polyphase filter."""
    ratio = Fraction(wanted / rate).limit_denominator(1000)
    new = _polyphase(values.astype(np.float64), ratio)[: len(values) * ratio // 1]
    return new.astype(np.float32)


def _polyphase(values: NDArray[np.float64], ratio: Fraction) -> NDArray[np.float64]:
    from scipy.signal import resample_poly

    new = resample_poly(values, ratio.numerator, ratio.denominator, padtype="line")
    return np.asarray(new, dtype=np.float64)


def laid_out(
    store: RaggedStore, channel: NDArray[np.int32], rate: float, binned: bool
) -> Iterator[tuple[list[Plan], Line]]:
    """Yield how each channel of each series comes onto the grid, and the line of its steps."""
    times, grain = store.times, store.grain
    for number in range(len(store)):
        begin, end = int(store.offsets[number]), int(store.offsets[number + 1])
        codes = channel[begin:end]
        used = np.flatnonzero(np.bincount(codes))
        rows = [begin + np.flatnonzero(codes == code) for code in used]
        line = Line(rate)
        if binned:
            yield [_plan(times[own], own, 1 / rate, rate, line) for own in rows], line
            continue
        if len(rows) == 1 and (dense := dense_line(times[rows[0]], rate, grain)):
            yield [_plan(times[rows[0]], rows[0], 1 / rate, rate, dense)], dense
            continue
        steps = [_step_or_raise(store, number, times[own]) or 1 / rate for own in rows]
        alike = [one for one, step in enumerate(steps) if _is_rate(step, rate)]
        if alike:
            longest = max(alike, key=lambda one: len(rows[one]))
            line = fitted_line(times[rows[longest]], rate, steps[longest], grain)
        each = zip(rows, steps, strict=True)
        yield [_plan(times[own], own, step, rate, line) for own, step in each], line


def _step_or_raise(store: RaggedStore, number: int, times: NDArray[np.float64]) -> float:
    """Return the step of a channel's times, 0 where there is no gap; without one, a DataError."""
    step = _own_step(times)
    if step is not None:
        return whole_step(_rising(times), step) if step else 0.0
    gaps = np.diff(times)
    name = store.ids[number].as_py()
    low, high = np.quantile(gaps[gaps > 0], [0.05, 0.95])
    raise DataError(
        f"series {name!r} is not regular: gaps from {low:.3g} to {high:.3g} s. A grid needs "
        "one rate; pre-train `romae` on irregular times, or resample first"
    )


def _rising(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return times[np.diff(times, prepend=-np.inf) > 0]


def _is_rate(step: float, rate: float) -> bool:
    return abs(step * rate - 1) <= _SAME_RATE


def _plan(
    times: NDArray[np.float64], rows: NDArray[np.int64], native: float, rate: float, line: Line
) -> Plan:
    """Return how a channel comes onto a grid: by the line of the series where its rate is that."""
    if _is_rate(native, rate):
        step = line.numbers(times)
        return Plan(rows, step, Fraction(1), int(step[-1]) + 1)
    step = np.round(times / native).astype(np.int64)
    ratio = Fraction(rate * native).limit_denominator(1000)
    length = max(1, (int(step[-1]) + 1) * ratio.numerator // ratio.denominator)
    return Plan(rows, step, ratio, length)


def thinned(signal: Signal, every: int) -> Signal:
    """Return the first of each `every` samples of each series, not filtered: what was measured."""
    lengths = -(-np.diff(signal.offsets) // every)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    taken = np.repeat(signal.offsets[:-1], lengths) + place * every
    return Signal(signal.values[:, taken], signal.observed[:, taken], offsets)


def _own_step(times: NDArray[np.float64]) -> float | None:
    """Return the step of a channel's times, None where they have none, 0 where there is no gap."""
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    return _step_of(gaps) if len(gaps) else 0.0


def _step_of(gaps: NDArray[np.float64]) -> float | None:
    """Return what gaps are steps of, None where they are of none.

    Nearly all are near multiples of a short one, where samples are missing at random, or most are
    near the median one.
    """
    middle = float(np.median(gaps))
    if len(gaps) <= 2:
        return middle
    least = float(np.quantile(gaps, 0.1))
    multiple = gaps / least
    steps = (np.abs(multiple - np.round(multiple)) <= _NEAR).mean() >= _NEARLY_ALL
    if steps and _SHORTER * least < middle <= _SHORTEST * least:
        return least
    if (np.abs(gaps / middle - 1) <= 0.5).mean() >= _REGULAR:
        return middle
    return least if steps else None


def bridged(values: Floats, seen: Bools) -> NDArray[np.float64]:
    """Return the values with lines across what was not seen, for filters that need them all."""
    at = np.flatnonzero(seen)
    return np.asarray(np.interp(np.arange(len(values)), at, values[at]), dtype=np.float64)


def band_passed(signal: Signal, rate: float, band: tuple[float, ...]) -> Signal:
    """Filter each variable of each series to (low, high) hertz: Butterworth, order 3, no delay."""
    from scipy.signal import butter, sosfiltfilt

    low, high = band
    if not 0 < low < high < rate / 2:
        raise DataError(
            f"band {low:g} to {high:g} Hz at a rate of {rate:g} Hz; both must lie between 0 and "
            f"{rate / 2:g}, in this order"
        )
    sections = butter(3, (low, high), btype="bandpass", fs=rate, output="sos")
    values = signal.values.copy()
    for first, last in zip(signal.offsets[:-1], signal.offsets[1:], strict=True):
        for row in range(len(values)):
            seen = signal.observed[row, first:last]
            if seen.sum() > 1:
                whole = bridged(values[row, first:last], seen)
                pad = min(len(whole) - 1, int(3 * rate / low))
                filtered = sosfiltfilt(sections, whole, padlen=pad)
                values[row, first:last] = np.where(seen, filtered, 0.0)
    return Signal(values, signal.observed, signal.offsets)
