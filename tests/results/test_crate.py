"""The exported crate: accepted by the public validator under every profile that it names."""

import json
import os
import subprocess
import sys

import pytest

from claimcheck.running import runner
from claimcheck.judging import judge
from claimcheck.spec.reading import load_study

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
def crate(studies, config, tmp_path):
    from claimcheck.results.crate import export

    study = load_study(studies, "coin")
    runner.run_study(study, config)
    judge.judge_study(study, "smoke", config.results_dir)
    (tmp_path / "Snakefile").write_text("rule all:\n    input: []\n")
    return export("smoke", config.results_dir, tmp_path / "reports", tmp_path, tmp_path / "crate").parent


def test_crate_holds_files_and_an_action_for_each_run(crate):
    graph = {entry["@id"]: entry for entry in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    made = {entry["@id"] for entry in graph["#run-coin"]["result"]}
    assert "results/smoke/coin/records.parquet" in made
    assert all((crate / name).is_file() for name in made)
    assert graph["#run-coin"]["startTime"] < graph["#run-coin"]["endTime"]
    assert graph["#run"]["instrument"] == {"@id": "Snakefile"}


def test_the_public_validator_accepts_it(crate, tmp_path):
    pytest.importorskip("rocrate_validator", reason="roc-validator is not installed")
    words = [sys.executable, "-c", VALIDATE, str(crate), json.dumps({"@context": CONTEXT})]
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if "-crate-" in line]
    assert len(found) == 4
    assert all(line.endswith("[]") for line in found), found
