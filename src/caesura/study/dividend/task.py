"""What a study asks of a task: cases that choose, cases that report, and a bounded skill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from caesura.data.schema import Schema
from caesura.tasks.needs import Trained

Said = NDArray[Any]
"""What a model says of every case, as far as the skill needs it: classes, values, or errors."""


class Part(Protocol):
    """Cases on which encoders are scored, frozen and tuned; never the cases of another part.

    An answer is worth something only where it was given for a case that nothing was fitted to:
    how a part sees to that is its own, `protocol` tells it to the reader.
    """

    @property
    def groups(self) -> NDArray[Any]:
        """Number of each case's group; intervals draw groups whole."""

    @property
    def cases(self) -> str:
        """Number and kind of the cases in words: "120 labelled series"."""

    @property
    def protocol(self) -> str:
        """How cases are kept from what is fitted, in a sentence or two for the report."""

    @property
    def nothing(self) -> str:
        """What skill 0 is: "no learning", "the seasonal naive forecast"."""

    def skill(self, said: Said, cases: NDArray[Any] | None = None) -> float:
        """Return the bounded skill over all cases, or some."""

    def probed(self, run: Trained, seed: int) -> Said:
        """Return what a linear model on the frozen encoder says."""

    def tuned(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> Said:
        """Return what the encoder says when it is trained for the task, whole."""

    def tuned_once(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> float:
        """Return the skill of the same in a shorter form: what chooses a rate."""

    def beside(self, schema: Schema) -> Mapping[str, Said]:
        """Return what baselines say that no encoder is trained for."""
