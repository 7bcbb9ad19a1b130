
"use strict";
// Text of a model enters the document as text, never as markup: see `element` and `spoken`.
(() => {
  const FACETS = ["scenario", "verdict", "source", "split", "reason"];
  const FIELDS = ["q", ...FACETS, "min", "max", "sort"];
  const LISTED = 50; // lines of the list at once
  const KEPT_PAGES = 12; // pages of dialogues kept in memory
  const AT_ONCE = 4; // pages that a search reads at the same time
  const DRAWN_EVERY = 250; // milliseconds, while it finds more
  const CUT = 20000; // characters of a text that are shown before the reader asks for all
  const NAMES = { error_correction: "error correction", near_duplicate: "near-duplicate", set_aside: "set aside" };
  const HUE = { accepted: "good", rejected: "bad", retracted: "neutral", set_aside: "neutral" };

  const $ = (id) => document.getElementById(id);
  const named = (code) => NAMES[code] ?? String(code).replaceAll("_", " ");
  const hue = (verdict) => HUE[verdict] ?? "bad";
  const count = (number) => number.toLocaleString("en");
  const points = (thousandths) => (thousandths / 1000).toFixed(2);

  /** An element with attributes and children; strings become text nodes. */
  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }

  // ---- data files ---------------------------------------------------------------------------------------------

  const arrived = (self.dialogueData = Object.create(null));
  const loaded = new Map(); // name -> promise of its content; the oldest pages of dialogues are dropped

  /** The content of a data file. It is a script, because a page opened from a disk may not fetch. */
  function load(name) {
    const known = loaded.get(name);
    loaded.delete(name);
    loaded.set(name, known ?? read(name));
    const pages = [...loaded.keys()].filter((key) => key.startsWith("dialogues/"));
    pages.slice(0, -KEPT_PAGES).forEach((key) => loaded.delete(key));
    return loaded.get(name);
  }

  function read(name) {
    return new Promise((resolve, reject) => {
      const script = element("script", { src: `${name}.js` });
      const fail = (why) => {
        loaded.delete(name);
        reject(new Error(`${name}.js, which belongs beside this page, ${why}`));
      };
      script.onload = () => {
        script.remove();
        const packed = arrived[name];
        delete arrived[name];
        if (packed === undefined) fail("is damaged");
        else unpack(packed).then(resolve, () => fail("is damaged"));
      };
      script.onerror = () => {
        script.remove();
        fail("cannot be loaded");
      };
      document.head.append(script);
    });
  }

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  function complain(error) {
    $("fault").textContent = error.message;
    $("fault").hidden = false;
  }

  // ---- the address --------------------------------------------------------------------------------------------

  let index;
  let state = {};
  let rows = []; // numbers of the dialogues that pass, in order
  let first = 0; // place in `rows` of the list's first line
  let search = null; // {terms, hits, read, left, wanted}: what the search found so far, and pages: read, to read, in all
  let listed = ""; // what the lines of the list were drawn for
  let drawn = ""; // the address that the list and its filters were drawn for

  const stateOf = (hash) => Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));

  function addressOf(changes) {
    const wanted = { ...state, ...changes };
    const kept = [...FIELDS, "dialogue"].filter((name) => wanted[name]).map((name) => [name, wanted[name]]);
    return "#" + new URLSearchParams(kept);
  }

  function go(changes, quietly = false) {
    const address = addressOf(changes);
    if (quietly) {
      history.replaceState(null, "", address);
      render();
    } else {
      location.hash = address;
    }
  }

  // ---- filters ------------------------------------------------------------------------------------------------

  function valuesOf(facet, row) {
    const { columns, reasonSets } = index;
    return facet === "reason" ? reasonSets[columns.reasons[row]] : [columns[facet][row]];
  }

  /** The rows that pass all filters, and for each value of each facet how many would if it were chosen. */
  function sift(searched) {
    const { columns, dialogues, values } = index;
    const wanted = FACETS.map((facet) => (state[facet] ? values[facet].indexOf(state[facet]) : null));
    const counts = FACETS.map((facet) => new Array(values[facet].length).fill(0));
    const from = state.min ? Math.round(1000 * Number(state.min)) : 0;
    const to = state.max ? Math.round(1000 * Number(state.max)) : 1000;
    const passed = [];
    for (let row = 0; row < dialogues; row += 1) {
      const score = columns.score[row];
      if (score < from || score > to || (searched && !searched.has(row))) continue;
      let misses = 0;
      let missed = -1;
      for (let place = 0; place < FACETS.length; place += 1) {
        if (wanted[place] !== null && !valuesOf(FACETS[place], row).includes(wanted[place])) {
          misses += 1;
          missed = place;
        }
      }
      if (misses === 0) passed.push(row);
      if (misses < 2) {
        FACETS.forEach((facet, place) => {
          if (misses === 0 || place === missed) for (const value of valuesOf(facet, row)) counts[place][value] += 1;
        });
      }
    }
    const score = columns.score;
    if (state.sort === "best") passed.sort((a, b) => score[b] - score[a] || a - b);
    if (state.sort === "worst") passed.sort((a, b) => score[a] - score[b] || a - b);
    return { passed, counts };
  }

  function drawFilters(counts) {
    FACETS.forEach((facet, place) => {
      if (search?.left && document.activeElement === $(facet)) return; // the reader is choosing
      const options = index.values[facet]
        .map((value, code) => [value, counts[place][code]])
        .filter(([value, number]) => number > 0 || value === state[facet]);
      if (facet === "reason") options.sort((a, b) => b[1] - a[1]);
      $(facet).replaceChildren(
        element("option", { value: "" }, "any"),
        ...options.map(([value, number]) => element("option", { value }, `${named(value)} (${count(number)})`)),
      );
      $(facet).value = state[facet] ?? "";
    });
    for (const name of ["q", "min", "max", "sort"]) {
      if (document.activeElement !== $(name) || !state[name]) $(name).value = state[name] ?? "";
    }
    const active = [...FACETS, "min", "max"].filter((name) => state[name]).length;
    $("active").textContent = active ? ` (${active} in use)` : "";
  }

  // ---- search -------------------------------------------------------------------------------------------------

  const termsOf = (words) => words.split(/\s+/).filter(Boolean);
  const pattern = (terms, flags) => new RegExp(terms.map((term) => term.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&")).join("|"), flags);

  /** All texts of a dialogue, and its ids. */
  function textsOf(row) {
    const { dialogue, scored, seed, partner } = row;
    const texts = [row.id, scored.seed_id, dialogue?.partner_seed_id, row.detail, scored.judge_reason, scored.decision_note];
    for (const one of [seed, partner]) texts.push(one?.question, one?.answer, one?.system);
    for (const turn of dialogue?.turns ?? []) texts.push(turn.text, turn.reasoning);
    for (const refused of dialogue?.discarded ?? []) texts.push(refused.text);
    return texts.filter(Boolean);
  }

  function pageOf(row) {
    const starts = index.pageStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  const pageName = (page) => `dialogues/${String(page).padStart(5, "0")}`;

  /** Read the pages that may match, and draw the matches meanwhile. */
  async function seek() {
    const mine = search;
    const patterns = mine.terms.map((term) => pattern([term], "iu"));
    const pages = [...new Set(sift(null).passed.map(pageOf))].filter((page) => !mine.read.has(page));
    mine.left = pages.length;
    mine.wanted = mine.read.size + pages.length;
    drawCount();
    const readers = Array.from({ length: AT_ONCE }, async () => {
      while (pages.length && search === mine) {
        const page = pages.shift();
        const said = await load(pageName(page));
        said.forEach((row, place) => {
          const texts = textsOf(row);
          if (patterns.every((one) => texts.some((text) => one.test(text)))) mine.hits.add(index.pageStarts[page] + place);
        });
        mine.read.add(page);
        mine.left -= 1;
        if (search === mine) drawSoon();
      }
    });
    await Promise.all(readers);
    mine.left = 0;
    if (search === mine) drawList();
  }

  let waiting = 0;

  /** Draw the list soon, once for several calls. */
  function drawSoon() {
    waiting ||= setTimeout(() => {
      waiting = 0;
      drawList();
    }, DRAWN_EVERY);
  }

  function startSearch() {
    const words = termsOf(state.q ?? "");
    if (!words.length) {
      search = null;
    } else {
      if (search?.terms.join(" ") !== words.join(" ")) search = { terms: words, hits: new Set(), read: new Set(), left: 1 };
      else search = { ...search, left: 1, stopped: false }; // other filters: pages that were not read may be wanted now
      seek().catch((error) => {
        search = { ...search, left: 0 };
        drawList();
        complain(error);
      });
    }
  }

  /** Stop, and keep what was found; other filters or words continue the search. */
  function stopSearch() {
    search = { ...search, left: 0, stopped: true };
    drawList();
  }

  // ---- the list -----------------------------------------------------------------------------------------------

  function drawList() {
    const { passed, counts } = sift(search?.hits ?? null);
    rows = passed;
    drawFilters(counts);
    const chosen = rows.indexOf(rowOf(state.dialogue));
    if (chosen >= 0 && (chosen < first || chosen >= first + LISTED)) first = chosen - (chosen % LISTED);
    if (first >= rows.length) first = 0;
    drawLines();
    drawSteps();
  }

  function drawLines() {
    drawCount();
    const shown = rows.slice(first, first + LISTED);
    const key = JSON.stringify([shown, addressOf({})]);
    if (key !== listed) {
      listed = key;
      drawLinks(shown); // not while a search finds more below: the reader may be about to click
    }
    $("pager").hidden = rows.length <= LISTED;
    $("earlier").disabled = first === 0;
    $("later").disabled = first + LISTED >= rows.length;
    $("where").textContent = `${count(first + 1)} to ${count(Math.min(first + LISTED, rows.length))}`;
  }

  function drawCount() {
    const { left = 0, read, stopped: early, wanted = 1 } = search ?? {};
    const stopped = early ? `, stopped after ${count(read.size)} of ${count(wanted)} pages` : "";
    $("count").textContent = left ? "" : `${count(rows.length)} of ${count(index.dialogues)} dialogues${stopped}`;
    $("searching").hidden = !left;
    $("found").textContent = left ? `${count(rows.length)} found, searching …` : "";
    $("read").max = wanted;
    $("read").value = wanted - left;
  }

  function drawLinks(shown) {
    const { columns, values } = index;
    const chosen = rowOf(state.dialogue);
    const focused = document.activeElement?.closest?.("#list a")?.dataset.row;
    const lines = shown.map((row) => {
      const title = element("span", { class: "title", dir: "auto" });
      begun(row).then((text) => (title.textContent = text || "(text removed)"), complain);
      const verdict = values.verdict[columns.verdict[row]];
      const facts = element(
        "span",
        { class: "facts" },
        element("span", { class: hue(verdict) }, named(verdict)),
        element("span", null, named(values.scenario[columns.scenario[row]])),
        element("span", null, named(values.source[columns.source[row]])),
        element("span", null, `score ${points(columns.score[row])}`),
      );
      const link = element(
        "a",
        { href: addressOf({ dialogue: columns.id[row] }), "aria-current": row === chosen ? "true" : null, "data-row": row },
        title,
        facts,
      );
      return element("li", null, link);
    });
    $("list").replaceChildren(...lines);
    if (focused !== undefined) $("list").querySelector(`[data-row="${focused}"]`)?.focus();
  }

  /** The beginning of a dialogue's question. */
  async function begun(row) {
    const size = index.titlesPerFile;
    const titles = await load(`titles/${String(Math.floor(row / size)).padStart(5, "0")}`);
    return titles[row % size];
  }

  // ---- a dialogue ---------------------------------------------------------------------------------------------

  let places; // beginning of an id -> row

  function rowOf(id) {
    if (!id) return -1;
    places ??= new Map(index.columns.id.map((short, row) => [short, row]));
    const length = index.columns.id[0]?.length ?? 0;
    return places.get(id.slice(0, length)) ?? -1;
  }

  /** Untrusted text, isolated in its writing direction, with the words of the search marked. */
  function spoken(text) {
    const box = element("div", { class: "text", dir: "auto" });
    const fill = (shown) => {
      if (!search) {
        box.textContent = shown;
        return;
      }
      const parts = [];
      let end = 0;
      for (const found of shown.matchAll(pattern(search.terms, "giu"))) {
        parts.push(shown.slice(end, found.index), element("mark", null, found[0]));
        end = found.index + found[0].length;
      }
      box.replaceChildren(...parts, shown.slice(end));
    };
    if (text.length <= CUT) {
      fill(text);
      return box;
    }
    fill(text.slice(0, CUT));
    const more = element("button", { type: "button" }, `Show all ${count(text.length)} characters`);
    more.onclick = () => {
      fill(text);
      more.remove();
    };
    return element("div", null, box, more);
  }

  function folded(summary, ...content) {
    return element("details", null, element("summary", null, summary), ...content);
  }

  function table(kind, pairs) {
    const lines = pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, ...cells]) =>
        element("tr", null, element("th", { scope: "row" }, name), cells.map((cell) => element("td", null, cell))),
      );
    return element("table", { class: kind }, element("tbody", null, lines));
  }

  function plain(value) {
    if (value === true) return "yes";
    if (value === false) return "no";
    if (value === null || value === undefined) return "–";
    if (Array.isArray(value)) return value.map(named).join(", ") || "none";
    if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(Number(value.toFixed(4)));
    return String(value);
  }

  const identity = (id) => element("span", { class: "id" }, id);
  const searchFor = (id) => element("a", { href: "#" + new URLSearchParams({ q: id }), class: "id" }, id);

  function turnOf(turn, refused) {
    const who = [element("b", null, turn.speaker)];
    if (turn.model) who.push(element("span", null, turn.model));
    if (turn.final_answer === "right") who.push(element("span", { class: "good" }, "✓ right answer"));
    if (turn.final_answer === "wrong") who.push(element("span", { class: "bad" }, "✗ wrong answer"));
    if (turn.finish_reason && turn.finish_reason !== "stop") who.push(element("span", { class: "bad" }, named(turn.finish_reason)));
    return element(
      "section",
      { class: `turn ${turn.side === "gpt" ? "gpt" : "human"}` },
      element("div", { class: "who" }, who),
      element("div", { class: "bubble" }, spoken(turn.text ?? "")),
      turn.reasoning ? folded("reasoning", element("div", { class: "box" }, spoken(turn.reasoning))) : null,
      refusedOf(refused),
    );
  }

  function refusedOf(refused) {
    if (!refused.length) return null;
    const boxes = refused.map((one) =>
      element("div", { class: "box" }, element("p", { class: "small" }, named(one.reason) + (index.refusals[one.reason] ? `: ${index.refusals[one.reason]}` : "")), spoken(one.text ?? "")),
    );
    return folded(`${refused.length} refused by the screening`, boxes);
  }

  function chat(dialogue) {
    const turns = dialogue?.turns ?? [];
    const discarded = dialogue?.discarded ?? [];
    const said = turns.map((turn, place) => turnOf(turn, discarded.filter((one) => one.turn === place + 1)));
    const unsaid = discarded.filter((one) => one.turn > turns.length || one.turn < 1);
    if (unsaid.length) said.push(element("section", { class: "turn gpt" }, element("p", { class: "small" }, "Not in the dialogue: no attempt passed the screening."), refusedOf(unsaid)));
    return said.length ? said : [element("p", { class: "small" }, "There is no text to show.")];
  }

  const REFUSED = /^(?:\w+: )?turn (\d+), (\w+): refused (\w+(?:, \w+)*)$/;

  /** `turn 2, weak_student: refused cut_off, cut_off` in words: how many attempts, and why. */
  function inWords(text) {
    const found = REFUSED.exec(text);
    if (!found) return text;
    const numbers = new Map();
    for (const code of found[3].split(", ")) numbers.set(code, (numbers.get(code) ?? 0) + 1);
    const counts = [...numbers].map(([code, number]) => `${number} × ${named(code)} (${index.refusals[code] ?? "no meaning known"})`);
    return `Turn ${found[1]}, ${named(found[2])}: no attempt could be used. Refused: ${counts.join("; ")}.`;
  }

  // The turns that a reason is about, where the data says so.
  const TURNS = {
    truncated: (turns) => turns.filter((turn) => turn.finish_reason === "length"),
    wrong_final_answer: (turns) => turns.filter((turn) => turn.final_answer === "wrong").slice(-1),
  };

  function limitOf(about, domain) {
    for (const [name, words] of [["at_least", "at least"], ["at_most", "at most"]]) {
      const limit = about[name]?.[domain] ?? about[name];
      if (typeof limit === "number") return ` (limit: ${words} ${plain(limit)})`;
    }
    return "";
  }

  /** What a rejection reason or a flag means, with the value, the limit, the turns and what the judge said. */
  function explained(code, row) {
    const { scored, dialogue } = row;
    const about = index.reasons[code];
    if (!about) return null;
    const value = about.signal ? scored[about.signal] : null;
    const turns = dialogue?.turns ?? [];
    const places = (TURNS[code]?.(turns) ?? []).map((turn) => `turn ${turns.indexOf(turn) + 1}, ${turn.speaker}`);
    const judged = (scored.judge_findings ?? []).filter((found) => found.code === code && !found.good);
    const parts = [
      value === null || value === undefined ? null : `${named(about.signal)}: ${named(plain(value))}${limitOf(about, scored.domain)}`,
      places.join("; "),
      ...judged.map((found) => `${named(found.finding)}: ${named(found.value)}`),
    ].filter(Boolean);
    const said = about.meaning.replace(/\.$/, "");
    return element("li", null, element("b", null, named(code)), `: ${said}${parts.length ? `. ${parts.join(". ")}` : ""}.`);
  }

  function explanations(codes, row) {
    const lines = codes.map((code) => explained(code, row)).filter(Boolean);
    return lines.length ? element("ul", { class: "why" }, lines) : null;
  }

  function verdictOf(row) {
    const { scored, dialogue } = row;
    const why = row.reasons.map(named).join(", ");
    const lines = [element("p", null, `${named(row.verdict)}${why && why !== named(row.verdict) ? `: ${why}` : ""}`), explanations(row.reasons, row)];
    for (const words of new Set([row.detail, dialogue?.status_reason].filter(Boolean).map(inWords))) {
      lines.push(element("p", { class: "quoted", dir: "auto" }, words));
    }
    if (scored.decided_by === "manual") lines.push(element("p", { class: "quoted", dir: "auto" }, `Manual decision: ${scored.decision_note ?? ""}`));
    if (scored.judge_status === "judged") {
      const fault = scored.judge_error_class && scored.judge_error_class !== "none" ? ` (${named(scored.judge_error_class)})` : "";
      lines.push(element("p", null, `Judge ${scored.judge_model ?? ""}: the reasoning is ${scored.judge_correct ? "correct" : "wrong"}${fault}.`));
    } else {
      lines.push(element("p", null, scored.judge_status === "rules_alone" ? "The rules alone decided: the judge of this profile is too weak." : scored.judge_status === "not_asked" ? "The judge was not asked." : "The judge gave no valid verdict."));
    }
    if (scored.judge_reason) lines.push(element("p", { class: "quoted", dir: "auto" }, `“${scored.judge_reason}”`));
    const flags = (scored.flags ?? []).filter((code) => !row.reasons.includes(code));
    if (flags.length) lines.push(element("p", null, `Flags: ${flags.map(named).join(", ")}.`), explanations(flags, row));
    if (scored.judge_findings?.length) lines.push(findingsOf(scored.judge_findings));
    return element("section", { class: `verdict ${hue(row.verdict)}`, "aria-label": "Verdict" }, lines.filter(Boolean));
  }

  function findingsOf(findings) {
    const cells = (found) => [named(found.finding), named(found.value), found.good ? "" : named(found.code), found.reason];
    const bad = findings.filter((found) => !found.good).length;
    return element(
      "details",
      { class: "findings" },
      element("summary", null, `${findings.length} findings of the judge, ${bad} of them a reason to reject`),
      element(
        "table",
        null,
        element("thead", null, element("tr", null, ["Finding", "Value", "Rejects by", "Reason"].map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", null, findings.map((found) => element("tr", null, cells(found).map((cell) => element("td", { dir: "auto" }, cell))))),
      ),
    );
  }

  function seedOf(name, seed) {
    if (!seed) return null;
    return folded(
      name,
      element(
        "div",
        { class: "box" },
        seed.system ? [element("p", { class: "small" }, "System"), spoken(seed.system)] : null,
        element("p", { class: "small" }, "Question"),
        spoken(seed.question),
        element("p", { class: "small" }, "Reference answer"),
        spoken(seed.answer),
        seed.reference_final ? [element("p", { class: "small" }, "Final answer in it"), spoken(seed.reference_final)] : null,
      ),
    );
  }

  function lineageOf(row) {
    const { scored, dialogue, plan, seed, partner } = row;
    const from = (one) => (one ? ` ${one.licence}, ${one.origin_file} row ${count(one.origin_row)}` : "");
    return table("facts-table", [
      ["Dialogue", identity(row.id)],
      ["Seed", [searchFor(scored.seed_id), from(seed)]],
      ["Partner seed", dialogue?.partner_seed_id ? [searchFor(dialogue.partner_seed_id), from(partner)] : null],
      ["Similarity", plan?.partner_similarity ?? null],
      ["Group of duplicates", plan ? searchFor(plan.representative) : null],
      ["Shard", scored.shard],
      ["Drawn scenario", plan && plan.drawn_scenario !== scored.scenario ? named(plan.drawn_scenario) : null],
      ["Drawn repetitions", plan?.repetitions ?? null],
      ["Generation", dialogue?.generation || null],
      ["Tokens", dialogue ? `${count(dialogue.prompt_tokens)} read, ${count(dialogue.completion_tokens)} written` : null],
    ].map(([name, value]) => [name, typeof value === "number" ? plain(value) : value]));
  }

  function castOf(dialogue) {
    const turns = (dialogue?.turns ?? []).filter((turn) => turn.prompt_version || turn.model);
    if (!turns.length) return null;
    const head = ["Speaker", "Role", "Model", "Temperature", "Prompt", "Tokens", "Loss"];
    const lines = turns.map((turn) => [
      turn.speaker,
      turn.role ? named(turn.role) : "no model",
      turn.model ?? "–",
      turn.temperature ?? "–",
      turn.prompt_version ? identity(turn.prompt_version) : "–",
      turn.completion_tokens ?? "–",
      turn.trains ? "yes" : "no",
    ]);
    return element(
      "div",
      { class: "scroll" },
      element(
        "table",
        { class: "cast" },
        element("thead", null, element("tr", null, head.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", null, lines.map((cells) => element("tr", null, cells.map((cell) => element("td", null, typeof cell === "number" ? String(cell) : cell))))),
      ),
    );
  }

  function dialogueOf(row, number) {
    const { scored, dialogue } = row;
    const signals = Object.entries(index.signals)
      .filter(([name]) => !name.startsWith("judge_") && !["flags", "decided_by", "decision_note", "quality_score"].includes(name))
      .map(([name, meaning]) => [named(name), plain(scored[name]), meaning]);
    const heading = element("h2", { tabindex: "-1", dir: "auto" }, "");
    begun(number).then((text) => (heading.textContent = text || "A dialogue whose seed was retracted"), complain);
    const facts = [scored.scenario, scored.source, scored.domain, scored.split].map(named);
    return [
      element("div", { class: "bar" }, element("a", { href: addressOf({ dialogue: "" }) }, "← All dialogues"), element("span", { id: "steps" })),
      heading,
      element("div", { class: "chips" }, [...facts, `score ${scored.quality_score.toFixed(3)}`].map((fact) => element("span", null, fact))),
      verdictOf(row),
      element("div", { class: "chat" }, chat(dialogue)),
      element("h3", null, "What was asked"),
      seedOf("Seed and reference answer", row.seed),
      seedOf("Partner and its reference answer", row.partner),
      row.seed ? null : element("p", { class: "small" }, "Not shown."),
      element("h3", null, "Lineage"),
      lineageOf(row),
      castOf(dialogue),
      element("h3", null, "Signals"),
      table("signals", signals),
    ].filter(Boolean);
  }

  function drawSteps() {
    const steps = $("steps");
    if (!steps) return;
    const step = (label, by) => {
      const button = element("button", { type: "button", disabled: neighbour(by) === null }, label);
      button.onclick = () => open(neighbour(by));
      return button;
    };
    steps.replaceChildren(step("← Previous", -1), step("Next →", 1));
  }

  /** The row before or after the one that is open, among those listed; the first one where none is open. */
  function neighbour(by) {
    const place = rows.indexOf(rowOf(state.dialogue));
    return rows[place < 0 ? 0 : place + by] ?? null;
  }

  function open(row) {
    if (row !== null && row !== undefined) go({ dialogue: index.columns.id[row] });
  }

  let shown = ""; // the dialogue and search that the reader was drawn for

  async function drawReader() {
    const wanted = state.dialogue ?? "";
    const key = JSON.stringify([wanted, search?.terms]);
    document.body.classList.toggle("reading", Boolean(wanted));
    if (key === shown) return;
    const other = JSON.parse(shown || "[null]")[0] !== wanted;
    shown = key;
    if (!wanted) {
      document.title = `Dialogues of ${index.name} ${index.release}`;
      $("reader").replaceChildren(...overview());
      return;
    }
    const number = rowOf(wanted);
    const page = number < 0 ? null : pageOf(number);
    const row = page === null ? null : (await load(pageName(page)))[number - index.pageStarts[page]];
    if (shown !== key) return; // another dialogue was opened meanwhile
    if (!row || !row.id.startsWith(wanted)) {
      $("reader").replaceChildren(
        element("div", { class: "bar" }, element("a", { href: addressOf({ dialogue: "" }) }, "← All dialogues")),
        element("p", null, "There is no dialogue ", identity(wanted), " in this release."),
      );
      return;
    }
    document.title = `Dialogue ${row.id.slice(0, 8)}, ${named(row.verdict)}`;
    $("reader").replaceChildren(...dialogueOf(row, number));
    drawSteps();
    if (!other) return;
    $("reader").scrollTop = 0;
    $("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
    if (matchMedia("(max-width: 760px)").matches) scrollTo(0, 0);
    $("reader").querySelector("h2").focus({ preventScroll: true });
  }

  /** Shown while no dialogue is open: how many dialogues of each kind there are, as links. */
  function overview() {
    const { columns, dialogues, values } = index;
    const counts = new Map();
    for (let row = 0; row < dialogues; row += 1) {
      const key = `${columns.verdict[row]} ${columns.scenario[row]}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const scenarios = values.scenario.map((name, code) => [name, code]);
    const lines = values.verdict
      .map((verdict, code) => [verdict, scenarios.map(([name, place]) => [name, counts.get(`${code} ${place}`) ?? 0])])
      .filter(([, cells]) => cells.some(([, number]) => number))
      .map(([verdict, cells]) =>
        element(
          "tr",
          null,
          element("th", { scope: "row" }, element("span", { class: hue(verdict) }, named(verdict))),
          cells.map(([scenario, number]) =>
            element("td", { class: "number" }, number ? element("a", { href: "#" + new URLSearchParams({ scenario, verdict }) }, count(number)) : "0"),
          ),
        ),
      );
    const keys = [["/", "search"], ["j", "next dialogue"], ["k", "previous dialogue"], ["↓ ↑", "up and down the list"], ["Esc", "back to the list"]];
    return [
      element("h2", { tabindex: "-1" }, "Every dialogue of the release, and those that were left out"),
      element(
        "div",
        { class: "scroll" },
        element(
          "table",
          { class: "overview" },
          element("thead", null, element("tr", null, element("th", { scope: "col" }, "Verdict"), values.scenario.map((name) => element("th", { scope: "col", class: "number" }, named(name))))),
          element("tbody", null, lines),
        ),
      ),
      index.judge_errors ? element("p", null, `How often the judge errs (95 % intervals in brackets): ${index.judge_errors}.`) : "",
      element("p", { class: "small" }, "Models wrote these texts. No person has checked them, unless a dialogue says so."),
      element("p", { class: "small keys" }, keys.flatMap(([key, meaning]) => [element("kbd", null, key), ` ${meaning}   `])),
    ];
  }

  // ---- events -------------------------------------------------------------------------------------------------

  function render() {
    state = stateOf(location.hash);
    $("fault").hidden = true;
    const filtered = addressOf({ dialogue: "" });
    if (filtered !== drawn) {
      drawn = filtered;
      first = 0;
      startSearch();
    }
    drawList();
    drawReader().catch(complain);
  }

  function listen() {
    let typing;
    $("filters").addEventListener("input", (event) => {
      clearTimeout(typing);
      const { id, value } = event.target;
      if (id === "q") typing = setTimeout(() => go({ q: value.trim(), dialogue: "" }, true), 300);
      else go({ [id]: value });
    });
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("filters").addEventListener("reset", (event) => {
      event.preventDefault();
      clearTimeout(typing);
      $("q").value = "";
      go(Object.fromEntries(FIELDS.map((name) => [name, ""])));
    });
    $("stop").onclick = stopSearch;
    $("earlier").onclick = () => turnTo(first - LISTED);
    $("later").onclick = () => turnTo(first + LISTED);
    addEventListener("hashchange", render);
    addEventListener("beforeprint", () => document.querySelectorAll("#reader details").forEach((one) => (one.open = true)));
    addEventListener("keydown", keyed);
  }

  function turnTo(place) {
    first = Math.max(0, place);
    drawLines();
    $("count").scrollIntoView({ block: "nearest" });
    $("list").querySelector("a")?.focus({ preventScroll: true });
  }

  function keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const writing = event.target.closest("input, select");
    if (event.key === "Escape") {
      if (writing) writing.blur();
      else if (state.dialogue) {
        const row = rowOf(state.dialogue);
        document.body.classList.remove("reading");
        $("list").querySelector(`[data-row="${row}"]`)?.focus();
        if (matchMedia("(max-width: 760px)").matches) go({ dialogue: "" });
      }
      return;
    }
    if (writing) return;
    const line = event.target.closest("#list li");
    if (event.key === "/") {
      document.body.classList.remove("reading");
      $("q").focus();
    } else if (event.key === "j") open(neighbour(1));
    else if (event.key === "k") open(neighbour(-1));
    else if (event.key === "ArrowDown" && line) line.nextElementSibling?.firstChild.focus();
    else if (event.key === "ArrowUp" && line) line.previousElementSibling?.firstChild.focus();
    else return;
    event.preventDefault();
  }

  load("index").then((content) => {
    index = content;
    $("release").textContent = `${index.name} ${index.release}, profile ${index.profile}, made ${index.made_at.slice(0, 10)}`;
    if (matchMedia("(max-width: 760px)").matches) $("more").open = false;
    listen();
    render();
  }).catch(complain);
})();
