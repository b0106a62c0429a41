"""The checklist on models that nobody here wrote, and each check against a case whose answer is known by hand."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18

from claimcheck import checklist
from claimcheck.checklist import check
from claimcheck.checklist.data import data, duplicates, label_order, runs_expected
from claimcheck.checklist.gradients import gradient
from claimcheck.checklist.training import learning_rate, overfit


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def found(findings):
    return {finding.check for finding in findings}


class Classifier(nn.Module):
    """A classifier on torch's transformer encoder."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 5)

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens)).mean(1))


class OfProbabilities(nn.Module):
    """A network whose outputs went through a softmax before a loss that takes logits."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).softmax(-1)


def made(name):
    """A model, a batch for it, and test inputs; weights come from a fixed seed, torch's own stream is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        images, labels = torch.randn(64, 3, 16, 16), torch.randint(5, (64,))
        if name == "resnet18":
            return resnet18(num_classes=5), (images, labels), torch.randn(8, 3, 16, 16)
        if name == "mobilenet_v3_small":
            return mobilenet_v3_small(num_classes=5), (images, labels), torch.randn(8, 3, 16, 16)
        tokens = torch.randint(20, (72, 6))
        return Classifier(), (tokens[:64], labels), tokens[64:]


def planted(name):
    """The same with a bug, and what must be named: the check, and a word of what or where."""
    model, batch, test = made(name)
    if name == "resnet18":
        nn.init.constant_(model.layer4[1].bn1.bias, -100.0)  # no ReLU of that block is ever on
        return model, batch, test, ("gradient", "layer4.1.conv1.weight")
    if name == "mobilenet_v3_small":
        nn.init.constant_(model.features[0][1].bias, -100.0)  # far below where hardswish is off
        return model, batch, test, ("gradient", "features.0.0.weight")
    return OfProbabilities(model), batch, test, ("overfit", "not learnt")


MODELS = ("resnet18", "transformer_encoder", "mobilenet_v3_small")


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def optimizer_of(name):
    """What such a model is usually trained with, as far as sixteen examples are learnt by it in a hundred steps."""
    return quick_adam if name == "transformer_encoder" else sgd


def few(batch, count=16):
    return batch[0][:count], batch[1][:count]


@pytest.mark.parametrize("default", [False, True], ids=["own optimiser", "default"])
@pytest.mark.parametrize("name", MODELS)
def test_a_healthy_model_raises_no_alarm(name, default):
    model, batch, test = made(name)
    how = {"optimizer": None if default else optimizer_of(name), "train": batch, "test": (test, None)}
    assert [str(each) for each in check(model, few(batch), F.cross_entropy, **how)] == []


@pytest.mark.parametrize("default", [False, True], ids=["own optimiser", "default"])
@pytest.mark.parametrize("name", MODELS)
def test_a_planted_bug_is_named(name, default):
    model, batch, test, (which, words) = planted(name)
    how = {"optimizer": None if default else optimizer_of(name), "train": batch, "test": (test, None)}
    findings = check(model, few(batch), F.cross_entropy, checks=("gradient", "overfit"), **how)
    assert any(each.check == which and words in each.what + each.where for each in findings), findings


def small(width=16):
    """A healthy network with one hidden layer, from a fixed stream."""
    model, g = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 3)), draws()
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.randn(each.shape, generator=g) / math.sqrt(each.shape[-1]))
    return model


def batch_of(count=64):
    g = draws(2)
    return torch.randn(count, 8, generator=g), torch.randint(3, (count,), generator=g)


def quick_adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.03)


# ---- the whole ----


def test_the_model_its_gradients_and_torchs_random_state_are_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.random.get_rng_state()
    check(model, batch_of(), F.cross_entropy)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_only_the_wanted_checks_are_made_and_an_unknown_one_is_refused():
    model, (x, y) = small(), batch_of()
    assert found(check(model, (1000 * x, y), F.cross_entropy, checks=["gradient"])) == set()
    assert found(check(model, (1000 * x, y), F.cross_entropy, checks=["data"])) == {"data"}
    with pytest.raises(ValueError, match="'grdient', expected some of gradient, data"):
        check(model, (x, y), F.cross_entropy, checks=["grdient"])


def test_a_model_that_cannot_run_is_a_finding_and_no_traceback():
    findings = check(small(), (torch.zeros(40, 7), torch.zeros(40).long()), F.cross_entropy)
    assert {"gradient", "overfit", "learning_rate", "gradient_norms"} <= found(findings)
    assert "8" in findings[0].measured


def test_inputs_may_be_several_or_named():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = small()

        def forward(self, a, b):
            return self.layer(a + b)

    (x, y), model = batch_of(), Sum()
    for inputs in ((x, x), {"a": x, "b": x}):
        assert check(model, (inputs, y), F.cross_entropy, optimizer=quick_adam) == []


