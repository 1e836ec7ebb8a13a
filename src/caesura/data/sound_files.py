"""Reads folders of sounds: the layouts of ESC-50 and of Speech Commands (soundfile).

A reader gives waves of one rate, the class of each, and the group that splits must not cut.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caesura.data.parquet_files import is_data
from caesura.errors import DataError

_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True)
class Sounds:
    """waves: mono float32 in [-1, 1]; labels; groups: speaker or source recording of each.

    test: True where the set's own split says so; all False where it has none.
    """

    waves: list[NDArray[np.float32]]
    rate_hz: float
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    test: NDArray[np.bool_]


def read_sound(path: Path, rate_hz: float = 0.0) -> tuple[NDArray[np.float32], float]:
    """Return a mono wave and its rate; with `rate_hz` it is resampled to that (wav, flac)."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise DataError(
            f"{path} needs the sound reader: pip install 'caesura[audio]' ({error})"
        ) from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    wave = samples.mean(1)
    if rate_hz and rate != rate_hz:
        from math import gcd

        from scipy.signal import resample_poly

        divisor = gcd(int(rate), int(rate_hz))
        wave = resample_poly(wave, int(rate_hz) // divisor, int(rate) // divisor)
    return np.asarray(wave, dtype=np.float32), float(rate_hz or rate)


def read_esc50(folder: Path, rate_hz: float = 16_000) -> Sounds:
    """Read ESC-50: `meta/esc50.csv` and `audio/`; its fifth fold tests, clips are the groups."""
    notes = folder / "meta" / "esc50.csv"
    if not notes.is_file():
        raise DataError(f"{notes} is missing; is {folder} ESC-50?")
    with notes.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    waves = [read_sound(folder / "audio" / row["filename"], rate_hz)[0] for row in rows]
    return Sounds(
        waves,
        rate_hz,
        np.array([row["category"] for row in rows]),
        np.array([row["src_file"] for row in rows]),
        np.array([row["fold"] == "5" for row in rows]),
    )


def read_speech_commands(folder: Path, rate_hz: float = 16_000) -> Sounds:
    """Read Speech Commands: a folder a word; `testing_list.txt` tests, speakers are the groups.

    What begins with "_" (background noise) or "." is left out.
    """
    paths = sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix.lower() in _SUFFIXES and is_data(path.relative_to(folder))
    )
    if not paths:
        raise DataError(f"no sounds in {folder}/WORD/; is it Speech Commands?")
    listed = folder / "testing_list.txt"
    testing = set(listed.read_text("utf-8").split()) if listed.is_file() else set()
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    return Sounds(
        [read_sound(path, rate_hz)[0] for path in paths],
        rate_hz,
        np.array([path.parent.name for path in paths]),
        np.array([path.name.split("_")[0] for path in paths]),
        np.array([name in testing for name in names]),
    )
