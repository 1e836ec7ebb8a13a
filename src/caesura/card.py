"""The model card of a run folder: what it is, what it was trained on, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caesura.run import Run


def model_card(run: Run) -> str:
    """Return a Markdown page made from the run's own recipe, schema and figures."""
    schema, recipe = run.schema, run.recipe
    parameters = {
        name: sum(p.numel() for p in part.parameters()) for name, part in run.parts.items()
    }
    unit = "s" if schema.time_kind == "timestamp" else f"of column `{schema.columns.time}`"
    lines = [
        f"# caesura run: {recipe.name}",
        "",
        f"- parts: {', '.join(f'{n} ({c:,} parameters)' for n, c in parameters.items())}",
        f"- data: `{recipe.data.path or 'given in memory'}`",
        f"- channels: {', '.join(schema.variables[:40])}",
        _grid_or_unit(run, unit),
        f"- seed: {recipe.seed}; `recipe.toml` repeats this run",
    ]
    if schema.target is not None:
        target = schema.target
        lines.append(f"- predicts: {', '.join(target.names)} ({target.task})")
    lines += ["", "## Figures", "", "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {_shown(value)} |" for name, value in run.metrics.items()]
    if run.coverage:
        lines += ["", "## Coverage of 90 % intervals, on held-out series", ""]
        lines += ["| channel | values | coverage |", "|---|---|---|"]
        lines += [
            f"| {row['channel']} | {row['values']} | {row['coverage']:.3f} |"
            for row in run.coverage
        ]
    lines += ["", "## Use", "", "```bash", *_commands(run), "```", ""]
    return "\n".join(lines)


def _grid_or_unit(run: Run, unit: str) -> str:
    sampling = run.schema.sampling
    if sampling is None:
        return f"- one rotary unit of time: {run.schema.time_unit:g} {unit}"
    text = f"- reads {sampling.rate_hz:g} Hz in windows of {sampling.window / sampling.rate_hz:g} s"
    if sampling.band:
        text += f", band-passed to {sampling.band[0]:g}-{sampling.band[1]:g} Hz"
    return text


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commands(run: Run) -> list[str]:
    if "head" in run.parts:
        return ["caesura predict . --data new.parquet -o predictions.parquet"]
    if "prior" in run.parts:
        return [
            "caesura generate . -n 1000 -o synthetic.parquet",
            "caesura impute . --data gaps.parquet -o whole.parquet",
            "caesura evaluate generation --real new.parquet --synthetic synthetic.parquet",
        ]
    if run.schema.sampling is not None:
        return [
            "caesura embed . --data new.parquet -o embedding.parquet",
            "caesura probe . --labels labels.csv --figure scales.svg",
            "caesura export . --onnx model.onnx --int8",
        ]
    return [
        "caesura embed . --data new.parquet -o embedding.parquet",
        "caesura interpolate . --data new.parquet --at every:1 -o interpolated.parquet",
        "caesura finetune . --labels labels.csv --out tuned",
    ]
