"""The keys of study.yaml for editors and for people, both written from the models: `python -m claimcheck.spec.schema`.

Writes docs/study.schema.json, which an editor completes and checks by, and docs/study-keys.md, the page of keys. A test
holds both in step with the models. Checks nothing itself: `reading` does, and knows more (names of other parts, levels).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel

from claimcheck.files import write_text
from claimcheck.spec.measures import Measure
from claimcheck.spec.models import Amendment, Claim, FigureSpec, Prediction, Reference, StudyFile
from claimcheck.spec.parts import Factor, Part, Tune

SCHEMA, KEYS = "study.schema.json", "study-keys.md"

SECTIONS: dict[str, type[BaseModel]] = {
    "study.yaml": StudyFile,
    "A part": Part,
    "A factor": Factor,
    "Tuning": Tune,
    "A claim": Claim,
    "A prediction": Prediction,
    "A measure": Measure,
    "A reference": Reference,
    "A figure": FigureSpec,
    "amendments.yaml": Amendment,
}

INTRODUCTION = """\
# The keys of a study

Written from the models by `python -m claimcheck.spec.schema`; do not edit. Editors with a YAML language server complete and
check the keys by themselves where the first line of `study.yaml` is

    # yaml-language-server: $schema=../../docs/study.schema.json

A study is a folder, `studies/<name>/`:

| file | what it holds |
|---|---|
| `study.yaml` | question, parts, scales, claims with their predictions, figures (the keys below) |
| `runs.py` | `run_<part>(runs, context)` for each part: a table with a row (or one for each index) for each run |
| `figures.py` | `plot_<figure>(records)` for each figure, hyphens as underscores |
| `statistics.py` | only for predictions with `statistic:`: `<name>(records)`, a series indexed by seed |
| `notes.md` | what was found; numbers by `{{ estimate('prediction-id') }}`; may be absent |
| `amendments.yaml` | regions that were changed after they were fixed; may be absent |
"""

FILE = """\
The rows of a scale are laid over the parts, key by key: values of a factor, a setting, `seeds`, `exclude`, `include`, keys of
`tune`. What a scale does to a part, it does to the parts that extend it, unless they say otherwise at that scale.

```yaml
scales:
  smoke: {seeds: 4, training: {steps: 20, width: [4, 16]}}
  quick: {seeds: 16}
  full: {seeds: 64, training: {steps: 2000, tune: {seeds: 8}}}
```
"""

PART = """\
`run_<part>(runs, context)` gets a table of runs that share the values of the static factors (columns `run`, `seed`, the factors, the
tuned one) and a context: `context.settings`, `context.dataset(name)`, `context.generator(seed, purpose)`, `context.device`. It
returns a table with `run`, the index columns, floating-point columns of measurements, and `status` (`ok` or `diverged`, `ok`
where it is left out). Records have these columns, and `part`, `seed` and the factors beside them.

```yaml
parts:
  training:
    factors:
      width: {values: [4, 64], static: true}
      norm: {values: [none, batch], static: true}
    settings: {steps: 300, batch_size: 32}
    index: [step]
    tune: {factor: learning_rate, values: [0.01, 0.03, 0.1], minimise: train_loss}
  failures:
    extends: training
    only: {norm: none}
    seeds: 96
```
"""

MEASURE = """\
Five forms, each one number a seed; what they cannot say is a `statistic:`.

```yaml
- {value: test_error, of: {norm: batch, width: highest}, times: 100}
- {difference: train_loss, of: {norm: batch, gain: 4}, less: {gain: 1}, if_diverged: 4.6}
- {ratio: gradient_norm, of: {layer: lowest}, to: {layer: highest}, log: 10}
- {slope: train_loss, over: width, log: [train_loss, width], of: {norm: batch}}
- {argbest: valid_loss, over: learning_rate, of: {norm: batch}, if_diverged: .inf}
```

The cell must leave one number a seed: a factor that it does not name is averaged (`mean_over`), reduced to an extreme
(`max_over`, `min_over`), or an error. Of an index that nothing names, such as `step`, `at` takes the last row. A diverged
run has no number, which is an error, unless `if_diverged` says what it is worth. Whatever the order of the keys, things are
done in this order:

