"use strict";
// Text of a model enters the document as text, never as markup: see `element`.
(() => {
  const { sample, dialogues } = JSON.parse(document.getElementById("data").textContent);
  const KEY = `review_sample/${sample}`;
  const NO_REASON = "reviewed"; // a decision needs a reason

  const $ = (id) => document.getElementById(id);
  const decided = new Map(); // dialogue id -> { verdict, why }
  let place = 0;

  /** An element with a class and children; strings become text nodes. */
  function element(tag, kind, ...children) {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    made.append(...children);
    return made;
  }

  function spoken(text) {
    const box = element("div", "text", text);
    box.dir = "auto";
    return box;
  }

  // ---- progress -----------------------------------------------------------------------------------------------

  function restore() {
    try {
      for (const [id, one] of JSON.parse(localStorage.getItem(KEY) ?? "[]")) decided.set(id, one);
    } catch (error) {
      complain(error);
    }
  }

  function keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify([...decided]));
    } catch (error) {
      complain(error);
    }
  }

  function complain(error) {
    $("fault").hidden = false;
    $("fault").textContent = `This browser does not keep your progress (${error.message}); export before you close it.`;
  }

  // ---- one dialogue -------------------------------------------------------------------------------------------

  function draw() {
    const { id, scenario, tasks, turns } = dialogues[place];
    const one = decided.get(id) ?? { verdict: "", why: "" };
    $("count").textContent = `Dialogue ${place + 1} of ${dialogues.length}; ${reviewed().length} decided`;
    $("dialogue").replaceChildren(
      element("h2", "", scenario),
      ...tasks.map(([question, reference]) =>
        element("div", "box", element("b", "", "Question"), spoken(question), element("b", "", "Reference answer"), spoken(reference)),
      ),
      ...turns.map(([speaker, side, text]) =>
        element("div", `turn ${side === "gpt" ? "gpt" : "human"}`, element("div", "who", element("b", "", speaker)), element("div", "bubble", spoken(text))),
      ),
    );
    $("verdict").textContent = { accept: "accepted", reject: "rejected" }[one.verdict] ?? "";
    $("verdict").className = { accept: "good", reject: "bad" }[one.verdict] ?? "";
    for (const verdict of ["accept", "reject"]) $(verdict).setAttribute("aria-pressed", String(one.verdict === verdict));
    $("why").value = one.why;
    $("previous").disabled = place === 0;
    $("next").disabled = place === dialogues.length - 1;
  }

  function reviewed() {
    return dialogues.filter(({ id }) => decided.get(id)?.verdict);
  }

  function change(values) {
    const { id } = dialogues[place];
    decided.set(id, { verdict: "", why: "", ...decided.get(id), ...values });
    keep();
  }

  function decide(verdict) {
    change({ verdict });
    draw();
  }

  function go(by) {
    place = Math.min(Math.max(place + by, 0), dialogues.length - 1);
    draw();
    $("reader").scrollTo(0, 0);
  }

  // ---- export -------------------------------------------------------------------------------------------------

  const cell = (text) => `"${text.replaceAll('"', '""')}"`;

  function download() {
    const rows = reviewed().map(({ id }) => {
      const { verdict, why } = decided.get(id);
      return [id, verdict, cell(why.trim() || NO_REASON)].join(",");
    });
    const file = new Blob([["dialogue_id,verdict,why", ...rows, ""].join("\n")], { type: "text/csv" });
    const link = element("a");
    link.href = URL.createObjectURL(file);
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  const KEYS = {
    a: () => decide("accept"),
    r: () => decide("reject"),
    j: () => go(1),
    k: () => go(-1),
    w: () => $("why").focus(),
    e: download,
  };

  function keyed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target === $("why")) {
      if (event.key === "Enter" || event.key === "Escape") $("why").blur();
      return;
    }
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  $("accept").onclick = KEYS.a;
  $("reject").onclick = KEYS.r;
  $("next").onclick = KEYS.j;
  $("previous").onclick = KEYS.k;
  $("export").onclick = download;
  $("why").oninput = () => change({ why: $("why").value });
  document.addEventListener("keydown", keyed);
  restore();
  place = Math.max(0, dialogues.findIndex(({ id }) => !decided.get(id)?.verdict));
  draw();
})();
