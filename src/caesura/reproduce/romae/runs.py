"""Runs within a cell: pre-trained and fine-tuned in its folder, resumed after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caesura.folder import RECIPE
from caesura.recipes.compose import compose
from caesura.recipes.presets import NEW_HEAD
from caesura.reproduce.experiment import Context
from caesura.run import Run
from caesura.workflow import finetune, pretrain


def pretrained(
    context: Context,
    data: Any,
    columns: Mapping[str, Any],
    settings: tuple[str, ...],
    steps: int,
    name: str = "pretraining",
) -> Run:
    """Pre-train `romae` with some settings on a table or a list of series."""
    folder = context.folder / name
    recipe = compose(
        "romae", columns=columns, length={"steps": steps}, seed=context.seed, settings=settings
    )
    begun = (folder / RECIPE).is_file()
    return pretrain(data, recipe, folder, resume=begun, on_progress=context.watch)


def tuned(
    context: Context,
    run: Run,
    labels: Any,
    data: Any,
    settings: tuple[str, ...],
    steps: int,
    *,
    from_scratch: bool = False,
) -> Run:
    """Fine-tune on labels of series in `data`, or train the same model from scratch."""
    folder = context.folder / ("scratch" if from_scratch else "tuning")
    return finetune(
        run,
        labels,
        folder,
        data=data,
        task="classification",
        steps=steps,
        seed=context.seed,
        settings=(*NEW_HEAD, *settings),
        resume=(folder / RECIPE).is_file(),
        from_scratch=from_scratch,
        on_progress=context.watch,
    )
