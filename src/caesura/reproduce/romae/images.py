"""Table 2: images with rotary positions, with and without [CLS], and absolute ones.

arXiv 2505.20535, sec. 5.2, D.1. Patches are normalised in the loss as in MAE. The quick and
medium forms take scikit-learn's digits; `full` takes a folder in Tiny ImageNet's layout.
"""

from __future__ import annotations

import numpy as np

from caesura.data.image_folder import read_image, read_image_folder
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome, Published
from caesura.reproduce.romae.patched import (
    Array,
    Patched,
    PatchedSettings,
    class_numbers,
    classified,
    moments,
    pretrained_encoder,
    untrained_encoder,
)

PLAIN, CLS, ABSOLUTE = "RoPE, no [CLS]", "RoPE, [CLS]", "absolute, [CLS]"
_KINDS = {
    PLAIN: {"cls": False},
    CLS: {"cls": True},
    ABSOLUTE: {"cls": True, "positions": "absolute"},
}
_SAMPLE = "images/tiny_imagenet_val.parquet"
_NAMES = {"digits": "digits", "sample": "Tiny ImageNet's sample", "folder": "Tiny ImageNet"}
_SCRATCH = ", from scratch"


class ImageSettings(PatchedSettings):
    """`source`: digits of scikit-learn, a sample in Parquet, or Tiny ImageNet's folder."""

    source: str = "digits"
    side: int = 8


def _run(cell: str, context: Context) -> Outcome:
    own: ImageSettings = context.settings.model_copy(update=_KINDS[cell])
    data = _READERS[own.source](context, own)
    encoder = pretrained_encoder(context, data, own)
    named = f"{_NAMES[own.source]}, {cell}"
    scratch = untrained_encoder(encoder, context.seed)
    starts = {"tuning": (named, encoder), "scratch": (f"{named}{_SCRATCH}", scratch)}
    return Outcome(
        {
            row: _scores(data, classified(context, data, own, start, data.train, name))
            for name, (row, start) in starts.items()
        }
    )


def _scores(data: Patched, guess: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import f1_score

    truth = data.labels[data.test]
    return {"F-score": float(f1_score(truth, guess, average="macro", zero_division=0)),
            "accuracy": float((guess == truth).mean())}  # fmt: skip


def _digits(context: Context, own: ImageSettings) -> Patched:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    arrays = images.reshape(-1, 8, 8, 1).astype(np.float32)
    return _shared_out(arrays, labels.astype(np.int64), 0.3)


def _sample(context: Context, own: ImageSettings) -> Patched:
    import pyarrow.parquet as pq

    table = pq.read_table(context.file(_SAMPLE))
    arrays = np.stack([read_image(blob, own.side) for blob in table["jpeg"].to_pylist()])
    return _shared_out(arrays, class_numbers(table["wnid"].to_pylist()), 0.2, flipped=True)


def _folder(context: Context, own: ImageSettings) -> Patched:
    train, train_kinds = read_image_folder(context.file("tiny-imagenet-200/train"), own.side)
    test, test_kinds = read_image_folder(context.file("tiny-imagenet-200/val"), own.side)
    labels = class_numbers([*train_kinds, *test_kinds])
    order = np.random.default_rng(7).permutation(len(train))
    held = order[: len(order) // 20]
    rows = np.setdiff1d(order, held)
    center, scale = moments(train, rows[:5_000])
    return Patched(np.concatenate([train, test]), labels, rows, held,
                   np.arange(len(train), len(labels)), center, scale,
                   augment=_flipped)  # fmt: skip


def _shared_out(
    arrays: np.ndarray, labels: np.ndarray, share: float, *, flipped: bool = False
) -> Patched:
    """Cut into test, validation and training rows, the same for every seed."""
    order = np.random.default_rng(7).permutation(len(labels))
    test, held = int(share * len(order)), int((share + 0.1) * len(order))
    center, scale = moments(arrays, order[held:])
    return Patched(arrays, labels, np.sort(order[held:]), order[test:held], order[:test], center,
                   scale, augment=_flipped if flipped else _shifted)  # fmt: skip


def _flipped(images: Array, rng: np.random.Generator) -> Array:
    """Mirror half of the images, and move all by up to a sixteenth."""
    chosen = rng.random(len(images)) < 0.5
    images = np.where(chosen[:, None, None, None], images[:, :, ::-1], images)
    return _moved(images, rng, max(1, images.shape[1] // 16))


def _shifted(images: Array, rng: np.random.Generator) -> Array:
    return _moved(images, rng, 1)


def _moved(images: Array, rng: np.random.Generator, most: int) -> Array:
    result = np.empty_like(images)
    for row, (down, across) in enumerate(rng.integers(-most, most + 1, (len(images), 2))):
        result[row] = np.roll(images[row], (down, across), axis=(0, 1))
    return result


_READERS = {"digits": _digits, "sample": _sample, "folder": _folder}
_ROWS = tuple(_KINDS)
IMAGES = Experiment(
    name="romae-images",
    title="Table 2: images by kind of position, macro F-score",
    settings={
        "quick": ImageSettings(pretraining_steps=30, tuning_steps=30, depth=1, width=48, heads=2),
        "medium": ImageSettings(),
        "full": ImageSettings(source="folder", side=224, patch=16, width=432, heads=6, depth=12,
                              batch=1024, pretraining_steps=18_600, tuning_steps=1_400),
    },
    seeds={"quick": 1, "medium": 5, "full": 3},
    cells=dict.fromkeys(("quick", "medium", "full"), _ROWS),
    cost={"quick": "10 s", "medium": "3 min a cell and seed", "full": "a GPU for hours"},
    run=_run,
    published={
        (f"Tiny ImageNet, {PLAIN}", "F-score"): Published(0.500, 0.011),
        (f"Tiny ImageNet, {CLS}", "F-score"): Published(0.475, 0.006),
        (f"Tiny ImageNet, {ABSOLUTE}", "F-score"): Published(0.479, 0.010),
    },
    comparisons=tuple(
        Comparison(f"{name}, {row}", f"{name}, {other}", "F-score")
        for name in _NAMES.values()
        for row, other in (
            (PLAIN, CLS), (PLAIN, ABSOLUTE), *((row, f"{row}{_SCRATCH}") for row in _ROWS)
        )
    ),
    goal="differences with intervals; \"undecided\" is a result",
    data="full: tiny-imagenet-200/{train,val}",
    free=("quick", "medium"),
    notes=(
        "The paper's figures are of Tiny ImageNet; those of the digits are another task. "
        "Ours moves and mirrors images in fine-tuning where the paper has RandAugment.",
    ),
)  # fmt: skip