def test_a_finding_says_everything_in_one_line():
    (finding,) = data(torch.full((4, 2), 500.0))
    assert "\n" not in str(finding)
    assert all(part in str(finding) for part in ("data", "unusual scale", "inputs", "500", "0.01 to 10", "standardise"))


def test_it_uses_nothing_else_of_the_package():
    for path in Path(checklist.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("claimcheck"):
                assert node.module.startswith("claimcheck.checklist"), path
            assert not (isinstance(node, ast.ImportFrom) and node.level)


# ---- gradient ----


def test_layers_that_begin_at_zero_on_purpose_are_no_finding():
    class Adapted(nn.Module):
        """A low-rank adapter: its second matrix is zero at the start, so its first one gets no gradient at first."""

        def __init__(self):
            super().__init__()
            self.base, self.down, self.up = small(), nn.Linear(8, 2, bias=False), nn.Linear(2, 3, bias=False)
            nn.init.zeros_(self.up.weight)

        def forward(self, x):
            return self.base(x) + self.up(self.down(x))

    assert gradient(Adapted(), batch_of(), F.cross_entropy) == []


def all_zero(model):
    for each in model.parameters():
        nn.init.zeros_(each)
    return model


@pytest.mark.parametrize(
    ("model", "loss", "words"),
    [
        (lambda: all_zero(small()), F.cross_entropy, ("zero in every element", "0.weight, 0.bias, 2.weight")),
        (small, lambda z, y: F.cross_entropy(z.detach(), y), ("does not depend on any parameter", "loss")),
        (small, lambda z, y: F.cross_entropy(z, y, reduction="none"), ("no scalar", "loss")),
        (small, lambda z, y: (z.argmax(-1) - y).float().mean(), ("does not depend", "loss")),
        (small, lambda z, y: F.cross_entropy(z, y + 1), ("model or loss fails", "IndexError")),
        (small, lambda z, y: F.cross_entropy(z, y).item(), ("model or loss fails", "TypeError")),
        (small, lambda z, y: print(end=""), ("model or loss fails", "TypeError")),
        (small, lambda z, y: F.cross_entropy(z, y) / 0, ("loss is not finite", "loss")),
        (small, lambda z, y: (z - z.detach()).square().sum().sqrt(), ("gradient is not finite", "0.weight")),
        (lambda: Partly([small(), nn.Linear(2, 2)]), F.cross_entropy, ("no gradient reaches", "parts.1.weight")),
    ],
)
def test_what_is_wrong_with_a_gradient_is_told(model, loss, words):
    (finding,) = gradient(model(), batch_of(), loss)
    assert words[0] in finding.what
    assert words[1] in finding.where


class Partly(nn.Module):
    """Calls the first of its parts only."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return self.parts[0](x)


def test_frozen_parameters_need_no_gradient():
    model = small()
    model[0].requires_grad_(False)
    assert gradient(model, batch_of(), F.cross_entropy) == []


# ---- data ----


def test_healthy_data_are_no_finding():
    x, y = batch_of()
    assert data(x, y) == []
    assert data(torch.randint(20, (10, 4)), torch.randn(10)) == []
    assert data({"tokens": torch.arange(5), "mask": torch.ones(5, dtype=torch.bool)}) == []
    blank = torch.zeros(100, 10)
    blank[:, 0] = 1.0
    assert data(blank) == [], "of sparse data no range is known, and a tenth of them is no odd scale"


@pytest.mark.parametrize(
    ("change", "what", "measured"),
    [
        (lambda x: x.index_fill(0, torch.tensor([3]), math.nan), "values are not finite", "8 of 512"),
        (lambda x: x.index_fill(0, torch.tensor([3]), -math.inf), "values are not finite", "8 of 512"),
        (lambda x: 1000 * x, "unusual scale", "mean size 7"),
        (lambda x: 0.001 * x, "unusual scale", "mean size 0.0007"),
        (lambda x: x.index_put((torch.tensor(3), torch.tensor(3)), torch.tensor(-999.0)), "stray values", "-999 …"),
    ],
)
def test_what_is_wrong_with_inputs_is_told(change, what, measured):
    (finding,) = data(change(batch_of()[0]), None)
    assert finding.what == what
    assert measured in finding.measured


def test_stray_values_lie_ten_ranges_beyond_most():
    """0 … 100 in steps of one: the 10 % and 90 % quantiles are 9 and 91 (ranks 10 and 92 of 101)."""
    values = torch.arange(101.0) / 50
    limit = (91 + 10 * (91 - 9)) / 50
    assert data(torch.cat([values, torch.tensor([limit * 0.97])])) == []
    assert found(data(torch.cat([values, torch.tensor([limit * 1.05])]))) == {"data"}


def test_targets_and_tokens_are_looked_through_too():
    assert [each.where for each in data(torch.ones(3), {"a": torch.tensor([1.0, math.nan])})] == ["targets['a']"]
    assert [each.what for each in data(torch.tensor([3, -1]))] == ["negative tokens"]


def test_duplicates_are_counted_and_one_in_a_hundred_is_let_pass():
    x = torch.randn(200, 3, 2, generator=draws())
    other = torch.randn(100, 3, 2, generator=draws(1))
    assert duplicates(x, other) == []
    assert duplicates(x, torch.cat([x[:1], other[1:]])) == []
    (finding,) = duplicates(x, torch.cat([x[:5], other[5:]]))
    assert finding.measured == "5 of 100"
    assert duplicates(x, torch.cat([x[:5] + 1e-6, other[5:]])) == [], "equal in every value, or not at all"
    assert duplicates(x, x.double()), "whatever their precision"
    assert duplicates(torch.zeros(50, 3), -torch.zeros(50, 3)), "there is one zero"


def test_runs_of_labels_have_the_mean_and_variance_of_a_random_order():
    """With two classes of sizes a and b: mean 1 + 2ab/n, variance 2ab(2ab − n)/(n²(n − 1)) (Wald, Wolfowitz 1940)."""
    for a, b in ((20, 30), (60, 10)):
        n, product = a + b, 2 * a * b
        expected = 1 + product / n, product * (product - n) / (n**2 * (n - 1))
        assert runs_expected(torch.tensor([a, b])) == pytest.approx(expected)
    generator, sizes = np.random.default_rng(0), [10, 20, 5]
    labels = np.repeat([0, 1, 2], sizes)
    orders = np.stack([generator.permutation(labels) for _ in range(4000)])
    runs = 1 + (orders[:, 1:] != orders[:, :-1]).sum(1)
    mean, variance = runs_expected(torch.tensor(sizes))
    assert mean == pytest.approx(runs.mean(), abs=4 * runs.std() / math.sqrt(4000))
    assert variance == pytest.approx(runs.var(), rel=0.1)


def test_labels_in_order_are_told_and_random_ones_are_not():
    labels = torch.randint(10, (256,), generator=draws())
    assert label_order(labels) == []
    assert "10 runs" in label_order(labels.sort().values)[0].measured
    assert found(label_order(torch.full((64,), 3))) == {"label_order"}
    assert label_order(torch.full((31,), 3)) == [], "too few to tell"
    assert label_order(torch.arange(256) % 10) == [], "too regular is no harm"
    assert label_order(torch.linspace(0, 1, 64)) == [], "not labels"


# ---- training ----


def test_a_few_examples_are_learnt_by_a_healthy_network_even_with_shuffled_labels():
    x, y = batch_of()
    assert overfit(small(), (x, y), F.cross_entropy, quick_adam) == []
    assert overfit(small(), (x, y.flip(0)), F.cross_entropy, quick_adam) == []


@pytest.mark.parametrize(
    ("loss", "rate", "words"),
    [
        (lambda z, y: F.cross_entropy(z.softmax(-1), y), 0.03, "not learnt"),
        (lambda z, y: -F.cross_entropy(z, y), 0.03, "below its least value"),
        (F.cross_entropy, 1e-6, "not learnt"),
        (lambda z, y: F.cross_entropy(1e30 * z, y) * 1e30, 0.03, "not finite"),
    ],
)
def test_why_a_few_examples_are_not_learnt_is_told(loss, rate, words):
    (finding,) = overfit(small(), batch_of(), loss, lambda model: torch.optim.Adam(model.parameters(), lr=rate))
    assert words in finding.what


def test_a_loss_without_a_floor_may_become_negative():
    def likelihood(z, y):
        return (z[:, 0] - y).square().mean().log()

    falling = overfit(small(), batch_of(), likelihood, quick_adam, floor=None)
    assert not [each for each in falling if "least value" in each.what]
    assert overfit(small(), batch_of(), likelihood, quick_adam)


class Bowl(nn.Module):
    """A loss of `curvature` / 2 times w^2: gradient descent is stable below a rate of 2 / curvature."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x):
        return self.w.expand(len(x))


@pytest.mark.parametrize(("rate", "says"), [(0.01, None), (10.0, "too high"), (1e-6, "too low")])
def test_a_rate_is_held_against_what_the_loss_is_stable_at(rate, says):
    """Curvature 10: a ramp's loss is lowest between the best rate, 0.1, and the stable one, 0.2, or soon after."""
    batch = torch.zeros(4, 1), torch.zeros(4)
    findings = learning_rate(
        Bowl(), batch, lambda w, y: 5 * w.square().mean(), lambda model: torch.optim.SGD(model.parameters(), lr=rate)
    )
    assert [each.what for each in findings] == ([] if says is None else [f"the learning rate is {says}"])


def test_a_loss_that_no_rate_lowers_is_told():
    (finding,) = learning_rate(all_zero(small()), batch_of(), lambda z, y: 1 + 0 * z.sum())
    assert finding.what == "no rate lowers the loss"
