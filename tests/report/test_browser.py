"""The HTML report in a browser and under a validator: access in light and dark, no sideways scrolling, valid HTML."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SETTINGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--virtual-time-budget=60000",
]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
needs_axe = pytest.mark.skipif(
    not (TOOLS / "node_modules/axe-core/axe.min.js").is_file(), reason="run `npm ci` in tests/report/browser first"
)
needs_validator = pytest.mark.skipif(
    shutil.which("node") is None or not (TOOLS / "node_modules/html-validate").is_dir(),
    reason="no Node, or `npm ci` was not run in tests/report/browser",
)

AXE = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then((found) => {
  const where = (v) => v.nodes.slice(0, 5).map((n) => n.html);
  const told = found.violations.map((v) => ({id: v.id, impact: v.impact, where: where(v)}));
  finish({violations: told, passes: found.passes.length});
});
"""

WIDTHS = """
const frames = WANTED.map((width) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.srcdoc = PAGE;
  document.body.append(frame);
  return new Promise((resolve) => { frame.onload = () => setTimeout(() => {
    const root = frame.contentDocument.documentElement;
    const wide = [...frame.contentDocument.querySelectorAll("main *")].filter((e) =>
      e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".scroll, .table, pre, math, svg, .quiet"));
    const told = wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 200));
    resolve({width, scroll: root.scrollWidth, view: root.clientWidth, wide: told});
  }, 300); });
});
Promise.all(frames).then(finish);
"""

FINISH = """
const finish = (value) => {
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify(value);
  document.body.append(told);
};
"""


