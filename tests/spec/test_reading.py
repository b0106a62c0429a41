"""study.yaml, lecture.yaml and config.yaml: what is accepted, and how each fault is told."""

from pathlib import Path

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results.digests import prediction_hash, registration_digest
from claimcheck.spec.reading import load_config, load_lecture, load_study, study_names

REPOSITORY = Path(__file__).parents[2]


def test_every_study_of_the_project_loads_and_covers_its_claims_of_the_lecture():
    lecture = load_lecture(REPOSITORY / "studies")
    for name in study_names(REPOSITORY / "studies"):
        study = load_study(REPOSITORY / "studies", name)
        mine = {claim.id for claim in lecture.claims().values() if claim.study == name}
        assert mine == {claim.id for claim in study.claims if claim.says is None}, name


def test_scale_overrides_factors_and_settings(studies, edit):
    edit("coin", lambda raw: raw["scales"]["smoke"].update(seeds=5, tosses={"tosses": 200, "bias": [0.5, 0.6, 0.7]}))
    part = load_study(studies, "coin").at("smoke")["tosses"]
    assert part.factors["bias"].values == [0.5, 0.6, 0.7]
    assert part.factors["bias"].static
    assert (part.seeds, part.settings["tosses"]) == (5, 200)


def test_seeds_option_overrides_every_part_that_runs(studies, edit):
    def two_parts(raw):
        raw["parts"]["large"] = {"extends": "tosses"}
        raw["scales"] = {"smoke": {"seeds": 12, "large": {"seeds": 0}}}

    edit("coin", two_parts)
    parts = load_study(studies, "coin").at("smoke", seeds=3)
    assert (parts["tosses"].seeds, parts["large"].seeds) == (3, 0)


def test_units_is_another_word_for_seeds(studies, edit):
    edit("coin", lambda raw: (raw["parts"]["tosses"].update(units=7), raw["scales"]["smoke"].pop("seeds")))
    assert load_study(studies, "coin").at("smoke")["tosses"].seeds == 7


