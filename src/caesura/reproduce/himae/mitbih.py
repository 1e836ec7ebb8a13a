"""MIT-BIH Arrhythmia at 100 Hz in windows of 10 s; label: a ventricular beat in the window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.synthetic.pulses import pulses
from caesura.reproduce.experiment import Context
from caesura.reproduce.himae.windows import Windows

DATA = "wearable/mitbih_100hz_ds1.npz, wearable/mitbih_100hz_ds2a.npz (MIT-BIH at 100 Hz)"
MIT_BIH, STAND_IN = "MIT-BIH", "pulses (generated)"
_RATE, _LENGTH = 100.0, 1000
_SAME_PERSON = "201"
"""A record of the training part whose person is in the test part, as record 202."""


def read_parts(cell: str, context: Context) -> tuple[Windows, Windows]:
    """Return training and test windows: of records, or generated ones where no data are read."""
    if cell.startswith(STAND_IN):
        return _generated(400, 0), _generated(200, 1)
    train = read_mitbih(context, "ds1", without=(_SAME_PERSON,))
    return train, read_mitbih(context, "ds2a")


def read_mitbih(context: Context, part: str, without: tuple[str, ...] = ()) -> Windows:
    """Read lead MLII of the records of a part, in mV, cut into windows that do not overlap."""
    with np.load(context.file(f"wearable/mitbih_100hz_{part}.npz"), allow_pickle=False) as arrays:
        own = dict(arrays)
    values, labels, groups = [], [], []
    for number, record in enumerate(own["record"].astype(str)):
        if record in without:
            continue
        lead = list(own["lead"][number].astype(str)).index("MLII")
        signal = own["signal"][number, lead].astype(np.float32) * np.float32(own["mv_per_unit"])
        beats = slice(*own["beat_offsets"][number : number + 2])
        early = own["beat_sample"][beats][own["beat_symbol"][beats].astype(str) == "V"]
        count = len(signal) // _LENGTH
        values.append(signal[: count * _LENGTH].reshape(count, 1, _LENGTH))
        labels.append(np.isin(np.arange(count), early // _LENGTH))
        groups.append(np.full(count, number))
    return Windows(
        np.concatenate(values),
        np.concatenate(labels).astype(np.int64),
        np.concatenate(groups),
        _RATE,
    )


def _generated(count: int, seed: int) -> Windows:
    found = pulses(count, seed, subjects=8)
    return Windows(found.signals[:, None], found.labels["interval"], found.subjects, _RATE)


def hand_made(data: Windows) -> NDArray[np.float64]:
    """Return what one would compute by hand: amplitudes, spectrum, beats and their regularity."""
    return np.stack([_features(window - np.median(window), data.rate_hz)
                     for window in data.values[:, 0].astype(np.float64)])  # fmt: skip


def _features(x: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    from scipy.signal import find_peaks
    from scipy.stats import kurtosis, skew

    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    edges = np.unique(np.geomspace(1, len(power), 13).astype(int))
    bands = np.log10(np.add.reduceat(power, edges[:-1]) + 1e-9)
    steep = np.abs(np.gradient(x))
    found: list[float] = [*np.quantile(x, np.linspace(0, 1, 11)), float(x.std()), float(skew(x)),
                          float(kurtosis(x)), *np.quantile(steep, (0.5, 0.9, 0.99))]  # fmt: skip
    peaks, _ = find_peaks(steep, distance=int(0.25 * rate), height=0.3 * steep.max() + 1e-9)
    gaps = np.diff(peaks) / rate if len(peaks) > 2 else np.zeros(2)
    heights = steep[peaks] if len(peaks) else np.zeros(1)
    found += [len(peaks), gaps.mean(), gaps.std(), gaps.min(), gaps.max(),
              float(np.sqrt(np.mean(np.square(np.diff(gaps))))), heights.std() / heights.mean()
              if heights.mean() > 0 else 0.0]  # fmt: skip
    widths = [float((np.abs(x[max(p - 10, 0) : p + 20])).mean()) for p in peaks] or [0.0]
    return np.array([*found, *bands, float(np.mean(widths)), float(np.max(widths))])
