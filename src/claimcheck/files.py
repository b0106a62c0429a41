"""Reading and writing files so that a half-written one is never taken for a result."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from claimcheck.errors import ClaimcheckError


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on leaving without an error it is flushed to disk and renamed to `path`.

    Raises:
        ClaimcheckError: the folder cannot be written (full, read-only, not a folder). What stood at `path` stays.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ClaimcheckError(
            f"cannot write ({error.strerror or error})",
            where=path,
            hint="what was there is untouched; free space, or choose a folder that can be written",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it.

    Raises:
        ClaimcheckError: it cannot be made (read-only, full, a file of that name).
    """
    while True:
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            return Path(path)
        except OSError as error:
            if isinstance(error, FileExistsError) and _is_free(Path(error.filename)):
                continue  # it was there, and another process took it away before it could be looked at
            raise ClaimcheckError(
                f"cannot make this folder ({error.strerror or error})", where=path, hint="earlier results are untouched"
            ) from error


def _is_free(path: Path) -> bool:
    """Whether a folder is at `path`, or nothing is, so that one can be made."""
    return path.is_dir() or not os.path.lexists(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    """Read UTF-8 text (a byte-order mark aside).

    Raises:
        ClaimcheckError: missing, or not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ClaimcheckError("no such file", where=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimcheckError(f"cannot be read ({error})", where=path) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused, infinities become the strings "inf" and "-inf"."""
    write_text(path, json.dumps(_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return _jsonable(value.item())
    return value


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ClaimcheckError: the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ClaimcheckError("no such file", where=path) from error
    except (OSError, ValueError, RecursionError) as error:
        # Not only a JSONDecodeError: numbers of thousands of digits and brackets within brackets without end, too.
        raise ClaimcheckError(f"is not readable JSON ({error})", where=path, hint="delete it and run again") from error


_FastSafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader of libyaml where PyYAML was built with it: ten times as fast, and every command reads YAML first."""


_CORE = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "merge": r"<<",
}
"""How plain words are read: the core schema of YAML 1.2.2 (section 10.3.2), and merge keys."""

_TAG = "tag:yaml.org,2002:"


class _Loader(_FastSafeLoader):
    """A safe loader that refuses a key given twice, and reads plain words as YAML 1.2 does.

    So `no`, `on` and `off` are words, 12:30 and dates are text, and 1e-3 is a number. Merge keys (`<<`) merge. What
    comes out is what JSON knows: sets, binary data, dates and pairs have no place in a digest or a report, and something
    that holds itself has no end.
    """

    yaml_implicit_resolvers: ClassVar[dict] = {}
    yaml_constructors: ClassVar[dict] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
        return super().construct_mapping(node, deep)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        return super().construct_object(node, deep=True)  # whole at once, so that what holds itself is found

    def construct_word(self, node: yaml.ScalarNode) -> Any:
        """A number, truth or nothing, also where its tag is written out."""
        kind, text = node.tag.removeprefix(_TAG), self.construct_scalar(node)
        if not re.fullmatch(_CORE[kind], text):
            raise yaml.constructor.ConstructorError(None, None, f"{text!r} is no !!{kind}", node.start_mark)
        if kind == "int":
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text if base == 10 else text[2:], base)
        if kind == "float":
            return float(re.sub(r"\.(?=[in])", "", text.lower()))
        return text.lower() == "true" if kind == "bool" else None

    def refuse(self, node: yaml.Node) -> Any:
        """A tag that means more than words, numbers, lists and mappings."""
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.tag.replace(_TAG, '!!')} is not known here (write it as text)", node.start_mark
        )


for _kind, _pattern in _CORE.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"^(?:{_pattern})$"), None)
    if _kind != "merge":
        _Loader.add_constructor(f"{_TAG}{_kind}", _Loader.construct_word)
for _kind in ("str", "seq", "map"):
    _Loader.add_constructor(f"{_TAG}{_kind}", getattr(_Loader, f"construct_yaml_{_kind}"))
_Loader.add_constructor(None, _Loader.refuse)


def read_yaml(path: Path) -> Any:
    """Read YAML with the safe loader.

    Raises:
        ClaimcheckError: the file is missing, not text, not YAML, or holds a key twice.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise ClaimcheckError("no such file", where=path) from error
    except yaml.MarkedYAMLError as error:
        mark, context = error.problem_mark, f" {error.context}" if error.context else ""
        line = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        form = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        hint = "is the indentation that of its neighbours, is a text with a colon in quotes?" if form else None
        problem = f"is not valid YAML ({error.problem}{context})"
        raise ClaimcheckError(problem, where=f"{path}{line}", hint=hint) from error
    except yaml.YAMLError as error:
        raise ClaimcheckError(f"is not valid YAML ({error})", where=path) from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ClaimcheckError(f"cannot be read ({error})", where=path) from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(value: Any) -> str:
    """A 16-digit hash of a JSON-like value, independent of the order of keys."""
    text = json.dumps(_jsonable(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
