"""The one training loop: every objective, every stage, any number of processes.

A step's loss is the mean over its real elements wherever they lie: each micro-batch is
weighted by its count, gradients are divided by the count over all ranks. So padding, the
cut into micro-batches and the number of processes leave the gradient as it is.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from caesura.errors import DivergedError, RecipeError, StoppedError
from caesura.nn.attend import plain_attention_up_to
from caesura.system import return_memory
from caesura.training import state as training_state
from caesura.training.arithmetic import resolved
from caesura.training.compilation import REPAYS_AFTER, can_compile, compile_blocks, fall_back
from caesura.training.config import TrainingConfig
from caesura.training.fabric import launch
from caesura.training.interrupt import Interrupt
from caesura.training.joined import Joined
from caesura.training.memory import affordable_tokens, divided, is_out_of_memory
from caesura.training.optim import adamw, learning_rate_factor, set_learning_rate
from caesura.training.precision import fast_float32, threads
from caesura.training.track import Tracking
from caesura.types import Batch, Loss, Objective, as_module

log = logging.getLogger("caesura")
_FEWEST_TOKENS = 64
_EVALUATION_SHARE = 0.1
"""Of the time of a training that is bounded by minutes, for one evaluation at most."""
_BATCH_COST = 1 / 3
"""Time of a validation batch, as a share of a step's."""
_COMPILE_AT = 10
"""The step before which a run decides whether compiling repays: its speed is known by then."""
VALIDATION_STEP = -1
"""The step in whose name validation draws its masks: the same ones at each evaluation."""


class BatchSource(Protocol):
    """Gives the batches of any step by its number, so that resuming needs no reader state."""

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the number of steps in which each training series is seen once."""

    def training(self, step: int, rank: int, world_size: int) -> Sequence[Batch]:
        """Return this rank's micro-batches of one optimiser step."""

    def validation(self, rank: int, world_size: int) -> Sequence[Batch] | Iterable[Batch]:
        """Return this rank's share of the held-out series, in a fixed order."""

    def validation_steps(self, world_size: int) -> int:
        """Return the number of batches in the largest share."""


