"""Builds the Fabric that carries a training: device, processes, precision.

Imported by the loop alone, and late: it costs seconds that no other verb should pay.
"""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from typing import Any

import torch
from torch import nn

from caesura.errors import CaesuraError, RecipeError
from caesura.training.config import TrainingConfig
from caesura.training.device import chosen_device
from caesura.training.precision import bf16_is_native, refuse_dynamic_teams


def launch(config: TrainingConfig) -> Any:
    """Return a launched Fabric; processes come from torchrun, never from here."""
    refuse_dynamic_teams()
    try:
        from lightning_fabric import Fabric
    except RuntimeError as error:  # a torchvision built for another torch breaks the import
        raise CaesuraError(
            f"the training library cannot be imported ({error}); if torchvision is installed, "
            "remove it or match it to torch: run `caesura doctor`"
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import sets INFO
    device = chosen_device()
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if config.strategy == "single" and world_size > 1:
        raise RecipeError(
            f"{world_size} processes were started but training.strategy is 'single'; "
            "pass --set training.strategy=ddp (or fsdp)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fabric = Fabric(
            accelerator=device.type,
            devices=_devices(config, device),
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
            strategy=_strategy(config, device.type, world_size),
            precision="bf16-mixed" if _use_bf16(config) else "32-true",
        )
    fabric.launch()
    if world_size > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """End the group of processes: gloo's threads, left alone, now and then abort the exit."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _devices(config: TrainingConfig, device: torch.device) -> int | list[int]:
    """Return the one device, or of several processes how many there are on this machine."""
    if config.strategy == "single":
        return 1 if device.index is None else [device.index]
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _use_bf16(config: TrainingConfig) -> bool:
    """Expects a resolved precision (`training.arithmetic`)."""
    if config.precision == "bf16" and not bf16_is_native():
        raise RecipeError(
            "precision 'bf16' would be emulated on this machine; use training.precision=fp32"
        )
    return config.precision == "bf16"


def _strategy(config: TrainingConfig, device: str, world_size: int) -> Any:
    if config.strategy == "single":
        return "auto"
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    if config.strategy == "ddp":
        return DDPStrategy(process_group_backend="nccl" if device == "cuda" else "gloo")
    return ModelParallelStrategy(
        parallelize_fn=_shard, data_parallel_size=world_size, tensor_parallel_size=1
    )


def _shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Shard each repeated block by itself, then the rest (FSDP2, torch's `fully_shard`)."""
    from torch.distributed.fsdp import fully_shard

    for child in module.modules():
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(module, mesh=mesh["data_parallel"])
    return module
