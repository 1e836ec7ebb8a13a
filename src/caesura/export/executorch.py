"""Exports a run of levels to ExecuTorch (XNNPACK), the route of phones and watches, checked."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from caesura.data.store import RaggedStore
from caesura.errors import ExportError
from caesura.export.forms import PyramidForm, form_of
from caesura.export.onnx import FP32_LIMIT, sample_inputs
from caesura.files import write_atomically
from caesura.tasks.needs import Trained
from caesura.tasks.probe_head import ProbeHead

_CHECKED = 32


def export_executorch(
    run: Trained,
    store: RaggedStore,
    path: Path,
    *,
    level: str = "all",
    head: ProbeHead | None = None,
) -> float:
    """Write a `.pte` program of one window (batch 1), fp32; returns its largest difference.

    It must agree with the run to 1e-5 on windows of the store (ExportError otherwise).
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.runtime import Runtime
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed; pip install 'caesura[executorch]'"
        ) from None
    form = form_of(run, level, head)
    if not isinstance(form, PyramidForm):
        raise ExportError("ExecuTorch is for convolutional runs (himae); export this one to ONNX")
    form = form.eval()
    inputs = list(sample_inputs(run, store, form, _CHECKED))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.export.export(form, (inputs[0][0].contiguous(),))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        content: bytes = lowered.to_executorch().buffer
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.pte"
        trial.write_bytes(content)
        method: Any = Runtime.get().load_program(str(trial)).load_method("forward")
        gap = 0.0
        with torch.no_grad():
            for (one,) in inputs:
                ours = form(one)
                theirs = method.execute([one.contiguous()])[0]
                gap = max(
                    gap, float((ours - theirs).abs().max() / max(1.0, float(ours.abs().max())))
                )
    if not gap <= FP32_LIMIT:
        raise ExportError(f"the program differs from the run by {gap:.3g}; nothing was written")

    def put(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, put)
    return gap
