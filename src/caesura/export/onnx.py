"""Exports a run to ONNX, refuses what does not do as the run does, and certifies the rest."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caesura.data.collate import collate, tokenise_store
from caesura.data.grid import sample_store
from caesura.data.store import RaggedStore
from caesura.data.window import covering_windows
from caesura.errors import DataError, ExportError
from caesura.export.certificate import Certificate, count_macs, cpu_name, latencies, session
from caesura.export.forms import Form, PatchForm, PyramidForm, form_of
from caesura.files import write_atomically
from caesura.nn.attend import plain_attention_up_to
from caesura.tasks.needs import Trained
from caesura.tasks.probe_head import ProbeHead
from caesura.types import Tokens

FP32_LIMIT = 1e-5
"""Largest absolute difference of outputs, relative to their largest value where that is over 1."""
INT8_LIMIT = 0.03
"""Root mean squared difference over the root mean square of the outputs."""
FEWEST = 16
"""Windows that a calibration needs at least."""
_CALIBRATION, _CHECKED = 128, 64
_OPSET = 18


def export_onnx(
    run: Trained,
    store: RaggedStore,
    path: Path,
    *,
    int8: bool = False,
    level: str = "all",
    head: ProbeHead | None = None,
    missing: bool = False,
) -> Certificate:
    """Write a graph and, beside it, its certificate (`.json`); nothing is left if it fails.

    store: series of the data, of which some windows check the graph against the run (and, for
    int8, others calibrate it). fp32 must agree to 1e-5, int8 to 3 % relative RMS: an
    ExportError otherwise. A pyramid's graph takes raw samples (batch, channels, window) in the
    data's units; a Transformer's takes the tensors that the data door makes, any number of
    series and observations.
    """
    _require_onnx()
    Certificate.check_free(path.with_suffix(".json"))
    form = form_of(run, level, head, missing=missing).eval()
    if int8 and not isinstance(form, PyramidForm):
        raise ExportError("int8 is for convolutional runs (himae); export this one in fp32")
    inputs = list(sample_inputs(run, store, form, _CHECKED + (_CALIBRATION if int8 else 0)))
    checked, rest = inputs[:_CHECKED], inputs[_CHECKED:]
    if int8 and len(inputs) < 2 * FEWEST:
        raise DataError(
            f"{len(inputs)} windows to calibrate and check int8; at least {2 * FEWEST} are "
            "needed. Give more data, or a shorter window"
        )
    if int8 and len(rest) < FEWEST:
        half = len(inputs) // 2
        checked, rest = inputs[:half], inputs[half:]
    notes: list[str] = []
    sampling = run.schema.sampling
    if sampling is not None and sampling.band:
        low, high = sampling.band
        notes.append(f"samples must be band-passed to {low:g}-{high:g} Hz before")

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "fp32.onnx"
        _to_onnx(form, checked[0], graph)
        if int8:
            plain, graph = graph, Path(folder) / "int8.onnx"
            _quantised(plain, graph, rest)
        opened = session(graph)
        parity = compared(form, opened, checked, int8=int8)
        if not parity["value"] <= parity["limit"]:
            raise ExportError(
                f"the graph does not do as the run does: {parity['measure']} "
                f"{parity['value']:.3g} on {parity['inputs']} inputs, limit {parity['limit']:g}; "
                + ("calibrate on more data, or export fp32" if int8 else "nothing was written")
            )
        names = [value.name for value in opened.get_inputs()]
        first = dict(zip(names, (x[:1].numpy() for x in checked[0]), strict=True))
        certificate = Certificate(
            precision="int8" if int8 else "fp32",
            outputs=_output_names(form, head, run),
            inputs=_described(run, form, checked[0]),
            bytes=graph.stat().st_size,
            macs=count_macs(form, tuple(x[:1] for x in checked[0])),
            parameters=form.parameters_used,
            parity=parity,
            latency_ms=latencies(opened, first),
            threads=1,
            cpu=cpu_name(),
            onnxruntime=_version(),
            notes=notes,
        )
        whole = graph.read_bytes()

    def put(temporary: Path) -> None:
        temporary.write_bytes(whole)

    write_atomically(path, put)
    certificate.write(path.with_suffix(".json"))
    return certificate


def compared(
    form: Form, opened: Any, inputs: list[tuple[Tensor, ...]], *, int8: bool
) -> dict[str, Any]:
    """Return how far a graph's outputs are from the run's own, on each of some inputs."""
    names = [value.name for value in opened.get_inputs()]
    gap, size, largest, peak = 0.0, 0.0, 0.0, 0.0
    with torch.no_grad(), plain_attention_up_to(-1):
        for one in inputs:
            ours = form(*one).numpy()
            feed = dict(zip(names, (x.numpy() for x in one), strict=True))
            theirs = opened.run(None, feed)[0]
            if theirs.shape != ours.shape or not np.isfinite(theirs).all():
                largest = gap = np.inf
                break
            largest = max(largest, float(np.abs(ours - theirs).max()))
            peak = max(peak, float(np.abs(ours).max()))
            gap += float(np.square(ours - theirs).sum())
            size += float(np.square(ours).sum())
    if int8:
        value, limit = float(np.sqrt(gap / max(size, 1e-30))), INT8_LIMIT
    else:
        value, limit = largest / max(peak, 1.0), FP32_LIMIT
    measure = "relative RMS" if int8 else "largest difference"
    return {"measure": measure, "value": value, "limit": limit, "inputs": len(inputs)}


def sample_inputs(
    run: Trained, store: RaggedStore, form: Form, most: int
) -> Iterator[tuple[Tensor, ...]]:
    """Yield inputs of the run's data, evenly chosen: whole windows, or series as tokens."""
    everything = np.arange(len(store))
    if isinstance(form, PyramidForm | PatchForm):
        view = sample_store(store, run.schema)
        windows = view.tiles(everything)
        if not len(windows):
            raise DataError(
                f"no recording has a whole window of {view.window / view.rate_hz:g} s to check with"
            )
        for place in _evenly(len(windows), most):
            grid = view.collate(windows.take(np.array([place]))).inputs
            kind = torch.float64 if form.wide else torch.float32
            values = torch.from_numpy(view.units.table(grid.values.numpy())).to(kind)
            hole = torch.full_like(values, torch.nan if form.missing else 0.0)
            yield (torch.where(grid.observed, values, hole),)
        return
    tokens = tokenise_store(store, run.schema)
    windows = covering_windows(tokens.offsets, everything, run.recipe.training.max_tokens)
    for place in _evenly(len(windows) - 1, min(most, 16)):
        inputs = collate(tokens, windows.take(np.array([place, place + 1]))).inputs
        if isinstance(inputs, Tokens):  # always, of a token store
            yield inputs.values, inputs.observed, inputs.positions, inputs.valid


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(count - 1, 0), min(max(count, 1), most)).astype(np.int64))


