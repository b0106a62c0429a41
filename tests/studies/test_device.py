"""Every study's code on a device that is not the CPU, without a GPU: tensors of a stand-in device hold CPU tensors and compute
with them, but refuse what a GPU refuses. It finds tensors left on the wrong device, host generators used on the device, and, inside a
step that a CUDA graph would record, whatever makes the host wait. It says nothing of CUDA's kernels.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from claimcheck.engine import acceleration
from claimcheck.engine import train as training
from claimcheck.engine.context import Context, Settings
from claimcheck.running import cost
from claimcheck.spec.modules import study_module

from .asking import every_study

EVERY = every_study()
DEVICE = torch.device("meta")  # known to PyTorch everywhere, without kernels; autograd treats it like a CPU
SIZES = {"pool": 200, "validation": 50, "test": 60, "examples": 40, "reach": 2, "teacher_steps": 2, "steps": 2}
FULL = {  # parts that are run at full scale only, with less of everything
    ("distillation", "images"): {"fashion_mnist": SIZES, "batch_size": 20, "teacher_width": 16},
    ("double_descent", "convolution"): {"examples": 60, "batch_size": 20, "test_examples": 50},
    ("gradient_flow", "images"): {"width": 8, "examples": 200},
    ("residual_depth", "conv"): {"channels": 2, "batch_size": 8, "evaluated": 32},
}
aten = torch.ops.aten
MOVES = (aten.copy_.default, aten._to_copy.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default)
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal")


class OnDevice(torch.Tensor):
    """A tensor of the stand-in device; ``inner`` has its numbers."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=DEVICE
        )
        made.inner = inner
        return made

    def tolist(self):
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return execute(func, args, kwargs or {})


recording = False  # inside a step that a CUDA graph would record


def execute(func, args, kwargs):
    """Refuse what a GPU refuses, then compute on the CPU."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    ours = [isinstance(tensor, OnDevice) for tensor in tensors]
    assert all(mine or tensor.device != DEVICE for mine, tensor in zip(ours, tensors)), f"{func}: made by no known way"
    wanted = kwargs.get("device")
    there = any(ours) if wanted is None else torch.device(wanted) == DEVICE
    if func is aten.copy_.default:
        there = ours[0]
    elif func in INDEXING and not ours[0] and any(ours):
        raise RuntimeError(f"{func}: an index on the device for a tensor of the CPU")
    elif func not in MOVES and any(ours):
        index = tree_leaves(args[1]) if func in INDEXING else []
        for mine, tensor in zip(ours, tensors):
            if not mine and tensor.dim() and not any(tensor is each for each in index):
                raise RuntimeError(f"{func}: a tensor {tuple(tensor.shape)} of the CPU among tensors of the device")
    if there and any(isinstance(each, torch.Generator) for each in (*args, kwargs.get("generator"))):
        raise RuntimeError(f"{func}: a generator of the CPU for a tensor of the device")
    if recording and any(ours) and func._schema.name.removeprefix("aten::") in WAITS:
        raise RuntimeError(f"{func}: the host waits for the device inside a recorded step")
    if recording and func in MOVES and tensors and ours[-1] != there:  # a plain number is no tensor
        raise RuntimeError(f"{func}: numbers move between host and device inside a recorded step")
    plain = tree_map(lambda leaf: leaf.inner if isinstance(leaf, OnDevice) else leaf, (args, kwargs))
    if wanted is not None:
        plain[1].update(device=torch.device("cpu"), pin_memory=False)
    found = func(*plain[0], **plain[1])
    if not there:
        return found.clone() if func is aten._to_copy.default else found
    wrapped = tree_map(lambda leaf: OnDevice(leaf) if isinstance(leaf, torch.Tensor) else leaf, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return execute(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """Where PyTorch makes a tensor of a Python object without an operation: on the CPU first."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            one = not isinstance(args[1], tuple)
            index = [
                torch.as_tensor(i) if isinstance(i, list | np.ndarray) else i for i in (args[1:2] if one else args[1])
            ]
            args = (args[0], index[0] if one else tuple(index), *args[2:])
        return func(*args, **kwargs)


