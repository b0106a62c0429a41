"""The exported crate: accepted by the public validator under every profile that it names."""

import json
import os
import subprocess
import sys

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_text
from claimcheck.results import crate as crating
from claimcheck.results.provenance import PartFacts, Provenance

pytest.importorskip("rocrate", reason="rocrate is not installed")

# The terms that the crate uses, as RO-Crate 1.1's own context maps them: validation must not need a network.
SCHEMA = [
    "CreativeWork",
    "Dataset",
    "SoftwareSourceCode",
    "SoftwareApplication",
    "CreateAction",
    "ComputerLanguage",
    "name",
    "description",
    "version",
    "license",
    "datePublished",
    "hasPart",
    "mainEntity",
    "mentions",
    "about",
    "programmingLanguage",
    "identifier",
    "url",
    "softwareVersion",
    "softwareRequirements",
    "startTime",
    "endTime",
    "actionStatus",
    "instrument",
    "result",
    "object",
    "encodingFormat",
]
CONTEXT = {name: f"http://schema.org/{name}" for name in SCHEMA} | {
    "File": "http://schema.org/MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
}
VALIDATE = """
import io, sys, email.message, requests, rdflib._networking
body = sys.argv[2].encode()

class Answer(io.BytesIO):
    url, status = "https://w3id.org/ro/crate/1.1/context", 200
    def info(self):
        message = email.message.Message()
        message["Content-Type"] = "application/ld+json"
        return message
    headers = property(info)
    def geturl(self):
        return self.url

def answer(session, method, url, *words, **more):
    response = requests.Response()
    response.status_code, response._content, response.url = 200, body, url
    response.headers["Content-Type"] = "application/ld+json"
    return response

rdflib._networking.urlopen = lambda *words, **more: Answer(body)
requests.Session.request = answer
from rocrate_validator import models, services
for profile in ("ro-crate-1.1", "workflow-ro-crate-1.0", "process-run-crate-0.5", "workflow-run-crate-0.5"):
    result = services.validate(models.ValidationSettings(
        rocrate_uri=sys.argv[1], profile_identifier=profile, requirement_severity=models.Severity.REQUIRED))
    print(profile, [issue.message for issue in result.get_issues()])
"""


@pytest.fixture
def pack(locate, make, config, tmp_path):
    """pack(name, ...): the crate of these studies' results, of which the coin's alone are made."""
    from claimcheck.results.crate import export

    make(locate("coin"))
    write_text(tmp_path / "Snakefile", "rule all:\n    input: []\n")
    found = config.model_copy(update={"reports_dir": tmp_path / "reports"})
    return lambda *names: export(found, {name: locate(name) for name in names}, tmp_path / "crate").parent


@pytest.fixture
def crate(pack):
    return pack("coin", "walk")


def test_crate_holds_files_and_an_action_for_each_run(crate):
    graph = {entry["@id"]: entry for entry in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    made = {entry["@id"] for entry in graph["#run-coin"]["result"]}
    assert "results/smoke/coin/records.parquet" in made
    assert all((crate / name).is_file() for name in made)
    assert graph["#run-coin"]["startTime"] < graph["#run-coin"]["endTime"]
    assert graph["#run"]["instrument"] == {"@id": "Snakefile"}


def test_a_run_ends_with_the_part_that_ends_last():
    parts = {
        "first": PartFacts.model_construct(start="2026-11-20T10:00:00+00:00", seconds=7200.0),
        "kept": PartFacts.model_construct(start="2026-11-24T10:00:00+00:00", seconds=60.0),
    }
    ends = crating._times(Provenance.model_construct(parts=parts))
    assert [end.isoformat() for end in ends] == ["2026-11-20T10:00:00+00:00", "2026-11-24T10:01:00+00:00"]


def test_a_result_that_was_not_published_is_not_packed(crate):
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    assert not [entry["@id"] for entry in graph if "walk" in entry["@id"]]


def test_nothing_to_pack_or_a_place_that_is_taken_is_told(pack):
    with pytest.raises(ClaimcheckError, match="no judged and published results"):
        pack("walk")
    pack("coin")
    with pytest.raises(ClaimcheckError, match="is there already"):
        pack("coin")


def test_an_edited_result_is_not_packed(pack, locate, tmp_path):
    verdicts = locate("coin").view / "verdicts.json"
    verdicts.write_text(verdicts.read_text() + " ")
    with pytest.raises(ClaimcheckError, match="claimcheck publish coin --scale smoke"):
        pack("coin")
    assert not (tmp_path / "crate").exists()


def test_the_public_validator_accepts_it(crate, tmp_path):
    pytest.importorskip("rocrate_validator", reason="roc-validator is not installed")
    words = [sys.executable, "-c", VALIDATE, str(crate), json.dumps({"@context": CONTEXT})]
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if "-crate-" in line]
    assert len(found) == 4
    assert all(line.endswith("[]") for line in found), found
