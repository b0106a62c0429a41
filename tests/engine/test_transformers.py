"""Decoder-only transformers: their layers against formulas, the ensemble against the loop, company, text."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.data import pools, words
from claimcheck.engine import transformers
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import train
from claimcheck.errors import ClaimcheckError

from .reference import train_one

FORMS = sorted(transformers.FORMS)
PLAIN = {"relu": F.relu, "gelu": F.gelu, "swish": F.silu, "sigmoid": torch.sigmoid, "linear": lambda x: x}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def decoder(form, *, vocabulary=11, width=12, hidden=17, depth=2, seed=0):
    return transformers.Decoder(vocabulary, width, 3, depth, hidden, form, generator=draws(seed), length=9)


def text(examples=90, vocabulary=11, length=9):
    """Sequences that can be learnt: each symbol follows the one before by a fixed rule, and they end early."""
    start = torch.randint(3, vocabulary, (examples, 1), generator=draws(7))
    tokens = 3 + (start - 3 + torch.arange(length + 1)) % (vocabulary - 3)
    ends = torch.randint(4, length + 2, (examples, 1), generator=draws(8))
    return Data({"x": tokens.where(torch.arange(length + 1) < ends, words.PADDING)})


# ---- layers ----


@pytest.mark.parametrize("form", FORMS)
def test_a_feed_forward_layer_is_its_formula(form):
    layer, x = transformers.FeedForward(5, 8, 4, form, generator=draws()), torch.randn(6, 5, generator=draws(1))
    name, gated = transformers.FORMS[form]
    h = PLAIN[name](x @ layer.inward.weight.T) * (x @ layer.gated.weight.T if gated else 1.0)
    torch.testing.assert_close(layer(x), h @ layer.outward.weight.T)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (40, 10)])
def test_gated_layers_of_fewer_units_have_as_many_weights(form, inputs, outputs):
    def weights(each):
        units = transformers.hidden_units(each, 128, inputs, outputs)
        layer = transformers.FeedForward(inputs, units, outputs, each, generator=draws())
        return sum(value.numel() for value in layer.parameters())

    assert weights(form) == pytest.approx(weights("relu"), rel=0.01)


def test_attention_is_the_softmax_of_what_came_before():
    layer, h = transformers.Attention(6, 2, generator=draws()), torch.randn(2, 5, 6, generator=draws(1))
    queries, keys, values = (h @ layer.inward.weight.T).view(2, 5, 3, 2, 3).permute(2, 0, 3, 1, 4)
    scores = queries @ keys.mT / 3**0.5
    scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
    mixed = (scores.softmax(-1) @ values).transpose(1, 2).reshape(10, 6)
    torch.testing.assert_close(layer(h.flatten(0, 1), 5), mixed @ layer.outward.weight.T)


def test_attention_of_many_networks_is_that_of_one():
    queries, keys, values = torch.randn(3, 4, 2, 7, 5, generator=draws(2)).double().requires_grad_()
    each, fused = (f(queries, keys, values) for f in (transformers.causal_attention, transformers.fused_attention))
    torch.testing.assert_close(each, fused)
    gradients = [torch.autograd.grad(found.square().sum(), (queries, keys, values)) for found in (each, fused)]
    torch.testing.assert_close(*gradients)


def test_no_token_sees_a_later_one_and_each_sees_all_before():
    network, tokens = decoder("swiglu").eval(), torch.randint(3, 11, (4, 9), generator=draws(2))
    changed = tokens.clone()
    changed[:, 5] = 3 + (tokens[:, 5] - 2) % 8
    before, after = network(tokens), network(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert bool((before[:, 5:] != after[:, 5:]).any(-1).all())
    torch.testing.assert_close(network(tokens[:, :6]), before[:, :6])


def test_a_decoder_of_no_depth_sees_one_token_and_its_place():
    network = transformers.Decoder(11, 12, 3, 0, 17, generator=draws(), length=9)
    tokens = torch.randint(3, 11, (4, 9), generator=draws(2))
    h = network.embedding.weight[tokens] + network.positions
    normed = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(network(tokens), normed @ network.output.weight.T)
    torch.testing.assert_close(network.features(tokens), normed)


def test_a_decoder_starts_as_its_docstring_says():
    network = decoder("gelu", vocabulary=500, width=48, hidden=96, depth=3)
    variances = {"embedding.weight": 0.5, "positions": 0.5, "output.weight": 1 / 48}
    for block in range(3):
        named = {"attention.inward": 1 / 48, "attention.outward": 1 / (48 * 6), "feed_forward.inward": 1 / 48}
        named["feed_forward.outward"] = 1 / (96 * 6)
        variances |= {f"blocks.{block}.{name}.weight": variance for name, variance in named.items()}
    found = {name: value.detach().square().mean().item() for name, value in network.named_parameters()}
    assert found == {name: pytest.approx(variance, rel=0.2) for name, variance in variances.items()}, "and no others"


def test_what_does_not_fit_is_told():
    with pytest.raises(ClaimcheckError, match="heads; found 5"):
        transformers.Decoder(11, 12, 5, 1, 8, generator=draws())
    with pytest.raises(ClaimcheckError, match="found 'gate'"):
        decoder("gate")
    with pytest.raises(ClaimcheckError, match="at most 9"):
        decoder("relu")(torch.zeros(1, 10, dtype=torch.int64))


def test_loss_is_that_of_the_tokens_that_are_no_padding():
    tokens, logits = text().shared["x"], torch.randn(90, 9, 11, generator=draws(3))
    found = transformers.next_token(lambda x: logits, {"x": tokens}, {})
    expected = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=words.PADDING)
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(transformers.next_token_loss(lambda x: logits, {"x": tokens}, {}), expected)
    known = tokens[:, 1:] != words.PADDING
    assert float(found["error"]) == pytest.approx(float((logits.argmax(-1) != tokens[:, 1:])[known].float().mean()))


# ---- in an ensemble ----


def network_of(form):
    return lambda run, generator: transformers.Decoder(11, 12, 3, 2, 17, form, generator=generator, length=9)


@pytest.mark.parametrize("form", ["relu", "swish", "geglu", "swiglu"])
def test_an_ensemble_is_the_loop(form, runs_of, context):
    data, runs = text(), runs_of([0, 1], learning_rate=[0.01, 0.02], weight_decay=[0.1, 0.0], schedule="cosine")
    how = {"network": network_of(form), "loss": transformers.next_token_loss, "batch_size": 24, "steps": 12}
    trained = train(runs, context, data=data, optimizer="adamw", compile=False, **how)
    for row, run in enumerate(runs.itertuples(index=False)):
        module, losses = train_one(run, context, data=data.members([row]), optimizer="adamw", **how)
        ours = trained.ensemble.network(run.run).state_dict()
        for name, reference in module.state_dict().items():
            assert (ours[name] - reference).norm() <= 1e-4 * reference.norm(), name
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("form", FORMS)
def test_same_bits_alone_among_others_elsewhere_and_in_shards(form, runs_of, make_context):
    data, rates = text(), [0.02, 0.05, 0.01, 0.1, 0.03]

    def records(rows):
        trained = train(
            runs_of([3, 0, 1, 2, 3], learning_rate=rates, clip=1.0).iloc[rows], make_context(), data=data,
            network=network_of(form), loss=transformers.next_token_loss, steps=6, batch_size=25, optimizer="adamw",
            compile=False, evaluate_at=[0, 6], batch_loss_window=3, evaluate={"train": (data, transformers.next_token)},
        )  # fmt: skip
        return trained.records.sort_values(["run", "step"], ignore_index=True)

    whole = records([0, 1, 2, 3, 4])
    parts = [[[4, 3, 2, 1, 0]], [[0, 1], [2, 3, 4]], [[row] for row in range(5)]]
    for cut in parts:
        joined = pd.concat(map(records, cut)).sort_values(["run", "step"], ignore_index=True)
        pd.testing.assert_frame_equal(whole, joined, check_exact=True)


@pytest.mark.parametrize("form", ["gelu", "swiglu"])
def test_a_loss_with_hyperparameters_is_mapped_and_finds_the_same(form, runs_of, context):
    data, runs = text(), runs_of([0, 1], weight=[1.0, 2.0])
    ensemble = Ensemble.build(runs, network_of(form), lambda seed: context.generator(seed, "init"))

    def weighted(predict, batch, hyper):
        return transformers.next_token_loss(predict, batch, hyper) * hyper["weight"]

    def gradient(loss):
        parameters = ensemble.parameters.detach().requires_grad_()
        batch, dims = data.whole()
        losses = ensemble.apply(loss, ensemble.layout.views(parameters), {}, batch, dims)
        return losses.detach(), torch.autograd.grad(losses.sum(), parameters)[0]

    assert ensemble.together(transformers.next_token_loss)
    (all_at_once, together), (mapped, each) = gradient(transformers.next_token_loss), gradient(weighted)
    torch.testing.assert_close(mapped, all_at_once * torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(each, together * torch.tensor([[1.0], [2.0]]))


# ---- text ----


@pytest.fixture
def study_context(tmp_path):
    return Context("tests", "smoke", "text", Settings({}), torch.device("cpu"), Path(tmp_path))


@pytest.mark.parametrize("writing", list(transformers.WRITINGS))
def test_a_unit_draws_its_own_words_and_tests_on_others(writing, study_context, monkeypatch):
    table = torch.tensor([([1, *[3 + k % 20] * (k % 12 + 2), 2] + [0] * 20)[:17] for k in range(60)])
    made = pools.Examples(table, table + 40, table, table + 40, 42, words.LETTERS, words.PHONEMES)
    monkeypatch.setattr(pools, "load", lambda name, data_dir: made)
    drawn = transformers.draw_text(study_context, "cmudict", writing, [5, 5, 6], train=20, test=30, length=8)
    assert drawn.vocabulary == (words.LETTERS if writing == "spellings" else words.PHONEMES)
    rows = [torch.cat([drawn.train.subset[member], drawn.test.subset[member]]) for member in range(3)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert all(len(each.unique()) == 50 for each in rows)
    assert drawn.train.shared["x"].shape == (60, 9)
    assert torch.equal(drawn.train.shared["x"], (table if writing == "spellings" else table + 40)[:, :9])


def test_an_unknown_writing_is_told(study_context):
    with pytest.raises(ClaimcheckError, match="found 'runes'"):
        transformers.draw_text(study_context, "cmudict", "runes", [0], train=2, test=2)
