"""The parts of a corpus embedded on a Ray cluster (extra `ray`): `caesura embed --engine ray`.

Ray Data hands out parts to actors that load the run once; each part becomes a file as in
`caesura.shards`, so that what one engine has begun the other may end. Run, corpus and folder lie
where all nodes see them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from caesura.errors import RecipeError
from caesura.nn.heads import Pooling
from caesura.run import Run, load
from caesura.shards import ROWS, parts_of


def embed_parts_on_ray(
    run: Run,
    data: str | Path,
    folder: Path,
    *,
    pooling: Pooling = "auto",
    rows: int = ROWS,
    workers: int = 0,
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write what `shards.embed_parts` writes, by actors of the cluster that the environment names.

    workers: actors, a core each; 0: as many as there are cores. Without a cluster one is started
    here. Returns the number of series that were embedded now; a RecipeError without Ray, or for a
    run that is in memory alone.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RecipeError(
            "--engine ray needs Ray: pip install caesura[ray]; without it, start the same command "
            "under torchrun or srun"
        ) from error
    if run.folder is None:
        raise RecipeError("the actors load the run from its folder; save it first")
    where = [str(path.resolve()) for path in (run.folder, Path(data), folder)]
    missing = parts_of(run, where[1], Path(where[2]), pooling, rows).missing()
    if not missing:
        return 0
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        actors = min(workers or cores, len(missing))
        items = [{"number": n} for n in missing]
        ray.data.DataContext.get_current().enable_progress_bars = False  # `on_part` has its own
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # a repartition would wait for cores that the actors hold
        asked = ray.data.from_items(items, override_num_blocks=len(missing))
        answers = asked.map_batches(
            _Worker,
            fn_constructor_args=(*where, pooling, rows),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors),
        )
        done = 0
        for count, answer in enumerate(answers.iter_rows(), 1):
            done += int(answer["series"])
            on_part(count, len(missing))
        return done
    finally:
        if started:
            ray.shutdown()


class _Worker:
    """An actor: the run loaded once, and a part at each call."""

    def __init__(self, run: str, data: str, folder: str, pooling: Pooling, rows: int) -> None:
        self.parts = parts_of(load(run), data, Path(folder), pooling, rows)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Write the parts of a batch of numbers; one that another engine wrote since is left."""
        found = [
            0 if self.parts.path(int(n)).is_file() else self.parts.write(int(n))
            for n in batch["number"]
        ]
        return {"number": batch["number"], "series": np.array(found)}