FAULTS = {
    "unknown key": (lambda raw: raw.update(colour="red"), ["study.yaml", "colour", "unknown key"]),
    "misspelt key": (lambda raw: raw.update(titel=raw.pop("title")), ["study.yaml", "title"]),
    "misspelt factor in a scale": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(bais=[0.5]),
        ["scales.smoke.tosses", "bais", "did you mean 'bias'"],
    ),
    "unknown scale": (lambda raw: raw["scales"].update(huge={"seeds": 3}), ["scales", "huge"]),
    "misspelt part in a scale": (
        lambda raw: raw["scales"]["smoke"].update(toses={}),
        ["scales.smoke", "toses", "did you mean 'tosses'"],
    ),
    "statistic and measure": (
        lambda raw: raw["claims"][0]["predictions"][0].update(statistic="heads"),
        ["predictions.0", "exactly one of measure and statistic"],
    ),
    "neither statistic nor measure": (
        lambda raw: raw["claims"][0]["predictions"][0].pop("measure"),
        ["predictions.0", "exactly one of measure and statistic"],
    ),
    "measure of no part": (
        lambda raw: raw["claims"][0]["predictions"][0].pop("part"),
        ["predictions.0", "give `part`"],
    ),
    "measure of a misspelt factor": (
        lambda raw: raw["claims"][0]["predictions"][0].update(measure={"value": "heads", "of": {"bais": 0.5}}),
        ["half.measure", "bais", "did you mean 'bias'"],
    ),
    "misspelt claim": (
        lambda raw: raw["claims"][0].update(id="coin-is-fare"),
        ["coin-is-fare", "did you mean 'coin-is-fair'"],
    ),
    "unknown section": (lambda raw: raw.update(sections=["chanse"]), ["chanse", "did you mean 'chance'"]),
    "region with its ends swapped": (
        lambda raw: raw["claims"][0]["predictions"][0].update(region=[0.6, 0.4]),
        ["claims.0.predictions.0.region", "swapped", "0.6"],
    ),
    "region open at both ends": (
        lambda raw: raw["claims"][0]["predictions"][0].update(region=[None, None]),
        ["region", "nothing could contradict"],
    ),
    "region that is one point": (
        lambda raw: raw["claims"][0]["predictions"][0].update(region=[0.5, 0.5]),
        ["region", "below"],
    ),
    "region of words": (lambda raw: raw["claims"][0]["predictions"][0].update(region=["a", 1]), ["region", "number"]),
    "no values": (lambda raw: raw["parts"]["tosses"]["factors"]["bias"].update(values=[]), ["factors.bias.values"]),
    "a value twice": (
        lambda raw: raw["parts"]["tosses"]["factors"]["bias"].update(values=[1, 1.0]),
        ["factors.bias.values", "twice"],
    ),
    "factor not a list in a scale": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(bias=0.5),
        ["scales.smoke.tosses.bias", "list"],
    ),
    "negative seeds": (lambda raw: raw["scales"]["smoke"].update(seeds=-1), ["scales.smoke.seeds", "-1"]),
    "a list for a number of seeds": (
        lambda raw: raw["scales"]["smoke"].update(seeds=["seven"] * 1000),
        ["scales.smoke.seeds", "'seven', 'seven'", " …"],
    ),
    "seeds in words": (lambda raw: raw["scales"]["smoke"].update(seeds="many"), ["scales.smoke.seeds", "many"]),
    "no seeds on a data set": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(seeds={"digits": 0}),
        ["scales.smoke.tosses.seeds.digits", "0", "1, 2"],
    ),
    "seeds by data set in a part that has none": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(seeds={"digits": 3}),
        ["parts.tosses", "seeds are given for digits", "data sets are none"],
    ),
    "seeds by data set for all parts": (
        lambda raw: raw["scales"]["smoke"].update(seeds={"digits": 3}),
        ["scales.smoke.seeds", "digits"],
    ),
    "a prediction that pools data sets with other seeds": (
        lambda raw: (
            raw["parts"]["tosses"]["factors"].update(dataset={"values": ["digits", "mnist5k"]}),
            raw["scales"]["smoke"]["tosses"].update(seeds={"digits": 3, "mnist5k": 4}),
        ),
        ["scales.smoke.tosses.seeds", "pools", "half", "on: [...]"],
    ),
    "misspelt key of tune": (
        lambda raw: raw["parts"]["tosses"].update(
            tune={"factor": "rate", "values": [1.0], "minimize": "heads", "maximise": "heads"}
        ),
        ["parts.tosses.tune.minimize", "did you mean 'minimise'"],
    ),
    "grid of tune that descends": (
        lambda raw: raw["parts"]["tosses"].update(tune={"factor": "rate", "values": [0.1, 0.01], "minimise": "heads"}),
        ["parts.tosses.tune.values", "ascending order"],
    ),
    "tuned and a setting": (
        lambda raw: raw["parts"]["tosses"].update(
            settings={"tosses": 20, "seconds": 0.0, "rate": 1.0},
            tune={"factor": "rate", "values": [1.0, 2.0], "minimise": "heads"},
        ),
        ["parts.tosses", "'rate' is tuned and a setting"],
    ),
    "no parts": (lambda raw: raw.pop("parts"), ["parts", "missing"]),
    "extends an unknown part": (
        lambda raw: raw["parts"].update(more={"extends": "tossis"}),
        ["parts.more", "tossis", "tosses"],
    ),
    "extends itself": (lambda raw: raw["parts"]["tosses"].update(extends="tosses"), ["parts.tosses", "circle"]),
    "only without extends": (
        lambda raw: raw["parts"]["tosses"].update(only={"bias": 0.5}),
        ["parts.tosses", "extends"],
    ),
    "only of a value that is not there": (
        lambda raw: raw["parts"].update(more={"extends": "tosses", "only": {"bias": 0.9}}),
        ["parts.more", "only.bias", "0.9"],
    ),
    "prediction of an unknown part": (
        lambda raw: raw["claims"][0]["predictions"][0].update(part="toses"),
        ["toses", "did you mean 'tosses'"],
    ),
    "a prediction twice": (
        lambda raw: raw["claims"][0].update(predictions=raw["claims"][0]["predictions"] * 2),
        ["prediction", "half", "twice"],
    ),
    "figure without a function": (
        lambda raw: raw["figures"][0].update(id="sharse"),
        ["plot_sharse", "did you mean 'plot_shares'"],
    ),
    "figure of an unknown claim": (lambda raw: raw["figures"][0].update(claims=["nothing"]), ["figures", "nothing"]),
    "no claims": (lambda raw: raw.update(claims=[]), ["claims"]),
    "empty title": (lambda raw: raw.update(title=" "), ["title", "empty"]),
    "control character": (lambda raw: raw.update(title="a\u0007b"), ["title", "control"]),
    "a tuned factor that pandas takes for the table": (
        lambda raw: raw["parts"]["tosses"].update(
            tune={"factor": "self", "values": [1.0], "minimise": "heads", "seeds": 8}
        ),
        ["tosses.tune.factor", "self", "reserved"],
    ),
    "reserved name": (lambda raw: raw["parts"]["tosses"]["factors"].update(seed={"values": [1]}), ["seed", "reserved"]),
    "kind": (lambda raw: raw["claims"][0]["predictions"][0].update(kind="mian"), ["kind", "main"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_told_with_file_key_and_cause(studies, edit, fault):
    change, expected = FAULTS[fault]
    edit("coin", change)
    with pytest.raises(ClaimcheckError) as caught:
        load_study(studies, "coin")
    message = str(caught.value)
    assert "\n" not in message
    for piece in expected:
        assert piece in message, message


def test_misspelt_study_is_told_with_the_nearest(studies):
    with pytest.raises(ClaimcheckError, match="did you mean 'coin'"):
        load_study(studies, "coni")


def test_missing_code_is_told(studies):
    (studies / "coin" / "runs.py").unlink()
    with pytest.raises(ClaimcheckError, match=r"runs\.py: defines no function run_tosses"):
        load_study(studies, "coin")


def test_code_with_a_syntax_error_is_told(studies):
    (studies / "coin" / "runs.py").write_text("def run(:\n")
    with pytest.raises(ClaimcheckError, match="not valid Python"):
        load_study(studies, "coin")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: [1", "not valid YAML"),
        ("a: 1\na: 2", "twice"),
        ("- 1", "mapping"),
        ("", "mapping"),
        ("a: !!python/object:os.system {}", "YAML"),
    ],
)
def test_unreadable_yaml_is_told(studies, text, cause):
    (studies / "coin" / "study.yaml").write_text(text)
    with pytest.raises(ClaimcheckError, match=cause):
        load_study(studies, "coin")


def test_own_claim_beyond_the_lecture_needs_words(studies, edit):
    def own(raw):
        raw["claims"][0].update(id="my-own", says="A claim of mine.")
        raw["figures"][0].update(claims=["my-own"])

    edit("coin", own)
    assert load_study(studies, "coin").claims[0].says == "A claim of mine."


def test_lecture_refuses_a_claim_twice(studies):
    path = studies / "lecture.yaml"
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    with pytest.raises(ClaimcheckError, match="twice"):
        load_lecture(studies)


@pytest.mark.parametrize(
    ("overrides", "pieces"),
    [
        ({"scale": "quik"}, ["scale", "quik", "quick"]),
        ({"studies": ["coni"]}, ["studies", "coni", "did you mean 'coin'"]),
        ({"seeds": 0}, ["seeds", "0"]),
        ({"device": "gpu"}, ["device", "gpu"]),
        ({"colour": 1}, ["colour", "unknown key"]),
        ({"shards": "some"}, ["shards", "some"]),
    ],
)
def test_configuration_faults_are_told(studies, overrides, pieces):
    with pytest.raises(ClaimcheckError) as caught:
        load_config(None, {"studies_dir": str(studies), **overrides})
    for piece in pieces:
        assert piece in str(caught.value)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("coin", ["coin"]),
        ("coin,walk", ["coin", "walk"]),
        ("walk, ", ["walk"]),
        (["coin", "coin"], ["coin"]),
        ("all", "all"),
        (["all"], "all"),
    ],
)
def test_studies_may_be_named_as_people_do(studies, said, meant):
    assert load_config(None, {"studies_dir": str(studies), "studies": said}).studies == meant


