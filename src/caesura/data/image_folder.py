"""Reads folders of images with a class each, the layout of Tiny ImageNet too."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.parquet_files import is_data
from caesura.errors import DataError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_MOST_PIXELS = 50_000_000


def read_image_folder(folder: Path, size: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Return images (count, size, size, 3) and the class of each, in the order of their paths.

    `folder` holds a folder a class, with images in it or in its `images`; or, as Tiny
    ImageNet's `val`, one folder `images` and `val_annotations.txt`. Images are resized so that
    the short side fits, and cut in the middle. One that cannot be read is a DataError.
    """
    notes = folder / "val_annotations.txt"
    if notes.is_file():
        pairs = [line.split("\t")[:2] for line in notes.read_text("utf-8").splitlines() if line]
        found = sorted((folder / "images" / name, kind) for name, kind in pairs)
    else:
        found = sorted(
            (path, path.relative_to(folder).parts[0])
            for path in folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES
            and len(path.relative_to(folder).parts) > 1
            and is_data(path.relative_to(folder))
        )
    if not found:
        raise DataError(
            f"no images below {folder}; it needs a folder a class with {', '.join(_SUFFIXES)}"
        )
    images = np.empty((len(found), size, size, 3), np.uint8)
    for row, (path, _) in enumerate(found):
        images[row] = read_image(path, size)
    return images, [kind for _, kind in found]


def read_image(source: Path | bytes, size: int) -> NDArray[np.uint8]:
    """Return one image as (size, size, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    name = "an image" if isinstance(source, bytes) else str(source)
    try:
        with Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(f"{name} has {image.width} x {image.height} pixels; too many")
            fitted = ImageOps.fit(image.convert("RGB"), (size, size))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {error}") from None
    return np.asarray(fitted, dtype=np.uint8)
