"""One choice of a device for training and inference; what is not there is said."""

import pytest
import torch

from caesura.errors import RecipeError
from caesura.training.device import VARIABLE, chosen_device, using_device


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_takes_cuda_where_there_is_one(two_gpus, monkeypatch):
    assert str(chosen_device()) == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(chosen_device()) == "cpu"


def test_a_named_device_is_taken_before_the_block_and_the_block_before_the_environment(
    two_gpus, monkeypatch
):
    monkeypatch.setenv(VARIABLE, "cuda:1")
    assert str(chosen_device()) == "cuda:1"
    with using_device("cpu") as device:
        assert str(device) == "cpu"
        assert str(chosen_device()) == "cpu"
        assert str(chosen_device("cuda")) == "cuda:0"
        with using_device("auto"):
            assert str(chosen_device()) == "cpu"
    assert str(chosen_device()) == "cuda:1"


def test_each_process_of_torchrun_takes_its_own(two_gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert str(chosen_device("cuda")) == "cuda:1"
    assert str(chosen_device("cuda:0")) == "cuda:0"


def test_a_device_that_is_unknown_or_absent_is_an_error(two_gpus, monkeypatch):
    with pytest.raises(RecipeError, match="unknown device 'gpu'; choose auto, cpu, cuda or cuda:N"):
        chosen_device("gpu")
    with pytest.raises(RecipeError, match="'cuda:2' is not there; this machine has cpu, cuda:0, c"):
        chosen_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="'cuda' is not there; this machine has cpu; .*doctor"):
        chosen_device("cuda")