> `of`, `less`, `to`, `at`; `if_diverged`; `at_least`, `at_most`; `log`; `above`, `below`; `best_over`; `mean_over`; `max_over`;
> `min_over`; the form; `times`; `plus`; `absolute`.

Some that are often wanted: the share of gains at which a run fails, the accuracy, the worst of several norms less none at all,
the loss at the learning rate that is best for the other seeds.

```yaml
- {value: train_loss, of: {norm: batch}, if_diverged: .inf, above: 2.28, mean_over: [gain]}
- {value: test_error, of: {norm: batch}, times: -1, plus: 1}
- {difference: test_error, of: {norm: [batch, layer]}, less: {norm: none}, max_over: [norm]}
- {value: test_loss, of: {norm: batch}, best_over: [learning_rate], by: valid_loss}
```
"""

AMENDMENT = "The file maps a prediction's id to a list of these, the oldest first.\n"

TEXTS = {"study.yaml": FILE, "A part": PART, "A measure": MEASURE, "amendments.yaml": AMENDMENT}


def schema() -> dict[str, Any]:
    """The JSON schema of study.yaml, with every name that a key goes by."""
    made = StudyFile.model_json_schema()
    models = {model.__name__: model for model in SECTIONS.values()}
    for name, body in made["$defs"].items():
        for key in list(body["properties"]):
            same = {**body["properties"][key], "description": f"the same as `{key}`"}
            body["properties"] |= dict.fromkeys(_other_names(models[name], key), same)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "study.yaml"}


def _other_names(model: type[BaseModel], key: str) -> list[str]:
    """Names beside `key` that its field may be given by."""
    alias = next((field.validation_alias for name, field in model.model_fields.items() if name == key), None)
    return [name for name in alias.choices if name != key] if isinstance(alias, AliasChoices) else []


def schema_text() -> str:
    """What docs/study.schema.json holds."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def keys_text() -> str:
    """What docs/study-keys.md holds: a table of keys for each model."""
    pieces = [INTRODUCTION]
    for title, model in SECTIONS.items():
        pieces.append("\n".join([f"## {title}\n", *([TEXTS[title]] if title in TEXTS else []), *_table(model)]) + "\n")
    return "\n".join(pieces)


def _table(model: type[BaseModel]) -> list[str]:
    body = model.model_json_schema()
    rows = ["| key | form | without it | meaning |", "|---|---|---|---|"]
    for key, described in body["properties"].items():
        default = "required" if key in body.get("required", []) else _default(described.get("default"))
        names = " or ".join(f"`{name}`" for name in [key, *_other_names(model, key)])
        rows.append(f"| {names} | {_form(described)} | {default} | {described.get('description', '')} |")
    return rows


def _default(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value)}`".replace('"', "")


WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}


def _form(described: dict[str, Any]) -> str:
    """A JSON schema's type in words; links to the section of a model of its own."""
    if "$ref" in described:
        name = described["$ref"].rsplit("/", 1)[1]
        title = next(title for title, model in SECTIONS.items() if model.__name__ == name)
        return f"[{title.lower()}](#{title.lower().replace(' ', '-').replace('.', '')})"
    if "anyOf" in described:
        kinds = [kind for kind in described["anyOf"] if kind != {"type": "null"}]
        if {"boolean", "integer", "number", "string"} <= {kind.get("type") for kind in kinds}:
            kinds = [{"value": True}, *(kind for kind in kinds if kind.get("type") in ("array", "object"))]
        return " or ".join(_form(kind) for kind in kinds)
    if "enum" in described:
        return ", ".join(f"`{json.dumps(value)}`".replace('"', "") for value in described["enum"])
    if "prefixItems" in described:
        return f"[{', '.join(_form(item) for item in described['prefixItems'])}]"
    if described.get("type") == "array":
        return f"[{_form(described['items'])}, …]"
    if described.get("type") == "object":
        inner = described.get("additionalProperties")
        return f"{{name: {_form(inner) if isinstance(inner, dict) else 'anything'}, …}}"
    return "value" if "value" in described else WORDS.get(described.get("type", ""), "anything")


def main(folder: Path) -> None:
    """Write both files."""
    write_text(folder / SCHEMA, schema_text())
    write_text(folder / KEYS, keys_text())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
