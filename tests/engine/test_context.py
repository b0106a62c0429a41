"""What a run function is given: every setting that study.yaml may give is read as an attribute."""

from __future__ import annotations

import pytest

from claimcheck.engine.context import Settings
from claimcheck.errors import ClaimcheckError
from claimcheck.spec.parts import Part
from claimcheck.spec.reading import load_study

OWN = sorted(name for name in dir(Settings) if not name.startswith("_"))


def test_settings_have_attributes_of_their_own() -> None:
    assert {"get", "items", "keys", "values"} <= set(OWN)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("seconds: 0.0", "seconds: 0.0, {}: 3", "parts.tosses.settings"),
        (
            "settings: {tosses",
            "tune: {{factor: rate, values: [1, 2], minimise: heads, settings: {{{}: 3}}}}\n    settings: {{tosses",
            "parts.tosses.tune.settings",
        ),
    ],
    ids=["part", "tuning"],
)
def test_a_setting_that_no_attribute_would_give_is_refused(name, old, new, place, studies) -> None:
    path = studies / "coin" / "study.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new.format(name)), encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=rf"coin/study.yaml: {place}.{name}: is a name that a setting cannot"):
        load_study(studies, "coin")


def test_any_other_setting_is_what_its_attribute_gives() -> None:
    said = {"steps": 3, "value": 1, "item": [2], "name": "a", "where": {"deep": None}, "copy": 0.5, "pop": False}
    settings = Settings(Part.model_validate({"settings": said}).settings)
    assert {name: getattr(settings, name) for name in said} == said
    with pytest.raises(ClaimcheckError, match=r"found 'stesp'.*did you mean 'steps'"):
        _ = settings.stesp