@pytest.mark.parametrize("said", ["Coin", "[Coin]", ["COIN"], ["walk", "cion"], "coin;"])
def test_a_misspelt_study_is_told_with_the_nearest_and_where_it_was_said(studies, said):
    file = studies.parent / "config.yaml"
    file.write_text("scale: quick\nstudies: all\n", encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=r"--config: studies: no such study; .* did you mean 'coin'"):
        load_config(file, {"studies_dir": str(studies), "scale": "quick", "studies": said})


@pytest.mark.parametrize("said", [[], "", 3, ["coin", 3], {"coin": 1}])
def test_what_names_no_study_is_refused(studies, said):
    with pytest.raises(
        ClaimcheckError, match=r"configuration: studies: .*the name of a study|configuration: studies: names no"
    ):
        load_config(None, {"studies_dir": str(studies), "studies": said})


def test_a_fault_of_the_file_is_told_of_the_file_and_one_of_the_command_line_of_that(studies):
    file = studies.parent / "config.yaml"
    file.write_text("scale: quik\n", encoding="utf-8")
    options = {"studies_dir": str(studies)}
    with pytest.raises(ClaimcheckError, match=r"config\.yaml: scale: .*'quik'"):
        load_config(file, {**options, "scale": "quik"})  # Snakemake gives what the file says once more
    with pytest.raises(ClaimcheckError, match=r"--config: scale: .*'smok'"):
        load_config(file, {**options, "scale": "smok"})
    with pytest.raises(ClaimcheckError, match=r"--config: study: unknown key.*did you mean 'studies'"):
        load_config(file, {**options, "scale": "smoke", "study": "coin"})


