"""Compiling: decided by the design, equal to eager, the same bits whatever the company, and never a crash."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest
import torch

import claimcheck
from claimcheck.engine import acceleration, networks, noise, torch_private, trees
from claimcheck.engine import train as training
from claimcheck.engine.acceleration import pays
from claimcheck.engine.memory import Footprint
from claimcheck.engine.train import classification, cross_entropy, train

SMALL = Footprint(saved=20_000, parameters=2_700, batch=4_000, operations=25)
DEEP = Footprint(saved=500_000, parameters=260_000, batch=4_000, operations=4_000)


def network(run, generator):
    return networks.MLP(20, [17, 16], 10, activation="swish", generator=generator)


def records(runs, context, data, compile) -> pd.DataFrame:
    trained = train(
        runs,
        context,
        network=network,
        data=data,
        steps=20,
        batch_size=25,
        optimizer="adamw",
        compile=compile,
        evaluate={"train": (data, classification)},
        evaluate_at=[20],
        batch_loss_window=5,
    )
    return trained.records


def test_the_rule_looks_at_the_design_alone() -> None:
    assert not pays(SMALL, design_runs=10, steps=100)[0]
    assert pays(SMALL, design_runs=1000, steps=10_000)[0]
    assert "save" in pays(SMALL, design_runs=10, steps=100)[1]


def test_a_thousand_layers_stay_eager() -> None:
    compiled, reason = pays(DEEP, design_runs=10**6, steps=10**6)
    assert not compiled
    assert "too many" in reason


def test_a_missing_compiler_is_logged_and_the_step_taken_all_the_same(
    runs_of, make_context, series, monkeypatch
) -> None:
    def no_compiler(graph, inputs):
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(torch_private, "compile_graph", no_compiler)
    runs, data = runs_of([0, 1], learning_rate=0.01), series()
    context = make_context()
    fallen, eager = records(runs, context, data, True), records(runs, make_context(), data, False)
    assert any("no C++ compiler" in line for line in context.lines)
    pd.testing.assert_frame_equal(fallen, eager, check_exact=True)


@pytest.mark.slow
def test_compiled_is_eager_to_rounding_and_the_same_whatever_the_company(runs_of, make_context, series) -> None:
    runs, data = runs_of([0, 1, 2, 3, 4], learning_rate=[0.01, 0.02, 0.03, 1e6, 0.05]), series()
    compiled, eager = (records(runs, make_context(), data, choice) for choice in (True, False))
    # The member at 1e6 explodes: there rounding grows to any size, so it is only held against itself, below.
    tame = compiled["run"] != runs["run"].iloc[3]
    pd.testing.assert_frame_equal(compiled[tame], eager[tame], rtol=1e-4)
    shards = [
        records(runs.iloc[rows], make_context(), data, True) for rows in ([0, 1], [4, 3])
    ]  # with the exploding one
    joined = pd.concat(shards).sort_values("run", ignore_index=True)
    expected = compiled[compiled["run"].isin(joined["run"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(expected, joined, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 3])
def test_blocks_of_members_change_no_bit(runs_of, make_context, series, monkeypatch, most) -> None:
    """Five members in blocks of two or three: the last block is padded."""
    runs, data = runs_of([0, 1, 2, 3, 4], learning_rate=[0.01, 0.02, 1e6, 0.03, 0.05]), series()
    whole = records(runs, make_context(), data, True)
    monkeypatch.setattr(acceleration, "block_size", lambda bytes_of_one: most)
    monkeypatch.setattr("claimcheck.engine.train.block_size", lambda bytes_of_one: most)
    context = make_context()
    pd.testing.assert_frame_equal(whole, records(runs, context, data, True), check_exact=True)
    assert not any("eager after all" in line for line in context.lines)


@pytest.mark.parametrize(("members", "most", "size"), [(32, 27, 16), (32, 8, 8), (5, 2, 2), (2, 100, 2), (31, 8, 8)])
def test_blocks_are_equal_and_pad_little(members: int, most: int, size: int) -> None:
    assert acceleration.equal_blocks(members, most) == size


def repeated(graph: torch.fx.GraphModule) -> int:
    """Most operations that a compiler which repeats a value at each use would put behind one value."""
    behind: dict[torch.fx.Node, int] = {}
    for node in graph.graph.nodes:
        stored = node.op != "call_function" or node.target is torch_private.storing_operation()
        behind[node] = 0 if stored else 1 + sum(behind[source] for source in node.all_input_nodes)
    return max(behind.values())


def test_the_hash_is_not_repeated_at_each_use_of_it() -> None:
    """Its length would double with each round; what is moved by it comes out the same."""
    x, keys = torch.rand(3, 5, 8, 8), torch.arange(3) * 0x1E3779B97F4A7C15

    def shifted(x: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Each example's pixels, taken some places further on."""
        drawn = torch.floor(noise.uniform(noise.fold(noise.fold(key, 1), 7), (len(x), 1)) * 5).to(torch.int64)
        return x.flatten(1).gather(1, (torch.arange(64) + drawn) % 64).view_as(x)

    def moved(x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return torch.func.vmap(shifted)(x, keys)

    graph = torch_private.trace(moved, x, keys)
    assert repeated(graph) > 5_000
    acceleration.store_whole_numbers(graph)
    assert repeated(graph) < 200
    assert torch.equal(torch_private.compile_graph(graph, [x, keys])(x, keys), moved(x, keys))


def test_an_update_that_overflows_is_marked_before_it_is_measured(runs_of, context, series) -> None:
    """Loss and gradient are finite; only the step itself leaves the range of float32."""
    trained = train(
        runs_of([0, 1], learning_rate=[0.01, 3e38]),
        context,
        network=network,
        data=series(),
        steps=1,
        batch_size=25,
        optimizer="adamw",
        evaluate={"train": (series(), classification)},
    )
    assert list(trained.diverged_at) == [-1, 1]
    assert list(trained.records["status"]) == ["ok", "diverged"]


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("faulty", [{"pull": [1.0, 0.0]}, {"shift": [0.0, float("inf")]}])
def test_a_gradient_or_a_loss_alone_that_is_not_finite_is_a_divergence(
    runs_of, context, series, monkeypatch, faulty, recorded
) -> None:
    """The root's slope at zero is infinite where the loss is not; a constant has no gradient, whatever its size."""

    def loss(predict, batch, hyper):
        root = (hyper["pull"] * predict(batch["x"])).square().sum().sqrt()
        return cross_entropy(predict, batch, hyper) + root + hyper["shift"]

    if recorded:
        monkeypatch.setattr(acceleration, "captured", lambda body: body)
        monkeypatch.setattr(training, "choose", lambda parts, *_: acceleration.Recorded(parts, context.log, None))
    runs = runs_of([0, 1], **{"pull": [1.0, 1.0], "shift": [0.0, 0.0], **faulty})
    trained = train(runs, context, network=network, data=series(), steps=2, loss=loss, hyper={"learning_rate": 0.01})
    assert list(trained.diverged_at) == [-1, 1]


def test_progress_is_the_share_that_is_done(runs_of, context, series) -> None:
    data = series()
    train(
        runs_of([0]), context, network=network, data=data, steps=40, batch_size=25, optimizer="adamw",
        evaluate={"train": (data, classification)}, evaluate_at=[0, 10, 20, 30, 40],
    )  # fmt: skip
    assert context.told == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_recorded_step_is_the_eager_step(runs_of, make_context, series) -> None:
    runs, data = runs_of([0, 1, 2], learning_rate=[0.01, 0.02, 1e6]), series()
    context = make_context(device=torch.device("cuda"))
    recorded = records(runs, context, data, False)
    assert not any("no CUDA graph" in line for line in context.lines)
    pd.testing.assert_frame_equal(recorded, records(runs, make_context(), data, False), rtol=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_a_cuda_graph_replays_is_the_eager_step(runs_of, make_context, series, monkeypatch, compiled) -> None:
    """All of a recorded step but the graph itself: in its place the step runs, and first twice on the side."""

    def captured(body):
        for _ in range(2):
            body()
        return body

    def recorded(parts, *_):
        inner = acceleration.Compiled(parts, lines.append) if compiled else None
        return acceleration.Recorded(parts, lines.append, inner)

    runs, data, lines = runs_of([0, 1, 2], learning_rate=[0.01, 0.02, 1e6]), series(), []
    eager = records(runs, make_context(), data, False)
    monkeypatch.setattr(acceleration, "captured", captured)
    monkeypatch.setattr(training, "choose", recorded)
    found = records(runs, make_context(), data, False)
    assert not any("cannot be recorded" in line for line in lines)
    pd.testing.assert_frame_equal(found, eager, rtol=1e-3)


def test_a_step_that_does_not_compile_is_recorded_as_it_is(runs_of, make_context, series, monkeypatch) -> None:
    runs, data, lines = runs_of([0, 1], learning_rate=[0.01, 0.02]), series(), []
    eager = records(runs, make_context(), data, False)

    def refuse(*_):
        raise ValueError("no compiler")

    monkeypatch.setattr(acceleration, "captured", lambda body: body)
    monkeypatch.setattr(torch_private, "compile_graph", refuse)
    monkeypatch.setattr(
        training,
        "choose",
        lambda parts, *_: acceleration.Recorded(parts, lines.append, acceleration.Compiled(parts, lines.append)),
    )
    pd.testing.assert_frame_equal(records(runs, make_context(), data, False), eager, rtol=1e-3)
    assert any("does not compile (ValueError: no compiler)" in line for line in lines)
    assert not any("cannot be recorded" in line for line in lines)


@pytest.mark.parametrize(
    "module", ["train", "step", "ensemble", "optimizers", "data", "memory", "acceleration", "products", "schedules"]
)
def test_no_function_of_the_training_path_is_over_fifty_lines(module: str) -> None:
    tree = ast.parse((Path(claimcheck.__file__).parent / "engine" / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            documented = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - documented <= 50, node.name


def test_the_footprint_sees_convolutions_and_depth(kind, runs_of, context) -> None:
    from claimcheck.engine import memory
    from claimcheck.engine.ensemble import Ensemble
    from claimcheck.engine.train import cross_entropy

    ensemble = Ensemble.build(runs_of([0]), kind.network, lambda seed: context.generator(seed, "init"))
    found = memory.footprint(ensemble, cross_entropy, kind.data.rows(torch.arange(20)[None]))
    assert (found.convolutions > 0) == ("cnn" in kind.name or kind.name == "resnet")
    assert found.parameters == ensemble.parameters.shape[1]
    assert found.saved > 20
    assert found.operations > 10


def test_the_functional_step_is_the_eager_step(kind, runs_of, make_context, monkeypatch) -> None:
    """What is compiled, or recorded on a GPU, taken as it is: equal to eager, a diverging member included."""
    from claimcheck.engine.step import take

    def as_it_is(step, log, *example):
        form = (*example, *acceleration.constants_of(step))

        def call(*leaves):
            state, number, keys, positions, *constants = trees.rebuilt(form, leaves)
            recipe, table, data = acceleration.with_constants(step, *constants)
            after = take(recipe, table, data, state, number, keys, positions)
            acceleration.take_over(state, after)
            return after.losses

        return call

    monkeypatch.setattr(acceleration, "compile_step", as_it_is)
    runs = runs_of([0, 1, 2], learning_rate=[0.01, 0.02, 1e30], clip=[1.0, float("inf"), float("inf")])
    context = make_context()
    how = {"network": kind.network, "data": kind.data, "steps": 6, "batch_size": 24, "optimizer": "momentum"}
    trained = [train(runs, context, compile=choice, **how) for choice in (True, False)]
    assert not any("eager after all" in line for line in context.lines)
    functional, eager = (result.ensemble for result in trained)
    assert (trained[0].diverged_at == trained[1].diverged_at).all()
    torch.testing.assert_close(functional.parameters, eager.parameters, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(functional.buffers, eager.buffers, rtol=1e-4, atol=1e-6)


def test_want_of_gpu_memory_is_not_taken_for_a_step_that_does_not_compile(
    series, runs_of, make_context, monkeypatch
) -> None:
    """Fewer networks are tried at once; eager steps, which round otherwise, would make results depend on the memory."""

    def full(*args):
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(acceleration, "compile_step", full)
    context = make_context()
    with pytest.raises(torch.cuda.OutOfMemoryError):
        train(
            runs_of([0, 1], learning_rate=0.01), context, compile=True, data=series(), steps=2, batch_size=24,
            network=lambda run, generator: networks.MLP(20, [16], 10, generator=generator), optimizer="momentum",
        )  # fmt: skip
    assert any("trying 1" in line for line in context.lines)
    assert not any("eager after all" in line for line in context.lines)
