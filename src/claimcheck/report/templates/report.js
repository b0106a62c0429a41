// Conveniences only: the page is whole without them. Sorts and filters the first table, copies commands.
(() => {
  "use strict";
  const announce = (text) => { document.getElementById("announcer").textContent = text; };
  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  const table = document.querySelector(".table-outline table");
  if (table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    let section = null;
    const claims = [];
    // "Regularization" finds "regularisation", "zero-shot" finds "zero shot".
    const plain = (text) => text.toLowerCase().replace(/is(e[drs]?|ers|ing|ations?)\b/g, "iz$1").replace(/[-‐‑–]/g, " ");
    const card = (row) => document.getElementById(row.cells[0].querySelector("a")?.hash.slice(1) ?? "");
    for (const row of original) {
      if (row.classList.contains("section")) section = row;
      else {
        const unseen = row.querySelector("[data-found-by]")?.dataset.foundBy ?? "";
        claims.push({ row, section, text: plain(`${row.textContent} ${section.textContent} ${unseen}`) });
      }
    }
    const state = (row) => row.querySelector(".verdict").textContent.trim();
    const states = [...new Set(claims.map(({ row }) => state(row)))];
    const search = make("input", { type: "search", id: "filter-text" });
    const choice = make("select", { id: "filter-state" }, make("option", { value: "", textContent: "all verdicts" }));
    for (const name of states) choice.append(make("option", { value: name, textContent: name }));
    const reset = make("button", { type: "button", id: "lecture-order", textContent: "Lecture order", hidden: true });
    const told = make("output", {});
    table.closest(".table").before(make("div", { className: "tools" },
      make("label", {}, "Find a claim", search), make("label", {}, "Verdict", choice), reset, told));

    let sorted = false;
    const show = () => {
      const words = plain(search.value).split(/\s+/).filter(Boolean);
      const has = (text) => words.every((word) => text.includes(word));
      const inCards = !claims.some(({ text }) => has(text)); // then in what stands behind the claims, which is long
      const live = new Set();
      let count = 0;
      for (const claim of claims) {
        if (inCards) claim.behind ??= plain(card(claim.row)?.closest(".claim")?.textContent ?? "");
        const hit = has(inCards ? claim.behind : claim.text) && (!choice.value || state(claim.row) === choice.value);
        claim.row.hidden = !hit;
        if (hit) { count += 1; live.add(claim.section); }
        let from = claim.row.querySelector(".from");
        if (!from && sorted) {
          from = make("span", { className: "from", textContent: claim.section.textContent.trim() });
          claim.row.cells[0].append(from);
        }
        if (from) from.hidden = !sorted;
      }
      for (const row of original) if (row.classList.contains("section")) row.hidden = sorted || !live.has(row);
      told.textContent = count === claims.length ? `${count} claims` : `${count} of ${claims.length} claims` +
        (inCards && count ? ", by what was tested of them" : "");
    };
    const heads = [...table.tHead.rows[0].cells];
    const key = (row, column) => {
      const text = row.cells[column].textContent.trim();
      const share = column === 2 ? text.match(/(\d+) of (\d+) runs/) : null; // in what share of runs it is true
      const value = share ? share[1] / share[2] : column === 4 ? parseFloat(text) : NaN;
      return Number.isNaN(value) ? text.toLowerCase() : value;
    };
    const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
    heads.forEach((head, column) => {
      if (column === 3) return; // pictures have no order
      const name = head.textContent;
      const button = make("button", { type: "button", textContent: name });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...claims].sort((a, b) => compare(key(a.row, column), key(b.row, column)) * (down ? -1 : 1));
        body.append(...rows.map(({ row }) => row));
        sorted = true;
        reset.hidden = false;
        show();
        announce(`Sorted by ${name}, ${down ? "descending" : "ascending"}`);
      });
    });
    reset.addEventListener("click", () => {
      body.append(...original);
      for (const head of heads) head.removeAttribute("aria-sort");
      sorted = false;
      reset.hidden = true;
      show();
    });
    search.addEventListener("input", show);
    choice.addEventListener("change", show);
    show();
  }

  for (const code of document.querySelectorAll("pre.commands")) {
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.addEventListener("click", async () => {
      const text = code.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const area = make("textarea", { value: text });
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "Copied";
      announce("Commands copied");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    const box = make("div", { className: "command" });
    code.replaceWith(box);
    box.append(button, code);
  }

  // A link into what is folded away opens it; so does printing.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details:not([open])");
    if (!folded) return;
    folded.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  addEventListener("click", (event) => { if (event.target.closest('a[href^="#"]')) setTimeout(unfold); });
  addEventListener("beforeprint", () => { for (const box of document.querySelectorAll("details.detail")) box.open = true; });
  unfold();

  if (matchMedia("(max-width: 1079px)").matches) document.querySelector("nav details").open = false;
  for (const box of document.querySelectorAll(".scroll, .table, pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
})();
