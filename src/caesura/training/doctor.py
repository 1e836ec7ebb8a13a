"""Looks at the machine and the installation for what is known to go wrong."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass

import torch

from caesura.training.precision import bf16_is_native, onednn_is_exact


@dataclass(frozen=True)
class Finding:
    """One check; `advice` is empty where all is well."""

    name: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Return all findings."""
    return [
        Finding("python", platform.python_version()),
        Finding("torch", torch.__version__),
        _device(),
        _torchvision(),
        _fabric(),
        Finding("CPU cores, threads", f"{os.cpu_count()}, {torch.get_num_threads()}"),
        _omp_dynamic(),
        Finding("fp32 route", "oneDNN (probed exact)" if onednn_is_exact() else "default"),
        Finding("bf16 in hardware", "yes" if bf16_is_native() else "no: fp32 is used"),
        _disk(),
    ]


def _device() -> Finding:
    if torch.cuda.is_available():
        return Finding("device", torch.cuda.get_device_name())
    if torch.version.cuda:
        advice = "this torch was built for CUDA; the CPU build is smaller (see README)"
        return Finding("device", f"CPU (torch for CUDA {torch.version.cuda})", advice)
    return Finding("device", "CPU")


def _torchvision() -> Finding:
    """A torchvision built for another torch breaks the import of the training library."""
    try:
        version = importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return Finding("torchvision", "not installed (not needed)")
    try:
        import torchvision  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except (RuntimeError, ImportError, OSError, AttributeError) as error:
        advice = "remove it (pip uninstall torchvision), or install the one made for this torch"
        return Finding("torchvision", f"{version}, does not load: {error}"[:80], advice)
    return Finding("torchvision", version)


def _fabric() -> Finding:
    try:
        version = importlib.metadata.version("lightning-fabric")
    except importlib.metadata.PackageNotFoundError:
        return Finding("lightning-fabric", "missing", "pip install 'lightning-fabric>=2.6.4'")
    if version in ("2.6.2", "2.6.3"):
        return Finding(
            "lightning-fabric", version, "malicious releases carried this number; update"
        )
    return Finding("lightning-fabric", version)


def _omp_dynamic() -> Finding:
    if os.environ.get("OMP_DYNAMIC", "").lower() in ("true", "1"):
        return Finding("OMP_DYNAMIC", "on", "unset it: torch's products are silently wrong")
    return Finding("OMP_DYNAMIC", "off")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return Finding("free disk here", f"{free:.1f} GiB", "" if free > 1 else "free some space")