def ask(page: Path, script: str, folder: Path, *flags: str) -> object:
    """Load `page` in Chromium with `script` at its end; what the script hands to `finish`."""
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{FINISH}{script}</script></body>")
    probe = folder / "probe.html"
    probe.write_text(text, encoding="utf-8")
    command = [CHROMIUM, *SETTINGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, "the script in the page did not finish"
    return json.loads(html.unescape(found[1]))


@needs_chromium
@needs_axe
@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_axe_finds_no_serious_violation(project: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    axe = (TOOLS / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    dark = "if (matchMedia('(prefers-color-scheme: dark)').matches !== WANTED) throw Error('wrong scheme');"
    script = f"{axe};{dark.replace('WANTED', 'true' if flags else 'false')}{AXE}"
    found = ask(project / "reports/quick/report.html", script, tmp_path, *flags)
    assert found["passes"] > 15
    assert [v for v in found["violations"] if v["impact"] in ("serious", "critical")] == []
    assert found["violations"] == []


@needs_chromium
def test_no_width_makes_the_page_scroll_sideways(project: Path, tmp_path: Path) -> None:
    page = (project / "reports/quick/report.html").read_text(encoding="utf-8")
    shell = tmp_path / "shell.html"
    shell.write_text("<!DOCTYPE html><html><body></body></html>", encoding="utf-8")
    page_as_js = json.dumps(page).replace("</", "<\\/").replace("<!--", "<\\!--")
    script = f"const PAGE = {page_as_js}; const WANTED = [320, 360, 768, 1280, 3840];{WIDTHS}"
    for entry in ask(shell, script, tmp_path):
        assert entry["scroll"] <= entry["view"], entry
        assert entry["wide"] == [], entry


@needs_chromium
def test_the_first_table_sorts_filters_and_goes_back(project: Path, tmp_path: Path) -> None:
    script = """
      const table = document.querySelector(".table-outline table");
      const claims = () => [...table.tBodies[0].rows].filter((r) => !r.classList.contains("section"));
      const shown = () => claims().filter((r) => !r.hidden).length;
      const first = () => [...table.tBodies[0].rows].find((r) => !r.hidden).cells[0].textContent.trim();
      const seen = {all: shown(), start: first()};
      document.getElementById("filter-state").value = "supported";
      document.getElementById("filter-state").dispatchEvent(new Event("change"));
      seen.supported = shown();
      document.getElementById("filter-state").value = "";
      document.getElementById("filter-text").value = "taste beautiful";
      document.getElementById("filter-text").value = "BEAUTIFUL";
      document.getElementById("filter-text").dispatchEvent(new Event("input"));
      seen.searched = shown();
      for (const term of ["u shaped", "iid", "I.I.D."]) {
        document.getElementById("filter-text").value = term;
        document.getElementById("filter-text").dispatchEvent(new Event("input"));
        seen[term] = [shown(), claims().find((r) => !r.hidden)?.cells[0].innerText ?? ""];
      }
      document.getElementById("filter-text").value = "mean-is-zero";
      document.getElementById("filter-text").dispatchEvent(new Event("input"));
      seen.behind = [shown(), document.querySelector(".tools:not(.predict) output").textContent];
      document.getElementById("filter-text").value = "";
      document.getElementById("filter-text").dispatchEvent(new Event("input"));
      table.querySelector("th button").click();
      seen.sorted = first(); seen.state = table.querySelector("th").getAttribute("aria-sort");
      document.querySelector(".tools:not(.predict) button").click();
      seen.back = first();
      finish(seen);
    """
    seen = ask(project / "reports/quick/report.html", script, tmp_path)
    assert seen["all"] == 11
    assert (seen["supported"], seen["searched"]) == (1, 1)
    assert [seen[term][0] for term in ("u shaped", "iid", "I.I.D.")] == [1, 1, 1], "terms that are not shown"
    assert seen["u shaped"][1].startswith("Deep is beautiful."), seen
    assert "iid" not in seen["iid"][1].casefold(), seen
    assert seen["behind"] == [1, "1 of 11 claims, by what was tested of them"]
    assert seen["state"] == "ascending"
    assert seen["sorted"].startswith("<script>")
    assert seen["start"] == seen["back"]
    assert seen["start"].endswith("Depth")


PREDICT = """
  const button = (words) => [...document.querySelectorAll(".predict button")].find((b) => b.textContent.includes(words));
  const seen = (element) => element.checkVisibility();
  const row = (words) => [...document.querySelectorAll(".table-outline tbody tr")].find((r) => r.textContent.includes(words));
  const told = () => [...document.querySelectorAll(".verdict, .share, .strip, .count, .claim, .region")].filter(seen).length;
  const found = {before: told(), uncover: seen(button("Uncover"))};
  button("Predict").click();
  found.focus = document.activeElement.type;
  found.hidden = told();
  found.numbers = document.querySelector("main").innerText.match(/\\d+ of \\d+ runs/g);
  found.tools = [...document.querySelectorAll(".tools:not(.predict)")].filter(seen).length;
  found.questions = [...document.querySelectorAll("fieldset.guess")].filter(seen).length;
  const answer = (words, value) => row(words).querySelector(`input[value=${value}]`).click();
  answer("mean zero", "true"); answer("Noise is large", "true"); answer("Treatment helps", "depends");
  answer("Noise decides", "false");
  found.answered = document.querySelector(".predict output").textContent;
  button("Uncover").click();
  found.after = told();
  found.score = document.querySelector(".score").textContent;
  found.scoreFocus = document.activeElement.className;
  found.said = row("Noise is large").querySelector(".guessed").textContent;
  found.stored = localStorage.length + sessionStorage.length + document.cookie.length;
  finish(found);
"""


@needs_chromium
def test_a_reader_predicts_first_then_sees_how_many_answers_hold(project: Path, tmp_path: Path) -> None:
    found = ask(project / "reports/quick/report.html", PREDICT, tmp_path)
    assert found["before"] == found["after"] > 20
    assert not found["uncover"], "nothing to uncover at first"
    assert (found["hidden"], found["numbers"], found["tools"]) == (0, None, 0)
    assert (found["questions"], found["answered"]) == (6, "4 of 6 answered")
    assert (found["focus"], found["scoreFocus"]) == ("radio", "score"), (
        "a keyboard goes on where there is something to do"
    )
    assert found["score"] == "2 of 3 of your answers were right; of 1 more the runs decide neither way."
    assert found["said"] == "you said true: wrong"
    assert found["stored"] == 0


@needs_chromium
def test_nothing_that_was_sorted_or_filtered_gives_a_verdict_away(project: Path, tmp_path: Path) -> None:
    script = """
      const rows = () => [...document.querySelectorAll(".table-outline tbody tr")].filter((r) => !r.hidden);
      const all = rows().map((r) => r.cells[0].textContent);
      document.querySelectorAll(".table-outline th button")[1].click();
      document.getElementById("filter-text").value = "noise";
      document.getElementById("filter-state").value = "supported";
      document.getElementById("filter-state").dispatchEvent(new Event("change"));
      const few = rows().length;
      document.querySelector(".predict button").click();
      const answer = document.activeElement;
      for (const from of document.querySelectorAll(".from[hidden]")) from.remove();
      finish({few, same: JSON.stringify(rows().map((r) => r.cells[0].textContent)) === JSON.stringify(all),
        focus: answer.type, seen: answer.checkVisibility(), sorted: document.querySelectorAll("th[aria-sort]").length});
    """
    found = ask(project / "reports/quick/report.html", script, tmp_path)
    assert found == {"few": 1, "same": True, "focus": "radio", "seen": True, "sorted": 0}


@needs_chromium
def test_on_a_phone_a_keyboard_sees_which_button_sorts(project: Path, tmp_path: Path) -> None:
    script = """
      const head = document.querySelector(".table-outline thead");
      const size = () => [getComputedStyle(head).clipPath, head.getBoundingClientRect().height > 20];
      const before = size();
      head.querySelector("button").focus();
      const box = document.activeElement.getBoundingClientRect();
      finish({before, focused: size(), inside: box.width > 20 && box.right <= innerWidth,
        wide: document.documentElement.scrollWidth > innerWidth});
    """
    found = ask(project / "reports/quick/report.html", script, tmp_path, "--window-size=500,800")
    assert found["before"] == ["inset(50%)", False]
    assert found["focused"] == ["none", True]
    assert (found["inside"], found["wide"]) == (True, False)


@needs_chromium
@needs_axe
def test_axe_finds_nothing_while_the_reader_predicts(project: Path, tmp_path: Path) -> None:
    axe = (TOOLS / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    script = f"{axe};document.querySelector('.predict button').click();{AXE}"
    assert ask(project / "reports/quick/report.html", script, tmp_path)["violations"] == []


@needs_chromium
def test_a_link_into_what_is_folded_away_opens_it(project: Path, tmp_path: Path) -> None:
    script = """
      const card = document.getElementById("claim-noise-is-centred");
      const seen = {before: card.checkVisibility(), open: document.querySelectorAll("details.detail[open]").length};
      document.querySelector('a[href="#claim-noise-is-centred"]').click();
      setTimeout(() => {
        seen.after = card.checkVisibility();
        dispatchEvent(new Event("beforeprint"));
        seen.folded = document.querySelectorAll("details.detail:not([open])").length;
        finish(seen);
      }, 200);
    """
    seen = ask(project / "reports/quick/report.html", script, tmp_path)
    assert seen == {"before": False, "open": 0, "after": True, "folded": 0}


@needs_validator
def test_html_is_valid(project: Path) -> None:
    validator = TOOLS / "node_modules/html-validate/bin/html-validate.mjs"
    command = ["node", validator, "--config", TOOLS / ".htmlvalidate.json"]
    page = project / "reports/quick/report.html"
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
