"""Every line of the lecture has a claim that a study tests, or the reason why nothing here could decide it."""

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.reading import load_lecture

from .asking import STUDIES, every_study

CONTRACT = """
23: parameter-counts, then_and_now | 25 26 27: alexnet-ingredients, then_and_now | 27: hardware-counts, then_and_now
29: data-growth, then_and_now | 30 31: hardware-fit, then_and_now | 32 33 36 37 38 39: whole-recipe, then_and_now
41 42: known-form-wins, double_descent | 43: bias-variance-decomposition, double_descent
44 45: simple-models-underfit, double_descent | 46: data-removes-overfitting, double_descent
47: double-descent, double_descent | 49: u-shape, double_descent | 50: finding-the-sweet-spot, regularization
51 52: dropout-with-little-data, regularization | 53: weight-decay-regularises, regularization
53: decay-is-l2, regularization | 54: augmentation-regularises, regularization
57 58: gradient-is-a-product, gradient_flow | 59 60: vanishing-stops-training, gradient_flow
61 62: exploding-diverges, gradient_flow | 69: any-nonlinearity-works, gradient_flow
70 71 72 73: tanh-saturates, gradient_flow | 74 78: simplification-helped, gradient_flow
76 77 79: relu-passes-gradient, gradient_flow | 80 81 82: relu-dies, gradient_flow
84 85 86 87: swish-is-a-soft-relu, gradient_flow | 87: swish-survives, gradient_flow
89: swiglu-in-transformers, gated_units | 91: blocks-learn-a-change, residual_depth
92 93 94 95: direct-gradient-path, residual_depth | 96: residual-eases-optimisation, residual_depth
97: thousand-layers, residual_depth | 99 100: norm-stabilises-signal, normalization
101: norm-speeds-training, normalization | 102: norm-helps-early, normalization
103: norm-reduces-init-care, normalization | 106 108 110: norms-do-what-they-say, normalization
107 109: bn-needs-large-batches, normalization | 111: rms-is-cheaper, normalization
118: poor-init-breaks-training, initialization | 119: norm-largely-fixes-init, initialization
120: xavier-preserves-variance, initialization | 121: init-is-tailored, initialization
124 125 126: adamw-update-formula, adamw | 128: decay-inside-the-optimiser, adamw | 129: adamw-robust, adamw
131: high-lr-dangerous-at-init, lr_schedules | 132 133: warmup-raises-stable-lr, lr_schedules
134: annealing-helps, lr_schedules | 135 136: step-decay-abrupt, lr_schedules
141: tooling-finds-it, debugging_checklist | 142 143: overflow-and-underflow, precision
143: underflow-ruins-gradients, precision | 144: problems-early-and-late, precision
145: loss-scaling-and-checks, precision | 145 151: clipping-prevents-blow-ups, precision | 146: fp32-first, precision
147: shallow-before-deep, debugging_checklist | 149 150: warmup-and-norm-tame-numerics, precision
152: work-in-log-space, precision | 154: lr-too-low-plateaus, lr_schedules
155: spikes-have-bad-numbers, debugging_checklist | 156: lr-too-high-diverges, lr_schedules
158: smoke-test-the-gradient, debugging_checklist | 159: check-the-data, debugging_checklist
160: overfit-a-tiny-subset, debugging_checklist | 161: lr-range-test, lr_schedules
162 163: watch-gradient-norms, debugging_checklist | 171: iid-often-broken, real_world_data
172: representative-data, real_world_data | 173: class-balance, real_world_data | 174: error-types, real_world_data
176: data-leakage, real_world_data | 177: calibration-matters, real_world_data | 178: feedback-loops, real_world_data
184 185: meaningful-embeddings, representations | 186: interpretable-features, representations
188 189: representations-generalise, representations | 189: pretraining-saves-labels, representations
190 191 192: unsupervised-pretraining, representations | 196: zero-shot-falls-short, fine_tuning
198 199: lora-few-parameters, fine_tuning | 200: lora-needs-less-memory, fine_tuning
201: little-data-suffices, fine_tuning | 203 204: distillation-transfers, distillation | 206: dark-knowledge, distillation
205: distils-across-modality, distillation | 207: temperature-matters, distillation
207: t-squared-balances, distillation | 207: mixing-labels-helps, distillation
"""
"""What was agreed before the studies were written: lines that state something, the claim they have, the study that tests it."""

NOT_TESTABLE = [20, 21, 22, 24, 34, 88, 111, 123, 139, 170, 175, 193, 195, 197]
"""Lines of which something, or all, is history, a survey or a judgement."""


def test_every_line_that_was_agreed_to_be_tested_has_its_claim_and_study():
    claims = load_lecture(STUDIES).claims()
    for entry in CONTRACT.replace("\n", "|").split("|"):
        if entry.strip():
            lines, _, rest = entry.partition(":")
            name, study = (word.strip() for word in rest.split(","))
            assert claims[name].study == study
            assert {int(line) for line in lines.split()} <= set(claims[name].lines), name


def test_every_line_that_no_experiment_decides_gives_its_reason():
    reasons = [claim for claim in load_lecture(STUDIES).claims().values() if claim.not_testable]
    assert {line for claim in reasons for line in claim.lines} >= set(NOT_TESTABLE)
    assert all(claim.lines for claim in reasons)


def test_no_claim_is_merely_planned():
    """Each is among those of its study, of which every one has a prediction that decides it (test_promises.py)."""
    tested = {(name, claim.id) for name, study in every_study().items() for claim in study.claims}
    asked = {(claim.study, name) for name, claim in load_lecture(STUDIES).claims().items() if claim.study}
    assert asked - tested == set()


def test_no_claim_is_without_a_line_of_the_lecture():
    assert not [name for name, claim in load_lecture(STUDIES).claims().items() if not claim.lines]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("lines: 34\n", "lines: 33\n", "line 34 has neither a claim nor"),
        ("lines: 34\n", "lines: 34-\n", "must be numbers of lines"),
        ("lines: 34\n", "lines: yes\n", "must be numbers of lines"),
        ("lines: 34\n", "lines: 340\n", "line 340 is none of the lecture's"),
        ("lines: 34\n", "lines: 34, 35\n", "line 35 has a claim and stands under stating_nothing"),
        ("lines: 217\n", "lines: 218\n", "line 217 has neither"),
    ],
)
def test_a_line_without_a_fate_is_told(tmp_path, old, new, fault):
    text = (STUDIES / "lecture.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "lecture.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=fault):
        load_lecture(tmp_path)
