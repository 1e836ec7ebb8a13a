"""Table 3: sounds as log-mel spectrograms in patches of 16 x 16.

arXiv 2505.20535, sec. 5.3, D.2. Spoken digits by speaker, heart sounds by recording, ESC-50 and
Speech Commands from a user's folder. The paper's corpora (AudioSet, LibriSpeech) are not read:
here each set is pre-trained on its own training part, beside from scratch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.sound_files import Sounds, read_esc50, read_speech_commands
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome, Published
from caesura.reproduce.romae.patched import (
    Patched,
    PatchedSettings,
    class_numbers,
    classified,
    moments,
    pretrained_encoder,
    untrained_encoder,
)
from caesura.signal.spectrogram import log_mel

DIGITS, HEARTS, ESC, COMMANDS = "spoken digits", "heart sounds", "ESC-50", "Speech Commands"
TONES = "own tones"
_BANDS = 128


class AudioSettings(PatchedSettings):
    """`labels`: how many training sounds have a label, 0 for all; `seconds`: cut beyond."""

    patch: int = 16
    labels: tuple[int, ...] = (100, 0)
    seconds: float = 5.0


def _run(cell: str, context: Context) -> Outcome:
    own: AudioSettings = context.settings
    sounds = _READERS[cell](context)
    data, labelled = _prepared(sounds, own, context.seed)
    encoder = pretrained_encoder(context, data, own)
    rows: dict[str, dict[str, float]] = {}
    for count in own.labels:
        some = labelled if not count else labelled[:count]
        if count >= len(labelled):
            continue
        shown = f"{cell}, {count or 'all'} labels"
        for kind, start in (
            ("pre-trained", encoder),
            ("from scratch", untrained_encoder(encoder, context.seed)),
        ):
            guess = classified(context, data, own, start, some, f"{kind} {count}")
            rows[f"{shown}, {kind}"] = _scores(data, guess)
    return Outcome(rows)


def _scores(data: Patched, guess: NDArray[np.int64]) -> dict[str, float]:
    from sklearn.metrics import balanced_accuracy_score

    truth = data.labels[data.test]
    return {"accuracy": float((guess == truth).mean()),
            "balanced accuracy": float(balanced_accuracy_score(truth, guess))}  # fmt: skip


def _prepared(sounds: Sounds, own: AudioSettings, seed: int) -> tuple[Patched, NDArray[np.int64]]:
    """Return spectrograms with roles, and the labelled training rows in the seed's order.

    Groups (speakers, recordings) are never cut. Unlabelled sounds pre-train.
    """
    most = int(own.seconds * sounds.rate_hz)
    frames = [
        log_mel(torch.from_numpy(wave[:most])[None], sounds.rate_hz, _BANDS)[0].numpy()
        for wave in sounds.waves
    ]
    longest = -(-max(len(one) for one in frames) // own.patch) * own.patch
    arrays = np.zeros((len(frames), longest, _BANDS, 1), np.float32)
    for row, one in enumerate(frames):
        arrays[row, : len(one), :, 0] = one
    test, held = _roles(sounds)
    train = ~test & ~held
    known = sounds.labels != ""
    labels = np.zeros(len(known), np.int64)
    labels[known] = class_numbers(sounds.labels[known])
    steps = np.array([len(one) for one in frames])
    seen = np.concatenate([frames[row] for row in np.flatnonzero(train)])
    center, scale = moments(seen[None, :, :, None], np.array([0]))
    rows = np.flatnonzero(train & known)
    data = Patched(arrays, labels, np.flatnonzero(train), np.flatnonzero(held & known),
                   np.flatnonzero(test & known), center, scale, steps)  # fmt: skip
    return data, np.random.default_rng(400 + seed).permutation(rows)


def _roles(sounds: Sounds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which sounds test and which validate: by the set's own split, else by group."""
    groups = np.unique(sounds.groups)
    order = np.random.default_rng(7).permutation(groups)
    count = max(1, len(order) // 5)
    test = sounds.test if sounds.test.any() else np.isin(sounds.groups, order[:count])
    rest = np.setdiff1d(order, sounds.groups[test])
    rest = np.random.default_rng(8).permutation(rest)
    held = np.isin(sounds.groups, rest[: max(1, len(rest) // 8)]) & ~test
    return test, held


def _ragged(context: Context, path: str) -> dict[str, NDArray[np.generic]]:
    with np.load(context.file(path), allow_pickle=False) as arrays:
        return dict(arrays)


def _waves(arrays: dict[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    values = arrays["values"].astype(np.float32) / 32_768
    return np.split(values, arrays["offsets"][1:-1].astype(np.int64))


def _spoken_digits(context: Context) -> Sounds:
    """Free Spoken Digit Dataset: split by speaker, so that new voices are heard."""
    arrays = _ragged(context, "audio/fsdd.npz")
    labels = arrays["digit"].astype(str)
    return Sounds(_waves(arrays), float(arrays["fs"]), labels, arrays["speaker"].astype(str),
                  np.zeros(len(labels), dtype=np.bool_))  # fmt: skip


def _heart_sounds(context: Context) -> Sounds:
    """PASCAL set B, split by recording; its unlabelled part pre-trains."""
    arrays = _ragged(context, "heart_sounds/pascal_setB.npz")
    labels = arrays["label"].astype(str)
    names = arrays["filename"].astype(str)
    # the letter at the end numbers the parts of one recording
    groups = np.array([name.rsplit(".", 1)[0].rsplit("_", 1)[0].split("__")[-1] for name in names])
    labels = np.where(labels == "Bunlabelledtest", "", labels)
    return Sounds(_waves(arrays), float(arrays["fs"]), labels, groups,
                  np.zeros(len(labels), dtype=np.bool_))  # fmt: skip


def _tones(context: Context) -> Sounds:
    """Rising and falling tones in noise: a stand-in where no data are at hand."""
    rng = np.random.default_rng(0)
    rate, count = 4_000.0, 120
    time = np.arange(int(0.5 * rate)) / rate
    labels = np.array(["down", "up"])[np.arange(count) % 2]
    waves = []
    for label in labels:
        first, last = sorted(rng.uniform(200, 1_500, 2))
        if label == "down":
            first, last = last, first
        phase = 2 * np.pi * (first * time + (last - first) * time**2)
        noise = 0.1 * rng.standard_normal(len(time))
        waves.append((0.3 * np.sin(phase) + noise).astype(np.float32))
    groups = np.array([str(row // 6) for row in range(count)])
    return Sounds(waves, rate, labels, groups, np.zeros(count, dtype=np.bool_))


_READERS = {
    DIGITS: _spoken_digits,
    HEARTS: _heart_sounds,
    ESC: lambda context: read_esc50(context.file("ESC-50")),
    COMMANDS: lambda context: read_speech_commands(context.file("speech_commands")),
    TONES: _tones,
}
AUDIO = Experiment(
    name="romae-audio",
    title="Table 3: sounds from log-mel patches, accuracy",
    settings={
        "quick": AudioSettings(pretraining_steps=20, tuning_steps=20, depth=1, width=48, heads=2,
                               labels=(0,), seconds=0.5),
        "medium": AudioSettings(pretraining_steps=1_500, tuning_steps=600),
        "full": AudioSettings(width=432, heads=6, depth=12, decoder_depth=2,
                              pretraining_steps=40_000, tuning_steps=3_000),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells={"quick": (TONES,), "medium": (DIGITS, HEARTS), "full": (DIGITS, HEARTS, ESC, COMMANDS)},
    cost={"quick": "10 s", "medium": "8 min a cell and seed", "full": "a GPU for hours"},
    run=_run,
    published={("ESC-50, all labels, pre-trained", "accuracy"): Published(0.847)},
    comparisons=tuple(
        Comparison(f"{name}, {count} labels, pre-trained", f"{name}, {count} labels, from scratch",
                   "accuracy")
        for name in (DIGITS, HEARTS, ESC, COMMANDS)
        for count in ("100", "all")
    ),
    goal="pre-trained against from scratch, split by speaker or recording",
    data="audio/fsdd.npz, heart_sounds/pascal_setB.npz; full: ESC-50/, speech_commands/",
    free=("quick",),
    notes=(
        "The paper pre-trains on AudioSet-20k (0.847) or LibriSpeech (0.832); here each set "
        "pre-trains on its own training part. Patches do not overlap, as RoMAE's text has it for "
        "its patches; SSAST's do.",
    ),
)  # fmt: skip
