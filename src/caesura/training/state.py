"""Saving and restoring a training: weights, optimiser, dropout's generator, counters.

One safetensors file, written atomically: a kill leaves the checkpoint before or the one
after. Restoring gives the same bits on the same number of processes; on another number, and by
another strategy, a training goes on from the same state with other batches on each process.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from caesura.errors import CheckpointError
from caesura.files import write_text
from caesura.training.checkpoint import (
    load_tensors,
    save_tensors,
    with_prefix,
    without_prefix,
)

if TYPE_CHECKING:
    from caesura.training.loop import Trainer

log = logging.getLogger("caesura")

CHECKPOINT = "checkpoint.safetensors"
EARLIER = "stage-"
"""Begin of the names of folders of the stages before the last."""
METRICS = "metrics.jsonl"
_FREE = {"threads", "track", "strategy"}
"""Settings of a training that a resume may change."""
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def stage_folder(folder: Path | None, number: int, stages: int) -> Path | None:
    """Return where a stage keeps its state: the last one in the run's folder itself."""
    if folder is None or number == stages - 1:
        return folder
    inner = folder / f"{EARLIER}{number + 1}"
    inner.mkdir(parents=True, exist_ok=True)
    return inner


def has_state(folder: Path | None) -> bool:
    """Say whether a training can go on from a folder."""
    return folder is not None and (folder / CHECKPOINT).is_file()


def model_tensors(objective: Any) -> dict[str, Tensor]:
    """Return a copy of the objective's whole state on the CPU (empty on other ranks)."""
    state: dict[str, Any] = get_model_state_dict(objective, options=_WHOLE)
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def save(trainer: Trainer) -> None:
    """Write the checkpoint and the metrics so far; does nothing without a folder."""
    if trainer.folder is None:
        return
    optimizer = _plain(trainer.optimizer)
    moments: Any = get_optimizer_state_dict(_module(trainer), optimizer, options=_WHOLE)
    tensors = with_prefix("model", model_tensors(trainer.objective))
    tensors |= with_prefix("best", trainer.best)
    for name, entries in moments.get("state", {}).items():
        tensors |= with_prefix(f"optimizer/{name}", entries)
    generators = _gather(trainer, torch.get_rng_state())
    tensors |= {f"generator/{rank}": value for rank, value in enumerate(generators)}
    if trainer.fabric.global_rank == 0:
        identity = _identity(trainer) | {"processes": trainer.fabric.world_size}
        meta = {"state": asdict(trainer.state), "identity": identity}
        save_tensors(trainer.folder / CHECKPOINT, tensors, meta)
        rows = "".join(json.dumps(row) + "\n" for row in trainer.state.history)
        write_text(trainer.folder / METRICS, rows)


def restore(trainer: Trainer) -> None:
    """Continue from the checkpoint in the trainer's folder."""
    if trainer.folder is None:
        raise CheckpointError("cannot resume without a run folder")
    tensors, meta = load_tensors(trainer.folder / CHECKPOINT)
    begun, now = dict(meta["identity"]), _identity(trainer)
    processes = begun.pop("processes", 1)
    begun["training"] = {k: v for k, v in begun["training"].items() if k not in _FREE}
    if begun != now:
        raise CheckpointError(
            f"{trainer.folder} was begun with other settings: {begun}, now "
            f"{now}; resume with the same ones, or choose another --out"
        )
    for key, value in meta["state"].items():
        setattr(trainer.state, key, value)
    trainer.best = without_prefix("best", tensors)
    set_model_state_dict(_module(trainer), dict(without_prefix("model", tensors)), options=_WHOLE)
    _restore_optimizer(trainer, without_prefix("optimizer", tensors))
    rank, world = trainer.fabric.global_rank, trainer.fabric.world_size
    if processes == world:
        torch.set_rng_state(tensors[f"generator/{rank}"])
    elif rank == 0:
        log.warning(
            "begun on %d processes, goes on with %d: from the same weights, not to the same bits",
            processes, world,
        )  # fmt: skip


def load_best(trainer: Trainer) -> None:
    """Put the best weights by validation loss into the objective, on every rank."""
    # ask the counters, not `trainer.best`, which is empty on all ranks but the first: a
    # collective that only some ranks enter waits for ever
    best = trainer.best if trainer.state.best_step >= 0 else model_tensors(trainer.objective)
    several = trainer.fabric.world_size > 1
    # the broadcast sends a part that two objectives share (`sum`) under one of its names
    whole = not (several and _shares_parts(_module(trainer)))
    spread = StateDictOptions(full_state_dict=True, broadcast_from_rank0=several, strict=whole)
    set_model_state_dict(_module(trainer), dict(best), options=spread)
    _module(trainer).eval()


def _restore_optimizer(trainer: Trainer, flat: dict[str, Tensor]) -> None:
    optimizer = _plain(trainer.optimizer)
    groups = get_optimizer_state_dict(_module(trainer), optimizer)["param_groups"]
    moments: dict[str, dict[str, Tensor]] = {}
    for path, tensor in flat.items():
        name, _, key = path.rpartition("/")
        moments.setdefault(name, {})[key] = tensor
    like = next(iter(moments.values()), {})
    for name, parameter in _module(trainer).named_parameters():
        # one that no batch has used yet has no moments, which torch would not have
        if parameter.requires_grad and name not in moments:
            moments[name] = {
                key: torch.zeros(parameter.shape if one.dim() else (), dtype=one.dtype)
                for key, one in like.items()
            }
    whole: Any = {"state": moments, "param_groups": groups}
    set_optimizer_state_dict(_module(trainer), optimizer, whole, options=_WHOLE)


def _shares_parts(module: Any) -> bool:
    """Say whether a module stands in another under several names."""
    names = sum(1 for _ in module.named_modules(remove_duplicate=False))
    return names > sum(1 for _ in module.named_modules())


def _module(trainer: Trainer) -> Any:
    """Return the objective as the module it is; its protocol does not say so."""
    return trainer.objective


def _plain(optimizer: Any) -> torch.optim.Optimizer:
    """Return torch's optimiser inside Fabric's wrapper."""
    inner: torch.optim.Optimizer = optimizer.optimizer
    return inner


def _identity(trainer: Trainer) -> dict[str, Any]:
    return {"training": trainer.config.model_dump(mode="json", exclude=_FREE), "seed": trainer.seed}


def _gather(trainer: Trainer, value: Tensor) -> list[Tensor]:
    if trainer.fabric.world_size == 1:
        return [value]
    return list(trainer.fabric.all_gather(value))