class TimeLimit(NamedTuple):
    """Seconds of a training. following: work within them that comes after it, in steps."""

    seconds: float
    following: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a progress display needs after a step; losses are NaN where not yet known."""

    step: int
    fraction: float
    train_loss: float
    validation_loss: float
    note: str = ""
    """What is done in place of a step, e.g. the calibration that follows a training."""


@dataclass
class TrainingState:
    """Where a training stands; all of it is saved, and all of it is restored."""

    step: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_step: int = -1
    stale: int = 0
    finished: bool = False
    compiled: bool = False
    micro_tokens: int = 0
    validation_loss: float = math.nan
    validated_of: int = 0
    """Of so many validation batches one is read, 0 where that is not decided yet."""
    history: list[dict[str, float]] = field(default_factory=list)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step, the same on every rank and after any resume."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (step + 2) * 0xBF58476D1CE4E5B9) % 2**63
    return torch.Generator().manual_seed(mixed)


class _Call:
    """One call of the objective, opaque to the wrappers that would copy or cast its tensors."""

    def __init__(self, batch: Batch, rng: torch.Generator) -> None:
        self.batch = batch
        self.rng = rng


class _Wrapped(nn.Module):
    """The objective with a forward that returns plain tensors, which FSDP hooks can see."""

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, call: _Call) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
        loss: Loss = self.objective(call.batch, call.rng)
        return loss.total, loss.count, dict(loss.parts), dict(loss.carry)


class Trainer:
    """Trains one objective to the end; `folder` holds its checkpoint and metrics, if given.

    Raises DivergedError when a loss is not finite, StoppedError after an interrupt once the
    state is saved. With `resume` it continues from the checkpoint in `folder`.

    limit: in place of the minutes of the settings, where other work shares them. The last step and
    evaluation end within it, as far as the ones before them tell.
    """

    def __init__(
        self,
        objective: Objective,
        source: BatchSource,
        config: TrainingConfig,
        seed: int,
        *,
        folder: Path | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        on_evaluate: Callable[[], Mapping[str, float]] = dict,
        limit: TimeLimit | None = None,
    ) -> None:
        config = resolved(config)
        self.limit = limit or TimeLimit(60 * config.minutes)
        self.step_seconds = self.evaluation_seconds = 0.0
        self.objective, self.source, self.config, self.seed = objective, source, config, seed
        self.folder, self.on_progress, self.on_evaluate = folder, on_progress, on_evaluate
        if not (config.steps or config.epochs or config.minutes):
            raise RecipeError("no length of training; set one of steps, epochs, minutes")
        self.fabric = launch(config)
        module = as_module(objective)
        if config.strategy == "single":  # parts of an earlier stage are on the device already
            module.to(self.fabric.device)
        self.model: Any = self.fabric.setup_module(_Wrapped(module))
        fused = config.strategy != "fsdp"  # sharded tensors have no fused kernel on a CPU
        optimizer = adamw(self.model, config.lr, config.weight_decay, config.betas, fused)
        self.optimizer: Any = self.fabric.setup_optimizers(optimizer)
        self.state = TrainingState()
        self.best: dict[str, Tensor] = {}
        self.total_steps = self._total_steps()
        self.start_counts = False  # may the weights before the first step be the best
        self.every = config.evaluate_every or self._default_interval()
        self.tracking = self._tracking()

    def fit(self, resume: bool = False) -> TrainingState:
        """Train, leave the best weights by validation loss in the objective, and report.

        Torch's own generator, which dropout uses, is seeded here and put back after.
        """
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + self.fabric.global_rank)
            if resume:
                training_state.restore(self)
            try:
                return self._fit()
            finally:
                self.tracking.close()

    def _fit(self) -> TrainingState:
        begun = time.monotonic() - self.state.seconds
        config = self.config
        self.state.micro_tokens = self.state.micro_tokens or affordable_tokens(self.model)
        if self.state.compiled:
            compile_blocks(self.model)
        with (
            threads(config.threads),
            fast_float32(config.products),
            plain_attention_up_to(config.plain_attention),
            Interrupt() as interrupt,
        ):
            if self.start_counts and not self.state.history:
                self._evaluate(math.nan, last=False)
            self.model.train()  # frozen parts say here that they go on evaluating
            while not self.state.finished:
                if self.state.step == _COMPILE_AT and self._would_repay_compiling():
                    self.state.compiled = compile_blocks(self.model) > 0
                step_begun = time.monotonic()
                loss = self._step()
                self.state.step += 1
                self.state.seconds = time.monotonic() - begun
                self._note_step(time.monotonic() - step_begun)
                last = self._fraction() >= 1.0
                if last or self.state.step % self.every == 0:
                    self._evaluate(loss, last)
                self.on_progress(
                    Progress(self.state.step, self._fraction(), loss, self.state.validation_loss)
                )
                if interrupt.requested and not self.state.finished:
                    training_state.save(self)
                    raise StoppedError(
                        f"stopped at step {self.state.step}; the state is saved, "
                        "continue with --resume"
                    )
        training_state.load_best(self)
        return self.state

    def _would_repay_compiling(self) -> bool:
        config, state = self.config, self.state
        if config.compile == "off" or config.strategy != "single" or not can_compile():
            return False
        if self.objective.needs_random_batches or config.batches == "random":
            return False  # packed tokens have no fixed number of groups: it would compile anew
        left = state.seconds * (1 - self._fraction()) / max(self._fraction(), 1e-9)
        return config.compile == "on" or left > REPAYS_AFTER

    def _step(self) -> float:
        """Take one optimiser step and return its training loss."""
        generator = torch.get_rng_state()
        while True:
            try:
                return self._plain_step()
            except Exception as error:
                self._recover(error)
            self.optimizer.zero_grad(set_to_none=True)
            torch.set_rng_state(generator)

    def _recover(self, error: Exception) -> None:
        """Change what made a step fail, if that is known and can be changed; else raise again."""
        state = self.state
        compiler = type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
        if state.compiled and compiler:
            fall_back(self.model, error)
            state.compiled = False
            return
        if not is_out_of_memory(error) or self.objective.needs_random_batches:
            raise error
        state.micro_tokens = min(state.micro_tokens, self.config.batch_tokens) // 2
        if state.micro_tokens < _FEWEST_TOKENS:
            raise error
        log.warning(
            "out of memory at step %d; batches go on in parts of %d tokens",
            state.step,
            state.micro_tokens,
        )

    def _micro_batches(self) -> list[Batch]:
        """Return this step's batches, cut to what memory holds where the loss allows it."""
        fabric, state = self.fabric, self.state
        batches = self.source.training(state.step, fabric.global_rank, fabric.world_size)
        if self.objective.needs_random_batches or fabric.world_size > 1:
            return list(batches)  # ranks must take the same number of parts
        return [part for batch in batches for part in divided(batch, state.micro_tokens)]

    def _plain_step(self) -> float:
        state, config, fabric = self.state, self.config, self.fabric
        set_learning_rate(
            self.optimizer, config.lr * learning_rate_factor(self._fraction(), config.warmup)
        )
        micro = self._micro_batches()
        joined = Joined(self.objective.carry_rules)
        for position, batch in enumerate(micro):
            call = _Call(batch.to(fabric.device), step_generator(self.seed, state.step))
            with fabric.no_backward_sync(self.model, enabled=position < len(micro) - 1):
                total, count, parts, carry = self.model(call)
                fabric.backward(total * count)
            joined.add(total, count, parts, carry)
        joined.reduce(fabric)
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(fabric.world_size / joined.count)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        if not (math.isfinite(joined.loss) and math.isfinite(float(_whole(norm)))):
            raise DivergedError(
                f"loss {joined.loss:.4g}, gradient norm {float(_whole(norm)):.4g} at step "
                f"{state.step}; try a lower training.lr (now {config.lr:g}), a longer "
                "training.warmup, or look for extreme values with `caesura data validate`"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.objective.after_step(joined.carry, self._fraction())
        return joined.loss

    @torch.no_grad()
    def _evaluate(self, train_loss: float, last: bool) -> None:
        """Measure the validation loss, keep the best weights, save, decide whether to stop."""
        fabric, state, begun = self.fabric, self.state, time.monotonic()
        self.model.eval()
        return_memory()
        joined = Joined({})
        state.validated_of = state.validated_of or self._affordable_stride()
        batches = self.source.validation(fabric.global_rank, fabric.world_size)
        for batch in islice(batches, None, None, state.validated_of):
            call = _Call(batch.to(fabric.device), step_generator(self.seed, VALIDATION_STEP))
            total, count, parts, _ = self.model(call)
            joined.add(total, count, parts, {})
        joined.reduce(fabric)
        state.validation_loss = joined.loss
        state.stale += 1
        if joined.loss < state.best_loss or not self.objective.comparable:
            state.best_loss, state.best_step, state.stale = joined.loss, state.step, 0
            self.best = training_state.model_tensors(self.objective)
        state.finished = last or bool(self.config.patience and state.stale >= self.config.patience)
        row = {"step": state.step, "seconds": round(state.seconds, 3)}
        row |= {"train_loss": train_loss} if state.step else {}
        row |= {"validation_loss": joined.loss, **joined.parts}
        row |= {f"online_{name}": value for name, value in self.on_evaluate().items()}
        state.history.append(row)
        self.tracking.log(state.step, row)
        if state.step:  # asking an optimiser that has made no step for its state makes one
            training_state.save(self)
        self.model.train()
        return_memory()
        self.evaluation_seconds = time.monotonic() - begun

    def _affordable_stride(self) -> int:
        """Return of how many validation batches one is read: of all, where time does not bound."""
        if self.total_steps:
            return 1
        batches = self.source.validation_steps(self.fabric.world_size)
        expected = batches * _BATCH_COST * self.step_seconds
        stride = torch.tensor(math.ceil(expected / (_EVALUATION_SHARE * self.limit.seconds)))
        if self.fabric.world_size > 1:  # ranks must read the same ones each time
            stride = self.fabric.broadcast(stride)
        return max(1, min(int(stride), batches))

    def _note_step(self, seconds: float) -> None:
        """Keep a running mean of the time of a step; the first one prepares, and counts least."""
        known = self.step_seconds if self.state.step > 2 else seconds
        self.step_seconds = 0.7 * known + 0.3 * seconds

    def _to_come(self) -> float:
        """Return the seconds of one more step and of what follows it."""
        batches = self.source.validation_steps(self.fabric.world_size)
        stride = self.state.validated_of or self._affordable_stride()
        evaluation = self.evaluation_seconds or (batches / stride * _BATCH_COST * self.step_seconds)
        following = min(self.limit.following * self.step_seconds, 0.5 * self.limit.seconds)
        return self.step_seconds + evaluation + following

    def _tracking(self) -> Tracking:
        config, folder = self.config, self.folder
        if config.track and folder is None:
            raise RecipeError("training.track needs a folder; pass --out, or leave it out")
        services = config.track if self.fabric.global_rank == 0 else ()
        return Tracking(services, folder or Path(), config.model_dump(mode="json"))

    def _total_steps(self) -> int:
        config = self.config
        if config.epochs:
            per_epoch = self.source.steps_per_epoch(self.fabric.world_size)
            return max(1, math.ceil(config.epochs * per_epoch))
        return config.steps  # 0 when minutes rule

    def _default_interval(self) -> int:
        """Evaluate about 20 times in a run of known length, else once an epoch.

        Never so often that it takes over a tenth of the time: a batch costs a third of a step.
        """
        world = self.fabric.world_size
        wanted = self.total_steps // 20 or self.source.steps_per_epoch(world)
        affordable = math.ceil(10 / 3 * self.source.validation_steps(world))
        most = max(1, self.total_steps // 4) if self.total_steps else wanted + affordable
        return max(1, min(max(wanted, affordable), most))

    def _fraction(self) -> float:
        if self.total_steps:
            return self.state.step / self.total_steps
        spent = self.state.seconds + (self._to_come() if self.state.step else 0.0)
        own = torch.tensor(spent / self.limit.seconds)
        # ranks' clocks differ: all must agree on the last step
        return float(self.fabric.broadcast(own)) if self.fabric.world_size > 1 else float(own)


def _whole(value: Tensor) -> Tensor:
    """Return a sharded scalar as a plain one."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value
