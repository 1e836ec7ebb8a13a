"""The verb that ships a run: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Data, RunFolder


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(export)


def export(
    run: RunFolder,
    onnx: Annotated[
        Path | None, typer.Option(help="File of the graph; its certificate is a .json beside.")
    ] = None,
    executorch: Annotated[
        Path | None, typer.Option(help="File of an ExecuTorch program, .pte (himae, fp32).")
    ] = None,
    data: Data = None,
    int8: Annotated[bool, typer.Option(help="8-bit convolutions, calibrated on --data.")] = False,
    level: Annotated[str, typer.Option(help="all, or the number of one level (himae).")] = "all",
    head: Annotated[
        Path | None, typer.Option(help="A probe kept by `caesura probe --head`: answers inside.")
    ] = None,
    missing: Annotated[
        bool, typer.Option(help="Take NaN for samples that were not measured (himae).")
    ] = False,
) -> None:
    """Write one graph from raw samples to embeddings or probabilities, checked against the run.

    Example: `caesura export run --onnx watch.onnx --int8 --head probe.json`
    """
    from caesura.errors import RecipeError
    from caesura.export.executorch import export_executorch
    from caesura.export.onnx import export_onnx
    from caesura.run import load
    from caesura.tasks.probe_head import read_head

    if onnx is None and executorch is None:
        raise RecipeError("give --onnx FILE or --executorch FILE")
    if onnx is None and (int8 or missing):
        raise RecipeError("--int8 and --missing are for --onnx")
    trained = load(run, device="cpu")  # where what is exported is checked and timed
    known = None if head is None else read_head(head)
    store = trained.open(data)
    console.say("exporting, checking and timing")
    if executorch is not None:
        gap = export_executorch(trained, store, executorch, level=level, head=known)
        console.result(f"ExecuTorch program, largest difference {gap:.2g}: {executorch}")
    if onnx is None:
        return
    found = export_onnx(trained, store, onnx, int8=int8, level=level, head=known, missing=missing)
    parity = found.parity
    rows = [
        {"figure": "precision", "value": found.precision},
        {"figure": "input", "value": str(next(iter(found.inputs.values())))},
        {"figure": "outputs", "value": ", ".join(found.outputs[:8])},
        {"figure": "size", "value": f"{found.bytes / 1e6:.2f} MB"},
        {"figure": "multiplications", "value": f"{found.macs / 1e6:.1f} million"},
        {
            "figure": "parity with the run",
            "value": f"{parity['measure']} {parity['value']:.2g} on {parity['inputs']} inputs "
            f"(limit {parity['limit']:g})",
        },
        {
            "figure": "latency, batch 1, 1 thread",
            "value": ", ".join(f"{k} {v:.3f} ms" for k, v in found.latency_ms.items()),
        },
        {"figure": "on", "value": f"{found.cpu}, onnxruntime {found.onnxruntime}"},
    ]
    console.table(rows)
    for note in found.notes:
        console.say(note)
    console.result(f"\ngraph: {onnx}\ncertificate: {onnx.with_suffix('.json')}")
