"""What the tests of the studies share: a study's records at smoke scale, and folders of real and of made images."""

import contextlib
import gzip
import hashlib
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from claimcheck.data import downloads as data_fetch
from claimcheck.figures import drawing
from claimcheck.judging import controls, evidence, rule
from claimcheck.results.state import locate
from claimcheck.running import runner
from claimcheck.running.devices import machine_for
from claimcheck.spec.reading import load_config

from .asking import ROOT, STUDIES

ARCHIVES = Path(os.environ.get("CLAIMCHECK_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="module")
def smoke_results(request, lecture_run):
    """Results at smoke scale of the study that the module names ``STUDY``, as `claimcheck run` makes them."""
    assert rule.fewest_true(lecture_run.units, min(rule.SHARES)) is not None
    chosen = {"scale": "smoke", "seeds": lecture_run.units, "results_dir": str(lecture_run.folder / "results")}
    results = locate(
        request.module.STUDY, load_config(None, chosen | {"studies_dir": str(STUDIES)}), machine_for("auto")
    )
    with FileLock(lecture_run.folder / ".in-use"):  # other processes of the tests run parts there, too
        runner.run_parts(results, results.parts)
        runner.assemble(results)
    assert (results.read_records().groupby("part")["seed"].nunique() == lecture_run.units).all()
    return results


@pytest.fixture(scope="module")
def smoke(smoke_results):
    """The records of `smoke_results`."""
    return smoke_results.read_records()


@pytest.fixture(scope="module")
def found(smoke_results):
    """`smoke_results` as the judge reads them."""
    return evidence.read(smoke_results)


TOO_SMALL = {
    "debugging_checklist": {"order-does-not-matter": "never, against", "rates-carry-over": "never, against"},
    "distillation": {"equal-teacher-teaches": "never", "equal-teacher-gives-nothing": "never, against"},
    "double_descent": {"network-ends-near-optimum": "never"},
    "fine_tuning": {
        "untuned-near-chance": "never, against",
        "lora-forgets-no-less-with-fifty": "never, against",
        "activations-remain": "never, against",
    },
    "gradient_flow": {
        "gelu-settles-slowly": "against",
        "dead-at-ordinary-rate": "never, against",
        "no-rate-trains": "never, against",
        "nothing-is-learnt": "never, against",
        "linear-does-not-fit": "never, against",
    },
    "normalization": {
        **dict.fromkeys((f"{norm}-norm-is-no-faster-shallow" for norm in ("batch", "layer", "rms")), "never, against"),
        "batch-norm-fine-at-large-batches": "never, against",
        "rms-as-good-plain": "never, against",
        "rms-as-good-residual": "never, against",
    },
    "regularization": {
        "dropout-little-on-clean-images": "never, against",
        "decay-little-with-plenty": "never, against",
        "decay-little-on-clean-images": "never, against",
    },
    "adamw": {"printed-trains-like-adamw": "never, against", "betas-hardly-matter": "never, against"},
}
"""Controls that are true at smoke, by study and prediction: a few steps train nothing, and in a few layers no
factor settles, so arms that differ at quick do not."""


@pytest.fixture(scope="module")
def controls_that_passed(request, found):
    """Predictions of which a control is supported on the smoke run, with its name, but for those too small to differ.

    Smoke has too few units for "nearly always", so a control of such a prediction is asked whether it is typically true.
    Networks of smoke's size compute within the clock's noise: parts that measure time are left out.
    """
    study, passed = request.module.STUDY, set()
    spared = TOO_SMALL.get(study.name, {})
    assert set(spared) <= {prediction.id for _, prediction in study.predictions()}
    for _, prediction in study.predictions():
        timed = prediction.part is not None and study.at("smoke")[prediction.part].timing
        if prediction.kind == "fact" or timed or found.reason_not_run(prediction):
            continue
        asked = prediction.model_copy(update={"share": min(rule.SHARES)})
        for data in prediction.on or [None]:
            if data is None or data in found.datasets_of(prediction.part):
                numbers = evidence.values_of(found, asked, data).to_numpy()
                verdict = rule.decide(numbers, asked.region, asked.share).verdict
                outcomes = controls.outcomes(found, asked, verdict, data)
                true = {name for name, each in outcomes.items() if each["passed"] and each["verdict"] == "supported"}
                passed |= {(prediction.id, name) for name in true if name not in spared.get(prediction.id, "")}
    return passed


@pytest.fixture(scope="module")
def drawn_well(smoke_results, lecture_run):
    """drawn_well(figure): drawn on a page and on a slide, by the pipeline or here, without a problem of layout."""
    log = smoke_results.view / "plot.log"
    with FileLock(lecture_run.folder / ".in-use"):
        if not (log.exists() and all(path.exists() for path in smoke_results.drawings)):
            with log.open("w") as told, contextlib.redirect_stderr(told):
                drawing.plot_study(smoke_results)
    told = log.read_text().splitlines()

    def check(figure):
        if figure.part not in {None, *smoke_results.parts}:
            pytest.skip(f"part {figure.part} is not run at smoke")
        assert (smoke_results.figures / f"{figure.id}.png").is_file()
        assert [line for line in told if f"figure {figure.id!r}" in line] == []

    return check


@pytest.fixture(scope="session")
def fashion(tmp_path_factory):
    """A data folder with Fashion-MNIST, unpacked from the archives that are at hand."""
    source = ARCHIVES / "FashionMNIST" / "raw"
    archives = sorted(source.glob("*.gz"))
    if len(archives) < 4:
        pytest.skip(f"no Fashion-MNIST archives in {source}: set CLAIMCHECK_TEST_DATA")
    raw = tmp_path_factory.mktemp("data") / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in archives:
        with gzip.open(archive) as packed, open(raw / archive.stem, "wb") as plain:
            shutil.copyfileobj(packed, plain)
    return raw.parents[1]


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A data folder with a made CIFAR-10 of 60 images, in the published archive's layout, fetched by the project's own code.

    Its checksums stand for the published ones in torchvision and in the project.
    """
    from torchvision.datasets import CIFAR10

    folder, draws = tmp_path / "made" / "cifar-10-batches-py", np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name in names:
        pixels = draws.integers(0, 256, (10, 3 * 32 * 32), dtype=np.uint8)
        batch = {
            "batch_label": name,
            "labels": list(range(10)),
            "data": pixels,
            "filenames": [f"{k}.png" for k in range(10)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"num_cases_per_batch": 10, "label_names": [f"class {k}" for k in range(10)], "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    data = tmp_path / "data"
    data.mkdir()
    archive = data / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, arcname=folder.name)
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in [*folder.iterdir(), archive]}
    published = data_fetch.SOURCES["cifar10"]
    made = data_fetch.Source(
        published.folder,
        published.torchvision,
        {name: sums[name] for name in published.files},
        {archive.name: sums[archive.name]},
    )
    monkeypatch.setitem(data_fetch.SOURCES, "cifar10", made)
    monkeypatch.setattr(CIFAR10, "tgz_md5", sums[archive.name])
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[names[5], sums[names[5]]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    data_fetch.fetch("cifar10", data, attempts=1, log=lambda text: None)
    return data
