"""The keys of study.yaml for editors and for people, both written from the models: `python -m claimcheck.spec.schema`.

Writes docs/study.schema.json, which an editor completes and checks by, and docs/study-keys.md, the page of keys, whose
text is study-keys.md beside this file. A test holds both in step with the models. Checks no study: `reading` does, and
knows more (the names of parts, levels of factors, what is in the lecture).
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel

from claimcheck.files import write_text
from claimcheck.spec.measures import Measure
from claimcheck.spec.models import (
    Claim,
    Control,
    ControlCount,
    Controls,
    FigureSpec,
    Prediction,
    Reference,
    Registration,
    StudyFile,
)
from claimcheck.spec.parts import Factor, Part, Tune

SCHEMA, KEYS = "study.schema.json", "study-keys.md"

SECTIONS: dict[type[BaseModel], str] = {
    StudyFile: "study.yaml",
    Part: "A part",
    Factor: "A factor",
    Tune: "Tuning",
    Claim: "A claim",
    Prediction: "A prediction",
    Measure: "A measure",
    Controls: "Controls",
    Control: "A control",
    Reference: "A reference",
    FigureSpec: "A figure",
    Registration: "registrations.yaml",
    ControlCount: "Count of controls",
}
"""Sections of the page, in which a model's table of keys takes the place of its name in double brackets."""


def schema() -> dict[str, Any]:
    """The JSON schema of study.yaml, with every name that a key goes by."""
    made = StudyFile.model_json_schema()
    models = {model.__name__: model for model in SECTIONS}
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
    """What docs/study-keys.md holds: the page's text with a table of keys for each model."""
    page = (resources.files("claimcheck.spec") / KEYS).read_text(encoding="utf-8")
    for model in SECTIONS:
        page = page.replace(f"[[{model.__name__}]]", _table(model))
    return page


def _table(model: type[BaseModel]) -> str:
    body = model.model_json_schema()
    rows = ["| key | form | without it | meaning |", "|---|---|---|---|"]
    for key, described in body["properties"].items():
        default = "required" if key in body.get("required", []) else _default(described.get("default"))
        names = " or ".join(f"`{name}`" for name in [key, *_other_names(model, key)])
        rows.append(f"| {names} | {_form(described)} | {default} | {described.get('description', '')} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if isinstance(value, dict) and not any(value.values()):
        return ""
    return "" if value in (None, "", []) else f"`{json.dumps(value)}`".replace('"', "")


WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}


def _form(described: dict[str, Any]) -> str:
    """A JSON schema's type in words; links to the section of a model of its own."""
    if "$ref" in described:
        name = described["$ref"].rsplit("/", 1)[1]
        title = next(title for model, title in SECTIONS.items() if model.__name__ == name)
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