WORDS = {
    "says": lambda raw: raw["claims"][0]["predictions"][0].update(says="Other words."),
    "why": lambda raw: raw["claims"][0]["predictions"][0].update(why="Other words."),
    "unit": lambda raw: raw["claims"][0]["predictions"][0].update(unit="heads"),
    "undecidable": lambda raw: raw["claims"][0]["predictions"][0].update(undecidable="Kept for its size."),
    "turns": lambda raw: raw["claims"][0]["predictions"][0].update(turns="Of larger coins it is not."),
    "title": lambda raw: raw.update(title="Another title"),
    "caption": lambda raw: raw["figures"][0].update(caption="Another caption."),
}
SUBSTANCE = {
    "region": lambda raw: raw["claims"][0]["predictions"][0].update(region=[0.4, 0.61]),
    "share": lambda raw: raw["claims"][0]["predictions"][0].update(share=0.9),
    "kind": lambda raw: raw["claims"][0]["predictions"][0].update(kind="limit"),
    "measure": lambda raw: raw["claims"][0]["predictions"][0]["measure"].update(times=2),
    "controls": lambda raw: raw["claims"][0]["predictions"][0].update(controls={"none": "There are none."}),
    "setting of the scale": lambda raw: raw["scales"]["smoke"]["tosses"].update(tosses=300),
    "units": lambda raw: raw["scales"]["smoke"].update(seeds=20),
}


@pytest.mark.parametrize("change", [*WORDS, *SUBSTANCE])
def test_what_fixes_a_prediction_and_a_registration_is_substance_and_not_words(studies, edit, change):
    def hashes():
        study = load_study(studies, "coin")
        return prediction_hash(study.claims[0].predictions[0], study.at("smoke")), registration_digest(study)

    before = hashes()
    edit("coin", {**WORDS, **SUBSTANCE}[change])
    after = hashes()
    assert [old != new for old, new in zip(before, after)] == [change in SUBSTANCE] * 2


def test_a_registration_fixes_every_scale_and_the_statistics(studies, edit, plant):
    before = registration_digest(load_study(studies, "coin"))
    edit("coin", lambda raw: raw["scales"]["full"].update(seeds=33))
    assert registration_digest(load_study(studies, "coin")) != before
    planted = registration_digest(plant())
    for old in ('_difference(records, "up")\n', '_difference(records, "up") + 10'):
        assert registration_digest(plant(statistics={old: f"1 * {old}"})) != planted, "of a prediction, of a control"
    assert registration_digest(plant({"says: B exceeds A.": "says: B is above A."})) == planted