def _to_onnx(form: Form, example: tuple[Tensor, ...], path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=65_536)
    shapes: tuple[dict[int, Any], ...]
    if isinstance(form, PyramidForm | PatchForm):
        names, shapes = ["samples"], ({0: batch},)
        example = (example[0].expand(2, -1, -1).contiguous(),)
    else:
        names = ["values", "observed", "positions", "valid"]
        tokens = torch.export.Dim("tokens", min=2, max=65_536)
        shapes = ({0: batch, 1: tokens},) * 4
        example = tuple(x.clone() for x in example)
    with _silence():
        program = torch.onnx.export(
            form,
            example,
            input_names=names,
            output_names=["output"],
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        if program is None:
            raise ExportError("torch made no graph of this run")
        program.save(str(path), external_data=False)
    _strip(path)


def _strip(path: Path) -> None:
    """Take the exporter's notes out of a graph: they name files of this machine, and weigh."""
    import onnx

    model = onnx.load(str(path))
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.save(model, str(path))


def _quantised(plain: Path, path: Path, inputs: list[tuple[Tensor, ...]]) -> None:
    """Quantise the convolutions statically: 8 bits, per channel, activations unsigned.

    Weights take 7 of their bits: CPUs without VNNI add two products in 16 bits, which full ones
    saturate, and a graph is not run where it was calibrated.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped base
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            one = next(self.left, None)
            return None if one is None else {"samples": one[0].numpy()}

    with _silence():
        prepared = plain.with_suffix(".prepared.onnx")
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
    _strip(path)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporters' own chatter from the user; what matters is raised."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "root")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _output_names(form: Form, head: ProbeHead | None, run: Trained) -> list[str]:
    target = head.target if head is not None else run.schema.target
    if target is not None and form.answer.head is not None:
        return [f"p_{name}" for name in target.classes] or list(target.names)
    if isinstance(form, PyramidForm):
        widths = form.encoder.widths
        return [f"level {n}: {widths[n - 1]} features" for n in form.levels]
    return ["embedding"]


def _described(run: Trained, form: Form, example: tuple[Tensor, ...]) -> dict[str, Any]:
    sampling = run.schema.sampling
    if isinstance(form, PyramidForm | PatchForm) and sampling is not None:
        return {
            "samples": ["batch", len(run.schema.variables), sampling.window],
            "channels": run.schema.variables,
            "rate_hz": sampling.rate_hz,
            "window_s": sampling.window / sampling.rate_hz,
            "missing": "NaN" if form.missing else "not allowed",
        }
    return {
        "values": ["batch", "tokens", example[0].shape[-1]],
        "observed": ["batch", "tokens", example[1].shape[-1]],
        "positions": ["batch", "tokens", example[2].shape[-1]],
        "valid": ["batch", "tokens"],
        "channels": run.schema.variables,
        "time_unit": run.schema.time_unit,
        "scaling": [[scale.model_dump() for scale in row] for row in run.schema.scales],
    }


def _require_onnx() -> None:
    try:
        import onnxruntime  # noqa: F401  # the import is the test
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed; pip install 'caesura[export]' (onnx, onnxscript, "
            "onnxruntime)"
        ) from None


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
