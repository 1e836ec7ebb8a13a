"""A device that stands in for an accelerator: what was not moved to it, or back, raises.

Its tensors are a subclass that computes on the CPU; a mode watches every call of torch within the
block and raises where such a tensor meets one that was not moved, where it is read as an array, and
where a generator of the CPU draws on it, as CUDA does. So a loop that forgets to move its batch is
found on machines without a GPU.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from caesura.training import arithmetic, device, fabric, loop, memory

STAND_IN = torch.device("cuda", 0)
_TAKES_BOTH = {
    Tensor.copy_,
    Tensor.__getitem__,  # indices of the CPU are taken to the device
    Tensor.__setitem__,
    Tensor.data.__set__,
    torch._has_compatible_shallow_copy_type,
    Tensor.grad.__set__,
}
_READS_ON_CPU = {Tensor.numpy, Tensor.__array__, torch.Tensor.data_ptr}


class Moved(Tensor):
    """A tensor on the stand-in device."""

    def __deepcopy__(self, memo):
        twin = _moved(self.detach().cpu().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            twin = torch.nn.Parameter(twin, self.requires_grad)
        return memo.setdefault(id(self), twin)


def _moved(x):
    return x.as_subclass(Moved)


def _back(x):
    return x.as_subclass(Tensor) if isinstance(x, Moved) else x


def _asked(values):
    """Return the device and the dtype that `Tensor.to` is asked for, None where it is not."""
    place = dtype = None
    for value in values:
        if isinstance(value, Tensor):
            place = STAND_IN if isinstance(value, Moved) else torch.device("cpu")
            dtype = value.dtype
        elif isinstance(value, torch.device | str):
            place = torch.device(value)
        elif isinstance(value, torch.dtype):
            dtype = value
    return place, dtype


class _Watch(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func is Tensor.to:
            return self._to(args, kwargs)
        if func is Tensor.cpu:
            return _back(args[0])
        wanted = kwargs.get("device")
        wanted = None if wanted is None else torch.device(wanted)
        if wanted is not None and wanted.type == STAND_IN.type:
            return self._made(func, args, kwargs)
        moved = [x for x in tensors if isinstance(x, Moved)]
        if not moved:
            return func(*args, **kwargs)
        return self._on_device(func, args, kwargs, tensors)

    def _to(self, args, kwargs):
        x, *rest = args
        place, dtype = _asked((*rest, *kwargs.values()))
        same = dtype is None or dtype == x.dtype
        if place is None:
            return x if same else x.to(dtype)
        if isinstance(x, Moved) == (place.type == STAND_IN.type) and same:
            return x
        plain = _back(x) if same else _back(x).to(dtype)
        return _moved(plain) if place.type == STAND_IN.type else plain

    def _made(self, func, args, kwargs):
        """Return what a factory makes on the device."""
        if kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        kwargs.pop("device")
        return _moved(func(*args, **kwargs))

    def _on_device(self, func, args, kwargs, tensors):
        if func == Tensor.device.__get__:
            return STAND_IN
        if func in _READS_ON_CPU:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        if func is Tensor.__iter__:
            return iter(torch.unbind(args[0]))
        if kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        left = [x for x in tensors if not isinstance(x, Moved) and x.dim()]
        name = getattr(func, "__name__", str(func))
        of_optimiser = name.startswith(("_fused", "_foreach"))  # gradients are made out of sight
        if left and func not in _TAKES_BOTH and not of_optimiser:
            raise RuntimeError(
                f"Expected all tensors to be on the same device: {name} was given one of shape "
                f"{tuple(left[0].shape)} that was not moved"
            )
        result = func(*args, **kwargs)
        if func == Tensor.grad.__get__ and result is not None:
            return _moved(result)
        return result


def _named(choice):
    return torch.device("cpu") if choice == "cpu" else STAND_IN


def _launch(config):
    """Return a Fabric that trains on the chosen device, the stand-in device too."""
    where = device.chosen_device()
    with mock.patch.object(fabric, "chosen_device", return_value=torch.device("cpu")):
        made = fabric.launch(config)
    made._strategy._root_device = where
    made._accelerator.setup_device = lambda where: None
    return made


@contextmanager
def stand_in():
    """Let "cuda", and so "auto", be the stand-in device in the block."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with (
            mock.patch.dict("os.environ", {device.VARIABLE: "cuda"}),
            mock.patch.object(device, "_named", _named),
            mock.patch.object(loop, "launch", _launch),
            mock.patch.object(memory, "free_bytes", return_value=2**33),
            mock.patch.object(arithmetic, "bf16_is_native", return_value=False),
            _Watch(),
        ):
            yield STAND_IN
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
