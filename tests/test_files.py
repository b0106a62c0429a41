"""Reading YAML as its users mean it (words and numbers of YAML 1.2, merge keys, no key twice), JSON, and making folders."""

import contextlib
import threading

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder, read_json, read_yaml


@pytest.fixture
def read(tmp_path):
    """read(text): what a file with this text holds."""

    def parsed(text):
        path = tmp_path / "file.yaml"
        path.write_text(text, encoding="utf-8")
        return read_yaml(path)

    return parsed


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "NO", "y", "n", "12:30", "1:2:3", "2026-11-26", "1_000", "=", "batch"]
)
def test_a_plain_word_is_that_word(read, word):
    assert read(f"norm: [{word}, layer]") == {"norm": [word, "layer"]}


def test_on_may_be_a_key(read):
    assert read("on: [digits]") == {"on": ["digits"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), (".5", 0.5), ("-2.", -2.0), ("010", 10), ("0o17", 15), ("0x1F", 31),
        (".inf", float("inf")), ("-.inf", float("-inf")), ("true", True), ("False", False), ("null", None), ("~", None),
    ],
)  # fmt: skip
def test_numbers_truth_and_nothing_are_those_of_yaml_1_2(read, text, value):
    found = read(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_an_empty_value_is_nothing_and_a_quoted_one_is_text(read):
    assert read("a:\nb: ''\nc: '1'") == {"a": None, "b": "", "c": "1"}


def test_merge_keys_merge_and_what_is_said_beside_them_wins(read):
    text = "base: &base {seeds: 4, steps: 10}\nquick: {<<: *base, seeds: 16}\nboth: {<<: [*base, {width: 3}]}"
    found = read(text)
    assert found["quick"] == {"seeds": 16, "steps": 10}
    assert found["both"] == {"seeds": 4, "steps": 10, "width": 3}


def test_what_was_merged_can_be_merged_again_and_of_two_the_first_wins(read):
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b}\nd: {x: 4, <<: [*b, *a]}\ne: {<<: {z: 5}, '<<': word}"
    found = read(text)
    assert found["b"] == found["c"] == {"x": 2, "y": 1}
    assert found["d"] == {"x": 4, "y": 1}
    assert found["e"] == {"z": 5, "<<": "word"}


@pytest.mark.parametrize("text", ["<<: 3", "<<: [1, 2]", "a: {<<: word}"])
def test_what_is_no_mapping_cannot_be_merged(read, text):
    with pytest.raises(ClaimcheckError, match=r"is not valid YAML .*merging"):
        read(text)


@pytest.mark.parametrize(
    "text",
    ["!!set {a, b}", "!!timestamp 2026-11-26", "!!omap [a: 1]", "!own 3", "!!float 12:30", "!!null word", "&x [*x]"],
)
def test_what_json_does_not_know_is_refused(read, text):
    with pytest.raises(ClaimcheckError, match="is not valid YAML"):
        read(f"a: {text}")


@pytest.mark.parametrize(
    ("text", "value"), [("!!str 12", "12"), ("!!int 0x1F", 31), ("!!float 3", 3.0), ("!!bool true", True)]
)
def test_a_plain_value_may_have_its_tag(read, text, value):
    found = read(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "x: {b: 1, b: 1}", "base: &b {c: 1}\nd: {<<: *b, e: 1, e: 2}"])
def test_a_key_given_twice_is_refused(read, text):
    with pytest.raises(ClaimcheckError, match="is given twice"):
        read(text)


def test_no_python_object_is_made(read):
    with pytest.raises(ClaimcheckError, match="is not valid YAML"):
        read("a: !!python/name:os.system x")


def test_a_folder_that_another_keeps_taking_away_can_be_made(tmp_path):
    folder, over = tmp_path / "folder", threading.Event()

    def take_away():
        while not over.is_set():
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()

    other = threading.Thread(target=take_away)
    other.start()
    try:
        for _ in range(20_000):
            make_folder(folder)
    finally:
        over.set()
        other.join()
    assert make_folder(folder).is_dir()


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_is_in_a_folder_s_way_is_told(tmp_path, kind, above):
    there = tmp_path / "there"
    there.write_text("") if kind == "file" else there.symlink_to(tmp_path / "nothing")
    with pytest.raises(ClaimcheckError, match="cannot make this folder"):
        make_folder(there / "within" if above else there)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[" + b"7" * 5_000 + b"]", b"\xff", b"[1, 2", b""])
def test_json_that_cannot_be_read_is_told_with_its_file(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(ClaimcheckError, match=r"file\.json: is not readable JSON"):
        read_json(path)
