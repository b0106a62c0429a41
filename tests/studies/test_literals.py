"""What a replicator needs stands in study.yaml: no module of a study sets a hyperparameter to a number of its own."""

import ast

import pytest

from .asking import STUDIES

RUN = [path for path in sorted(STUDIES.glob("*/*.py")) if path.name not in ("figures.py", "statistics.py")]

HYPERPARAMETERS = {
    "lr", "rate", "learning_rate", "momentum", "weight_decay", "decay", "betas", "beta1", "beta2", "eps", "alpha",
    "dropout", "temperature", "smoothing", "warmup", "clip", "steps", "epochs", "iterations", "batch_size", "width",
    "depth", "hidden", "heads", "kernel", "channels", "gain", "init_variance", "weight_variance", "noise",
    "label_noise", "wrong_labels", "ridge", "strength", "penalty", "rank",
}  # fmt: skip
NEUTRAL = (0, 1)
"""Values that leave something out: no momentum, a gain of one."""

KNOWN = {
    ("double_descent/problems.py", "noise", 0.25): "a problem with a closed form, which the method describes",
    ("fine_tuning/peak_memory.py", "lr", 0.001): "memory does not depend on the rate",
    ("fine_tuning/peak_memory.py", "steps", 2): "memory is the same at every step after the first",
    ("normalization/runs.py", "init_variance", 2.0): "He's, where no factor varies it",
    ("residual_depth/runs.py", "weight_variance", 2.0): "He's, where no factor varies it",
    ("regularization/decays.py", "eps", 1e-12): "a fact: the identity is exact without it",
}


def settings_of(source):
    """Names that a module's text sets to numbers: as keywords, keys, defaults or constants."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values)]
        elif isinstance(node, ast.arguments):
            plain = [*node.posonlyargs, *node.args]
            late = plain[len(plain) - len(node.defaults) :]
            pairs = [*zip(late, node.defaults), *zip(node.kwonlyargs, node.kw_defaults)]
            pairs = [(parameter.arg, value) for parameter, value in pairs]
        elif isinstance(node, ast.Assign):
            pairs = [(target.id.lower(), node.value) for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        for name, value in pairs:
            literal = isinstance(value, ast.Constant) and type(value.value) in (int, float)
            if name in HYPERPARAMETERS and literal and value.value not in NEUTRAL:
                yield name, value.value


def test_no_study_sets_a_hyperparameter_in_its_code():
    found = {
        (path.relative_to(STUDIES).as_posix(), *each)
        for path in RUN
        for each in settings_of(path.read_text(encoding="utf-8"))
    }
    assert found - set(KNOWN) == set(), "put it into the part's settings, or list it with the reason"
    assert set(KNOWN) - found == set(), "listed, and no longer there"


@pytest.mark.parametrize(
    "source",
    ["f(lr=0.1)", "s = {'momentum': 0.9}", "def f(width=64): ...", "def f(*, steps=9): ...", "DROPOUT = 0.5"],
)
def test_such_a_number_is_found(source):
    assert len(list(settings_of(source))) == 1


def test_what_comes_from_settings_is_none():
    assert not list(settings_of("f(lr=s.lr, momentum=0.0); width = s.width"))
