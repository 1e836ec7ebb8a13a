"""Times of one table asked of another: of one kind, in one zone, to one tick."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.clock import Clock
from caesura.errors import DataError

log = logging.getLogger("caesura")


def aligned(times: NDArray[Any], clock: Clock, wanted: Clock, name: str) -> NDArray[Any]:
    """Return times of one clock as another counts them.

    Times without a zone, asked of times in one, are those that a clock on the wall shows there; a
    note says so. One that it shows twice or never, times in a zone asked of times without one, and
    numbers asked of dates or dates of numbers, are a DataError.

    Args:
        times: numbers, or ticks since 1970.
        clock: what tells them.
        wanted: what is to tell them.
        name: of what asks, for messages.
    """
    if clock.kind != wanted.kind:
        raise DataError(f"{name} times are {clock.kind}s, the data's {wanted.kind}s")
    if clock.kind == "number":
        return times
    if clock.zone and not wanted.zone:
        raise DataError(
            f"{name} times are in the zone {clock.zone}, the data's have none; give times without "
            "an offset, as the data has them"
        )
    if wanted.zone and not clock.zone:
        times = _in_zone(times, clock, wanted.zone, name)
    if clock.ticks == wanted.ticks:
        return times
    if clock.ticks > wanted.ticks:  # what lies between two ticks is asked of the one before
        return np.asarray(times // (clock.ticks // wanted.ticks))
    finer = wanted.ticks // clock.ticks
    limit = np.iinfo(np.int64).max // finer
    if np.abs(times).max(initial=0) > limit:
        raise DataError(
            f"{name} times reach beyond the years 1678 to 2261, which are all that the data's "
            "nanoseconds can tell"
        )
    return np.asarray(times * finer)


def _in_zone(times: NDArray[Any], clock: Clock, zone: str, name: str) -> NDArray[np.int64]:
    shown = pa.array(times, pa.int64()).cast(pa.timestamp(clock.unit))
    try:
        dates = pc.assume_timezone(shown, zone)
    except pa.ArrowInvalid:
        twice = pc.assume_timezone(shown, zone, ambiguous="earliest", nonexistent="earliest")
        other = pc.assume_timezone(shown, zone, ambiguous="latest", nonexistent="latest")
        bad = shown.filter(pc.not_equal(twice, other)).cast(pa.string())
        raise DataError(
            f"{name} times have no zone, and clocks in {zone} show {bad[0].as_py()} twice or "
            f"never; give times with an offset from UTC, e.g. {bad[0].as_py()[:19]}+00:00"
        ) from None
    log.warning("%s times have no zone; they are taken as times of the data's, %s", name, zone)
    return np.asarray(dates.cast(pa.int64()).to_numpy(zero_copy_only=False))
