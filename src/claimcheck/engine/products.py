"""Batched products of small float32 matrices by kernels of our own, in compiled steps on processors with AVX-512.

Most of a small ensemble's step is products of [100, 40] by [40, 32] and the like, one for each member. torch hands them
to MKL, which takes its AVX2 path on an AMD processor: measured on an EPYC (Zen 5), 80 GFLOP/s a core, where the kernels
in ``products.cpp`` do 110 to 200. They are compiled once, kept beside the compiled steps, and put in place of
``aten.bmm`` in a step that is compiled anyway: see :mod:`claimcheck.engine.acceleration`. One thread.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import torch
from torch import Tensor, fx

from claimcheck.engine import torch_private
from claimcheck.errors import ClaimcheckError

SOURCE = Path(__file__).with_name("products.cpp")
IDLE = torch_private.view_operations()
"""What tracing leaves around a product, most often without a change of shape."""
# A fixed instruction set, not "native": the same bits on every processor that has it.
FLAGS = ("-O3", "-march=x86-64-v4", "-std=c++20", "-shared", "-fPIC")


def replace(graph: fx.GraphModule, folder: Path) -> str:
    """Put the kernels in place of the graph's float32 ``aten.bmm``, where they are available; returns what was done.

    A product that is only used transposed, as a weight's gradient is, is computed transposed: that saves a pass.
    """
    nodes = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.bmm.default)
    nodes = [node for node in nodes if all(_is_float32_on_cpu(operand) for operand in node.args)]
    if not nodes:
        return "no product of float32 matrices on a CPU in the step"
    try:
        library(folder)
    except ClaimcheckError as error:
        return f"products by torch: {error}"
    for node in nodes:
        _replace_one(graph.graph, node)
    graph.graph.eliminate_dead_code()
    graph.graph.lint()
    graph.recompile()
    return f"{len(nodes)} products by AVX-512 kernels"


def library(folder: Path) -> None:
    """Compile the kernels into ``folder``, unless they are there, and load them as ``torch.ops.claimcheck.bmm``, once.

    Raises:
        ClaimcheckError: the processor has no AVX-512, or there is no compiler that makes them for it.
    """
    if hasattr(torch.ops.claimcheck, "bmm"):
        return
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        raise ClaimcheckError("the processor has no AVX-512")
    path = folder / f"products-{_digest()}.so"
    if not path.exists():
        _compile(path)
    try:
        torch.ops.load_library(path)
    except OSError as error:
        raise ClaimcheckError(f"they cannot be loaded ({' '.join(str(error).split())})") from error
    torch.library.register_fake("claimcheck::bmm", _shape)


def _shape(a: Tensor, b: Tensor, turn_a: bool, turn_b: bool) -> Tensor:
    return a.new_empty(a.shape[0], a.shape[2 if turn_a else 1], b.shape[1 if turn_b else 2])


def _digest() -> str:
    ingredients = (SOURCE.read_text(encoding="utf-8"), torch.__version__, *FLAGS)
    return hashlib.sha256("\n".join(ingredients).encode()).hexdigest()[:16]


def _compile(path: Path) -> None:
    from torch.utils import cpp_extension

    compiler = shlex.split(os.environ.get("CXX", "g++"))
    if not compiler or shutil.which(compiler[0]) is None:
        raise ClaimcheckError("no C++ compiler was found")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Jobs may compile at the same time: each into a name of its own, then renamed.
    unfinished = path.with_suffix(f".{os.getpid()}.so")
    headers = [f"-I{folder}" for folder in cpp_extension.include_paths()]
    libraries = [f"-L{folder}" for folder in cpp_extension.library_paths()]
    command = [*compiler, *FLAGS, str(SOURCE), "-o", str(unfinished), *headers, *libraries, "-lc10", "-ltorch_cpu"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        unfinished.unlink(missing_ok=True)
        raise ClaimcheckError(f"they do not compile ({(done.stderr.strip().splitlines() or ['no reason given'])[0]})")
    unfinished.replace(path)


def _is_float32_on_cpu(node: fx.Node) -> bool:
    value = node.meta["val"]
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.device.type == "cpu"


def _replace_one(graph: fx.Graph, node: fx.Node) -> None:
    """The operands go in as they lie in memory, transposed by a flag: the compiler would copy a transposed view."""
    product = torch.ops.claimcheck.bmm.default
    (a, turn_a), (b, turn_b) = (_untransposed(operand) for operand in node.args)
    last = _through_idle_views(node)
    users = list(last.users)
    with graph.inserting_before(node):
        if len(users) == 1 and _transposes(users[0]):
            users[0].replace_all_uses_with(graph.call_function(product, (b, a, not turn_b, not turn_a)))
        else:
            node.replace_all_uses_with(graph.call_function(product, (a, b, turn_a, turn_b)))


def _transposes(node: fx.Node) -> bool:
    return node.target == torch.ops.aten.transpose.int and node.args[1:] in ((1, 2), (2, 1))


def _untransposed(node: fx.Node) -> tuple[fx.Node, bool]:
    """The matrices of which ``node`` is the transposed view, and whether it is."""
    source = node
    while source.target in IDLE and source.meta["val"].shape == source.args[0].meta["val"].shape:
        source = source.args[0]
    return (source.args[0], True) if _transposes(source) else (node, False)


def _through_idle_views(node: fx.Node) -> fx.Node:
    """The last of the views after ``node``, each the only user of the one before, that leave its shape as it is."""
    while len(node.users) == 1:
        (user,) = node.users
        if user.target not in IDLE or user.meta["val"].shape != node.meta["val"].shape:
            break
        node = user
    return node
