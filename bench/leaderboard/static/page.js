"use strict";
// The table, its filters, a cell's details and the reader's weights. Texts are set as text, never as
// HTML: they come from records, which anybody may have sent.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, attributes = {}, ...inner) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inner.filter((one) => one !== null && one !== undefined));
  return element;
};
const number = (text) => parseFloat(text.replaceAll(",", ""));
const rounded = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));
const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

const page = { data: null, listeners: [] };

// Explanations, on hover and on focus; a screen reader reads them as the element's description.

function explain() {
  const tip = $("#tip");
  let focused = null;
  const show = (element) => {
    tip.textContent = element.dataset.tip;
    tip.hidden = false;
    const at = element.getBoundingClientRect();
    const left = Math.min(at.left, innerWidth - tip.offsetWidth - 8);
    const below = at.bottom + 6 + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - 6 - tip.offsetHeight)}px`;
  };
  const hide = () => (tip.hidden = true);
  const described = make("div", { class: "hidden-text" });
  $("main").append(described);
  $$("[data-tip]").forEach((element, i) => {
    if (!element.dataset.tip) return;
    described.append(make("span", { id: `tip-${i}` }, element.dataset.tip));
    const target = $("button", element) ?? element;
    if (target === element) {
      element.tabIndex = 0;
      element.setAttribute("role", "note");
    }
    target.setAttribute("aria-describedby", `tip-${i}`);
    element.addEventListener("mouseenter", () => show(element));
    element.addEventListener("mouseleave", hide);
    target.addEventListener("focus", () => show(focused = element));
    target.addEventListener("blur", () => { focused = null; hide(); });
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  const moved = () => (focused && !tip.hidden ? show(focused) : hide());
  document.addEventListener("scroll", moved, { capture: true, passive: true });
}

function themes() {
  const button = $("#theme"), root = document.documentElement;
  const order = ["system", "light", "dark"];
  const set = (theme) => {
    root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    try { localStorage.setItem("bench-theme", theme); } catch { /* a browser may forbid it */ }
  };
  let known = "system";
  try { known = localStorage.getItem("bench-theme") ?? known; } catch { /* as above */ }
  set(order.includes(known) ? known : "system");
  button.hidden = false;
  button.addEventListener("click", () => {
    set(order[(order.indexOf(root.dataset.theme) + 1) % order.length]);
  });
}

// The table

function sorting(board) {
  const heads = $$("thead th", board);
  const sort = (head, ascending) => {
    const column = heads.indexOf(head);
    const key = (row) => row.cells[column].textContent.trim();
    // Not some of them: a method's name may begin with a digit.
    const numeric = $$("tbody tr", board).map(key).every((said) => said === "–" || !Number.isNaN(number(said)));
    const compare = (one, other) => {
      if (!numeric) return key(one).localeCompare(key(other));
      const [a, b] = [number(key(one)), number(key(other))];
      if (Number.isNaN(a) || Number.isNaN(b)) return (Number.isNaN(a) - Number.isNaN(b)) * (ascending ? 1 : -1);
      return a - b;
    };
    const rows = $$("tbody tr", board).sort((a, b) => (ascending ? 1 : -1) * compare(a, b));
    board.tBodies[0].append(...rows);
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  };
  for (const head of heads) {
    const span = $(".head", head);
    const button = make("button", { type: "button" }, span.textContent);
    span.replaceChildren(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const first = head.dataset.group === "score"; // the best on top; of all else the smallest
      sort(head, was ? was !== "ascending" : !first);
    });
  }
}

function filters(board) {
  const form = $("#filters");
  const rows = $$("tbody tr", board);
  const original = new Map(rows.map((row) => [row, [...row.cells].map((cell) => [...cell.childNodes].map((n) => n.cloneNode(true)))]));
  const heads = $$("thead th", board);
  const tasks = new Map(heads.map((head, i) => [head.dataset.task, i]).filter(([task]) => task));
  const average = heads.findIndex((head) => head.textContent.startsWith("average"));
  const chosen = (name) => new Set($$(`input[name=${name}]`, form).filter((box) => box.checked).map((box) => box.value));
  const state = () => ({
    ratio: form.ratio.value, kinds: chosen("kind"), tasks: chosen("task"),
    seeds: new Set([...chosen("seed")].map(Number)),
    everySeed: $$("input[name=seed]", form).every((box) => box.checked),
    controls: form.controls.checked, method: form.method.value.trim().toLowerCase(),
    columns: form.columns.value,
  });
  const keep = (row, now) =>
    (!now.ratio || row.ratio === Number(now.ratio) || row.reference) && now.kinds.has(row.kind) &&
    (now.controls || !row.control) && row.method.toLowerCase().includes(now.method);

  const apply = () => {
    const now = state();
    let count = 0;
    for (const element of rows) {
      const row = page.data.rows[element.dataset.row];
      element.hidden = !keep(row, now);
      count += !element.hidden;
      for (const [task, column] of tasks) {
        const scores = seedsOf(row.scores[task], now);
        rewrite(element, column, now, scores.length ? mean(scores) : null);
      }
      if (average > -1) rewrite(element, average, now, averageOf(row, now));
      element.cells[0].classList.toggle("old", !now.everySeed);
    }
    heads.forEach((head, i) => {
      const shut = (head.dataset.task && !now.tasks.has(head.dataset.task)) ||
        (now.columns && head.dataset.group && head.dataset.group !== now.columns);
      head.hidden = shut;
      for (const row of rows) row.cells[i].hidden = shut;
    });
    $("#shown").textContent = `${count} of ${rows.length} rows` +
      (now.everySeed ? "" : `; scores of seeds ${[...now.seeds].join(", ") || "none"}, ranks of all seeds`);
    page.state = now;
    page.shown = page.data.rows.filter((row) => keep(row, now));
    page.everyRatio = page.data.rows.filter((row) => keep(row, { ...now, ratio: "" }));
    for (const listener of page.listeners) listener();
  };
  // A mean of some seeds has no interval; with all of them the cell is what the page says.
  const rewrite = (element, column, now, value) => {
    const cell = element.cells[column];
    if (now.everySeed) cell.replaceChildren(...original.get(element)[column].map((n) => n.cloneNode(true)));
    else cell.textContent = rounded(value);
  };
  form.hidden = false;
  if (innerWidth < 640) form.columns.value = "score"; // of many columns, those that fit
  for (const happened of ["input", "change"]) form.addEventListener(happened, apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

const seedsOf = (scores, now) => Object.entries(scores ?? {}).filter(([seed]) => now.seeds.has(Number(seed))).map(([, score]) => score);

function averageOf(row, now) {
  const means = page.data.averaged.map((task) => seedsOf(row.scores[task], now));
  return means.length && means.every((scores) => scores.length) ? mean(means.map(mean)) : null;
}

// Details of a row and its cells

function pairs(entries) {
  const list = make("dl");
  for (const [name, value] of entries) list.append(make("dt", {}, name), make("dd", {}, String(value)));
  return list;
}

const plain = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : value);
const flat = (object) => Object.entries(object ?? {}).map(([name, value]) => [name, plain(value)]);

function recordsOf(row) {
  const { pool, fields, cells } = page.data.records ?? { cells: [] };
  return cells.filter((cell) => cell.row === row.number).map((cell) => {
    const read = (value) => (Array.isArray(value) ? pool[value[0]] : value);
    const record = Object.fromEntries(fields.map((name, i) => [name, read(cell.values[i])]).filter(([, value]) => value !== undefined));
    return { record, differs: page.data.differs?.[record.id] };
  });
}

function opening(board) {
  for (const element of $$("tbody tr", board)) {
    const row = page.data.rows[element.dataset.row];
    const name = $(".name", element);
    const button = make("button", { type: "button" }, row.method);
    button.addEventListener("click", () => open(row));
    name.replaceChildren(button);
  }
}

function open(row) {
  const dialog = $("#cell"), body = $("#cell-body");
  $("#cell-title").textContent = row.ratio === 1 ? row.method : `${row.method}, ${row.ratio}×`;
  const found = recordsOf(row);
  body.replaceChildren();
  if (!found.length) {
    body.append(make("p", { class: "quiet" }, page.data.records ? "No record of this row." : page.data.left_out));
  } else {
    const pick = make("select", { "aria-label": "cell" });
    found.forEach(({ record }, i) => {
      const score = record.score === null || record.score === undefined ? record.status : rounded(record.score);
      pick.append(make("option", { value: i }, `${record.cell.task}, seed ${record.cell.seed}: ${score}`));
    });
    const inner = make("div");
    const show = () => inner.replaceChildren(...details(found[pick.value]));
    pick.addEventListener("change", show);
    body.append(make("p", { class: "controls" }, make("label", {}, "Cell ", pick)), inner);
    show();
  }
  dialog.showModal();
}

function details({ record, differs }) {
  const { cell, method, footprint, cost, environment, error } = record;
  const axes = Object.entries(footprint ?? {}).filter(([, size]) => size.actual !== undefined);
  const parts = Object.entries(cost?.parts ?? {}).sort((a, b) => b[1] - a[1]);
  const section = (title, ...inner) => inner.some(Boolean) ? [make("h3", {}, title), ...inner.filter(Boolean)] : [];
  return [
    pairs([["id", record.id], ["status", record.status], ...flat(record.scores), ...(error ? flat(error) : [])]),
    ...section("Method", method && pairs(flat(method))),
    ...section("Parameters", record.params && pairs(flat(record.params))),
    ...section("Tuning", record.tuning && pairs(flat(record.tuning))),
    ...section("Size", axes.length && pairs(axes.map(([axis, size]) => [axis, `${Number(size.actual.toPrecision(4)).toLocaleString("en")} of ${Number(size.dense.toPrecision(4)).toLocaleString("en")}: ${size.ratio.toFixed(2)}×`]))),
    ...section("Cost by part, FLOPs of training", parts.length && pairs(parts.map(([part, flops]) => [part, `${flops.toExponential(2)} (${(100 * flops / cost.train_flops).toFixed(0)} %)`]))),
    ...section("Versions", environment && pairs([...flat({ ...environment, packages: undefined }).filter(([, value]) => value !== undefined), ...flat(environment.packages)])),
    ...section("Answers that differ from dense", differs && differences(differs, cell.task)),
    make("details", {}, make("summary", {}, "The record as JSON"), make("pre", { tabindex: 0 }, JSON.stringify(record, null, 1))),
  ];
}

function differences(differs, task) {
  const said = { lost: "dense is right, this is wrong", won: "dense is wrong, this is right", other: "neither, or not known which" };
  const texts = page.data.texts?.[task];
  const box = make("div", {}, make("p", { class: "quiet" }, "Rows of the report split, counted from 0; the dense model is that of the same seed."));
  if (texts) box.append(make("p", { class: "quiet" }, `Texts of ${task}: ${texts.licence}. Where they come from stands in the notes, under Data.`));
  for (const [key, meaning] of Object.entries(said)) {
    const rows = differs[key] ?? [];
    if (!rows.length) continue;
    const inner = texts ? make("ul", { class: "texts" }, ...rows.map((row) => make("li", {}, `${row}: ${(texts.rows[row] ?? ["–"]).join(" ‖ ")}`))) : make("p", {}, rows.join(", "));
    box.append(make("details", {}, make("summary", {}, `${rows.length}: ${meaning}`), inner));
  }
  return box;
}

// The reader's weights: sums of figures that were exchanged for points beforehand

function weights() {
  const exchanged = page.data.exchanged;
  const panel = $("#weights"), sliders = $("#sliders");
  panel.hidden = false;
  const metrics = Object.keys(exchanged.metrics);
  for (const metric of metrics) {
    const input = make("input", { type: "range", min: 0, max: 10, step: 1, name: metric, value: metric === "score" ? 4 : 1 });
    const output = make("output", {}, input.value);
    input.addEventListener("input", () => { output.value = input.value; order(); });
    sliders.append(make("label", {}, exchanged.metrics[metric], input, output));
  }
  const order = () => {
    const ratio = Number(page.state.ratio) || Math.max(...page.data.rows.map((row) => row.ratio));
    const usable = metrics.filter((metric) => page.data.rows.some((row) => row.ratio === ratio && row.exchanged?.[metric] !== undefined));
    for (const input of $$("input", sliders)) input.disabled = !usable.includes(input.name);
    const weight = Object.fromEntries($$("input", sliders).map((input) => [input.name, input.disabled ? 0 : Number(input.value)]));
    const total = Object.values(weight).reduce((sum, one) => sum + one, 0);
    const scored = page.data.rows.filter((row) => row.ratio === ratio && row.exchanged).map((row) => ({
      method: row.method,
      value: dynascore(row.exchanged, weight, total),
    })).filter((one) => one.value !== null).sort((a, b) => b.value - a.value);
    $("#order").replaceChildren(...scored.map((one) => make("li", {}, `${one.method}: ${one.value.toFixed(2)}`)));
    $("#undefined").textContent = !scored.length ? `At ${ratio}×: not defined. It takes two competitors whose scores differ, and a weight.`
      : `At ${ratio}×, ${scored.length} competitors.` + (usable.length < metrics.length ? " What has no slider that moves is not known, or equal for all." : "");
  };
  page.listeners.push(order);
  order();
}

function dynascore(exchanged, weight, total) {
  let sum = 0;
  for (const [metric, one] of Object.entries(weight)) {
    if (!one) continue;
    if (exchanged[metric] === undefined) return null;
    sum += (one / total) * exchanged[metric];
  }
  return total ? sum : null;
}

themes();
if ($("#data")) {
  page.data = JSON.parse($("#data").textContent);
  const board = $("#board");
  sorting(board);
  opening(board);
  explain();
  page.ratios = new Set(page.data.rows.map((row) => row.ratio).filter((ratio) => ratio !== 1)).size;
  if (page.data.rows.length) {
    filters(board);
    weights();
  }
  $("#cell").addEventListener("click", (event) => event.target === $("#cell") && $("#cell").close());
  if (typeof drawAll === "function") drawAll();
} else explain();
