// Predict first: a switch hides the verdicts; the reader answers claim by claim, then uncovers them and sees how many of
// the answers were right. Nothing is stored but in the page, and without this script the page is whole.
(() => {
  "use strict";
  const table = document.querySelector(".table-outline table");
  const glance = document.getElementById("glance");
  if (!table || !glance) return;
  const announce = (text) => { document.getElementById("announcer").textContent = text; };
  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const ANSWERS = ["true", "depends", "false"];
  const HINT = "Is each claim true of most runs that could be made? “Depends”: on some data or settings yes, on others no. Claims without " +
    "a question were not tested.";
  const RIGHT = { supported: "true", holds: "true", mixed: "depends", contradicted: "false", "does not hold": "false" };
  const state = (row) => row.querySelector(".verdict")?.textContent.trim();
  const rows = [...table.tBodies[0].rows].filter((row) => RIGHT[state(row)] || state(row) === "inconclusive");
  if (!rows.length) return;
  const said = new Map(); // row -> answer, for as long as the page is open

  const question = (row, number) => {
    const box = make("fieldset", { className: "guess" });
    box.append(make("legend", { className: "quiet", textContent: `Your answer: ${row.cells[0].textContent.trim()}` }));
    for (const value of ANSWERS) {
      const choice = make("input", { type: "radio", name: `guess-${number}`, value });
      choice.addEventListener("change", () => { said.set(row, value); tell(); });
      box.append(make("label", {}, choice, value));
    }
    return box;
  };
  const guesses = rows.map((row, number) => question(row, number));
  const start = make("button", { type: "button", textContent: "Predict first: hide the verdicts" });
  const done = make("button", { type: "button", textContent: "Uncover the verdicts" });
  const told = make("output", {});
  const offer = make("div", { className: "tools predict" }, start);
  const bar = make("div", { className: "tools predict", hidden: true }, done, told, make("p", { className: "hint", textContent: HINT }));
  const score = make("p", { className: "score", tabIndex: -1, hidden: true });
  document.querySelector("main").prepend(offer);
  table.closest(".table").before(bar, score);

  const tell = () => { told.textContent = `${said.size} of ${rows.length} answered`; };
  const others = [...document.querySelectorAll("main > section, main > h2, #contents")].filter((each) => each.id !== "outline");
  const columns = table.tHead.rows[0].cells.length;
  const cover = (on) => {
    document.body.classList.toggle("predicting", on);
    for (const each of others) each.hidden = on;
    for (const button of table.querySelectorAll("th button")) button.disabled = on; // sorting would tell
    for (const cell of table.querySelectorAll("tr.section td")) cell.colSpan = on ? 2 : columns;
    offer.hidden = on;
    bar.hidden = !on;
  };
  const lay = () => { // as the lecture has it: what is filtered or sorted by verdict tells it
    for (const id of ["filter-text", "filter-state"]) document.getElementById(id).value = "";
    document.getElementById("lecture-order").click();
  };
  start.addEventListener("click", () => {
    said.clear();
    lay();
    score.hidden = true;
    for (const mark of document.querySelectorAll(".guessed")) mark.remove();
    rows.forEach((row, number) => {
      for (const choice of guesses[number].querySelectorAll("input")) choice.checked = false;
      row.cells[1].append(guesses[number]);
    });
    cover(true);
    tell();
    announce(`The verdicts are hidden; ${rows.length} claims to answer`);
    guesses[0].querySelector("input").focus();
  });
  done.addEventListener("click", () => {
    let held = 0, decided = 0;
    rows.forEach((row, number) => {
      guesses[number].remove();
      const answer = said.get(row), right = RIGHT[state(row)];
      if (!answer) return;
      if (right) { decided += 1; held += answer === right; }
      const outcome = !right ? "undecided" : answer === right ? "right" : "wrong";
      row.cells[1].append(make("span", { className: "below guessed", textContent: `you said ${answer}: ${outcome}` }));
    });
    cover(false);
    const open = said.size - decided;
    score.textContent = `${held} of ${decided} of your answers were right${open ? `; of ${open} more the runs decide neither way` : ""}.`;
    score.hidden = false;
    announce(score.textContent);
    score.focus();
  });
  document.querySelector("main").addEventListener("click", (event) => { // what links lead to is hidden with the verdicts
    if (!document.body.classList.contains("predicting") || !event.target.closest("a")) return;
    event.preventDefault();
    told.textContent = "Links work when the verdicts are uncovered";
    announce(told.textContent);
  });
  window.addEventListener("beforeunload", (event) => { // a reload would lose the answers
    if (document.body.classList.contains("predicting") && said.size) event.preventDefault();
  });
})();