def captured(body):
    """In place of a CUDA graph: the step itself, as strict as a recording; a step on the side first."""

    def replay():
        global recording
        recording = True
        try:
            body()
        finally:
            recording = False

    replay()
    return replay


def outcome(study, scale, part, piece, device, data_dir):
    """What the study's function gives for the first and last run of the piece, each loop cut to two steps."""
    context = Context(
        study=study.name, scale=scale, part=part.name, settings=Settings(part.settings), device=device,
        data_dir=data_dir, design_runs=2, steps=lambda count, networks=None: range(min(count, 2)),
    )  # fmt: skip
    runs = piece.runs.iloc[[0, -1]].reset_index(drop=True)
    function = getattr(study_module(study.folder, "runs"), study.run_function(part.name))
    if device.type == "cpu":
        return function(runs, context)
    with Operations(), Functions():
        return function(runs, context)


def same_on_the_device(study, scale, part, monkeypatch, data_dir):
    monkeypatch.setattr(acceleration, "captured", captured)
    monkeypatch.setattr(training, "choose", lambda parts, *_: acceleration.Recorded(parts, pytest.fail))
    piece = next(piece for piece in cost.pieces(part) if piece.phase == "confirm")
    device = outcome(study, scale, part, piece, DEVICE, data_dir)
    cpu = outcome(study, scale, part, piece, torch.device("cpu"), data_dir)
    pd.testing.assert_frame_equal(device, cpu, rtol=1e-5)


SMOKE = [
    (name, part.name)
    for name, study in EVERY.items()
    for part in study.at("smoke").values()
    if part.seeds and not part.timing  # of what is timed no two runs are equal
]


BEYOND = {
    ("residual_depth", "depth"): "turn a module into float64",
    ("residual_depth", "small_slope"): "turn a module into float64",
    ("debugging_checklist", "bench"): "take a step of a fused optimiser",
}
"""What the stand-in cannot do that a part does: `Module.double` swaps a parameter's data, fused kernels know devices by name."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data folder for all tests: what is made is made once."""
    return tmp_path_factory.mktemp("made")


@pytest.mark.parametrize(("name", "part"), SMOKE)
def test_study_runs_on_a_device(name, part, monkeypatch, made):
    if (name, part) in BEYOND:
        pytest.skip(f"the stand-in for a device cannot {BEYOND[name, part]}")
    study = EVERY[name]
    same_on_the_device(study, "smoke", study.at("smoke")[part], monkeypatch, made)


@pytest.mark.parametrize(("name", "part"), list(FULL))
def test_full_scale_on_images_runs_on_a_device(name, part, monkeypatch, fashion):
    study = EVERY[name]
    full = study.at("full")[part]
    small = full.model_copy(update={"settings": {**full.settings, **FULL[name, part]}})
    same_on_the_device(study, "full", small, monkeypatch, fashion)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x: x + torch.ones(3), "of the CPU among"),
        (lambda x: torch.ones(3)[x.long()], "index on the device"),
        (lambda x: torch.randn(3, generator=torch.Generator(), device=DEVICE), "generator of the CPU"),
        (lambda x: x.sum().item(), None),
    ],
)
def test_stand_in_refuses_what_a_gpu_refuses(wrong, says):
    with Operations(), Functions():
        x = torch.ones(3).to(DEVICE)
        if says is None:
            assert wrong(x) == 3.0
        else:
            with pytest.raises(RuntimeError, match=says):
                wrong(x)


@pytest.mark.parametrize("wrong", [lambda x: x.sum().item(), lambda x: x + torch.ones(3).to(DEVICE), lambda x: x.cpu()])
def test_recorded_step_must_not_wait(wrong, monkeypatch):
    with Operations(), Functions():
        x = torch.ones(3).to(DEVICE)
        monkeypatch.setattr(f"{__name__}.recording", True)
        with pytest.raises(RuntimeError, match="inside a recorded step"):
            wrong(x)
