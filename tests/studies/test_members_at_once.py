"""Losses that take all members' tensors at once give what they give of each member alone."""

import pytest
import torch

from claimcheck.engine import noise
from claimcheck.spec.modules import study_module

from .asking import STUDIES

REPRESENTATIONS = study_module(STUDIES / "representations", "losses")
REGULARIZATION = study_module(STUDIES / "regularization", "runs")
DISTILLATION = study_module(STUDIES / "distillation", "runs")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("side", [None, 4])
def test_members_at_once_see_the_views_that_each_sees_alone(side):
    keys, x = noise.fold(torch.arange(3), 1), drawn(3, 8, 16)
    views = REPRESENTATIONS.Views(2, 0.1, 0.2, drawn(64, seed=1), side)
    assert torch.equal(views(x, keys), torch.stack([views(*each) for each in zip(x, keys, strict=True)]))
    loss = REPRESENTATIONS.view_contrast(views, 16, 0.5)
    alone = [loss(lambda x: x, {"x": own, "key": key}, {}) for own, key in zip(x, keys, strict=True)]
    assert torch.allclose(loss(lambda x: x, {"x": x, "key": keys}, {}), torch.stack(alone), rtol=1e-6)


def test_members_at_once_turn_what_each_turns_alone():
    keys = noise.fold(torch.arange(3), 1)
    for shape in ((3, 8, 5), (3, 8, 1, 4, 4)):
        x = drawn(*shape)
        alone = torch.stack([REGULARIZATION.turned(each, key) for each, key in zip(x, keys, strict=True)])
        assert torch.equal(REGULARIZATION.turned(x, keys), alone)


def test_members_at_once_have_the_losses_that_each_has_alone():
    said, wanted = (torch.stack([drawn(6, 10, seed=seed) for seed in seeds]) for seeds in ((0, 1, 2), (3, 4, 5)))
    classes = torch.arange(6).expand(3, 6)
    hyper = {"label_share": torch.tensor([0.0, 0.3, 1.0]), "temperature": torch.tensor([1.0, 4.0, 20.0])}
    together = DISTILLATION._student_loss(lambda x: x, {"x": said, "y": classes, "logits": wanted}, hyper)
    alone = [
        DISTILLATION._student_loss(
            lambda x: x, {"x": z, "y": classes[0], "logits": v}, {k: of[at] for k, of in hyper.items()}
        )
        for at, (z, v) in enumerate(zip(said, wanted, strict=True))
    ]
    assert torch.allclose(together, torch.stack(alone), rtol=1e-6)
    assert DISTILLATION._student_loss.for_ensembles
