"use strict";
// The figures as Vega-Lite specifications. Colours are the stylesheet's, so that a change of theme
// needs no new drawing; expressions are interpreted, since the page allows no code from texts.

const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right"];
const CONFIG = {
  background: null, view: { stroke: null }, font: "system-ui, sans-serif",
  axis: { labelColor: "var(--quiet)", titleColor: "var(--ink)", gridColor: "var(--line)", domainColor: "var(--quiet)", tickColor: "var(--quiet)", titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12, labelLimit: 150, labelSeparation: 8 },
  legend: { labelColor: "var(--ink)", titleColor: "var(--quiet)", labelFontSize: 12, labelLimit: 200, symbolLimit: 0 },
  text: { color: "var(--ink)", fontSize: 12 },
};
const LETTER = 6.4; // pixels that a letter of a label is wide, or less
const AXES = { weights: "prunable weights", bytes: "MB", flops: "GFLOPs", flops_task: "GFLOPs, task's lengths", ms: "milliseconds" };

const label = (row) => (row.ratio === 1 || page.state.ratio ? row.method : `${row.method} ${row.ratio}×`);

// A colour and a shape for each method, the same in all figures.
function looks() {
  const methods = [...new Set(page.data.rows.map((row) => row.method))];
  const scale = (range) => ({ domain: methods, range: methods.map((_, i) => range(i)) });
  return {
    colour: scale((i) => `var(--s${i % 8})`),
    shape: scale((i) => SHAPES[(i + Math.floor(i / 8)) % 8]),
  };
}

function legend(width, methods) {
  return { orient: "bottom", title: null, rowPadding: 8, columns: Math.max(1, Math.floor(width / 170)), values: methods };
}

const AVERAGE = "average";
const scoresOf = (row, task) => {
  if (task !== AVERAGE) return Object.entries(row.scores[task] ?? {}).filter(([seed]) => page.state.seeds.has(Number(seed)));
  const seeds = [...page.state.seeds].filter((seed) => page.data.averaged.every((one) => row.scores[one]?.[seed] !== undefined));
  return page.data.averaged.length ? seeds.map((seed) => [seed, mean(page.data.averaged.map((one) => row.scores[one][seed]))]) : [];
};
const meanOf = (row, task) => (task === AVERAGE ? averageOf(row, page.state) : (scoresOf(row, task).length ? mean(scoresOf(row, task).map(([, score]) => score)) : null));
// An interval is that of all seeds.
const widthOf = (row, task) => (page.state.everySeed ? row.half_width[task] ?? null : null);
const spreadOf = (row, task) => {
  const value = meanOf(row, task), half = widthOf(row, task);
  return { score: value, low: half === null ? null : value - half, high: half === null ? null : value + half };
};

const axis = (title, more = {}) => ({ title, ...more });
const tooltip = (...fields) => fields.map(([field, title, format]) => ({ field, title, ...(format ? { format, type: "quantitative" } : { type: "nominal" }) }));

// Points that no other has both fewer cost and a higher score than.
function paretoFront(points) {
  let best = -Infinity;
  return [...points].sort((a, b) => a.cost - b.cost || b.score - a.score).filter((one) => {
    const isOn = one.score > best;
    best = Math.max(best, one.score);
    return isOn;
  });
}

// Of the names along the front, those that do not lie over one another; the highest first.
function apart(front, costs, width) {
  const [low, high] = [Math.log(Math.min(...costs)), Math.log(Math.max(...costs))];
  const place = (one) => (high > low ? (Math.log(one.cost) - low) / (high - low) : 0) * 0.8 * width;
  const kept = [];
  for (const one of [...front].reverse()) {
    const room = (other) => Math.abs(place(one) - place(other)) > 4 * (one.name.length + other.name.length);
    if (kept.every((other) => room(other) || Math.abs(one.score - other.score) > 8)) kept.push(one);
  }
  return kept;
}

function tradeoff(controls, width) {
  const cost = controls.axis;
  const rows = page.everyRatio.filter((row) => row.costs[cost] && !row.answers && meanOf(row, AVERAGE) !== null);
  const name = (row) => (row.ratio === 1 || page.ratios === 1 ? row.method : `${row.method} ${row.ratio}×`);
  const of = (row) => ({ name: name(row), method: row.method, cost: row.costs[cost] });
  const points = rows.map((row) => ({ ...of(row), ...spreadOf(row, AVERAGE) }));
  const seeds = rows.flatMap((row) => scoresOf(row, AVERAGE).map(([seed, score]) => ({ ...of(row), seed, score })));
  if (!points.length) return null;
  const { colour, shape } = looks();
  const methods = [...new Set(rows.map((row) => row.method))];
  const costs = points.map((one) => one.cost);
  const x = { field: "cost", type: "quantitative", scale: { type: "log", domain: [Math.min(...costs) / 1.25, Math.max(...costs) * 1.25], nice: false }, axis: axis(AXES[cost], { format: "~s", tickCount: 5, labelOverlap: "greedy" }) };
  if (cost !== "weights") x.axis.format = "~g";
  const y = { field: "score", type: "quantitative", scale: { zero: false }, axis: axis("average score") };
  const opacity = (high) => ({ condition: { param: "pick", value: high }, value: high / 8 });
  const color = { field: "method", type: "nominal", scale: colour, legend: legend(width, methods) };
  const shaped = { field: "method", type: "nominal", scale: shape, legend: legend(width, methods) };
  return {
    height: 340,
    layer: [
      { data: { values: points }, mark: { type: "line", strokeWidth: 1 }, encoding: { x, y, color, opacity: opacity(0.5) } },
      { data: { values: paretoFront(points) }, mark: { type: "line", interpolate: "step-after", stroke: "var(--quiet)", strokeDash: [5, 4] }, encoding: { x, y } },
      { data: { values: points.filter((one) => one.low !== null) }, mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color, opacity: opacity(0.9) } },
      { data: { values: seeds }, mark: { type: "point", filled: true, size: 28 }, encoding: { x, y, color, shape: shaped, opacity: opacity(0.45), tooltip: tooltip(["name", "cell"], ["seed", "seed"], ["score", "score", ".1f"]) } },
      { data: { values: points }, params: [{ name: "pick", select: { type: "point", fields: ["method"] } }], mark: { type: "point", filled: true, size: 110, stroke: "var(--paper)", strokeWidth: 1 }, encoding: { x, y, color, shape: shaped, opacity: opacity(1), tooltip: tooltip(["name", "row"], ["score", "average", ".1f"], ["cost", AXES[cost], ",.4~g"], ["low", "low", ".1f"], ["high", "high", ".1f"]) } },
      { data: { values: apart(paretoFront(points), costs, width) }, mark: { type: "text", dy: -14, align: "center" }, encoding: { x, y, text: { field: "name" } } },
    ],
  };
}

function forest(controls, width) {
  const task = controls.task;
  const rows = page.shown.filter((row) => meanOf(row, task) !== null);
  if (!rows.length) return null;
  const points = rows.map((row) => ({ name: label(row), ...spreadOf(row, task), control: row.control }));
  const seeds = rows.flatMap((row) => scoresOf(row, task).map(([seed, score]) => ({ name: label(row), seed, score, control: row.control })));
  const y = { field: "name", type: "nominal", sort: rows.map(label), axis: axis(null, { labelLimit: 170 }) };
  const x = { field: "score", type: "quantitative", scale: { zero: false }, axis: axis(task === AVERAGE ? "average score" : `score on ${task}`, { orient: "top", tickCount: Math.max(3, Math.floor(width / 90)) }) };
  const color = { field: "control", type: "nominal", scale: { domain: [false, true], range: ["var(--s0)", "var(--quiet)"] }, legend: null };
  const dense = rows.filter((row) => row.method === "dense").map((row) => ({ score: meanOf(row, task) }));
  return {
    height: { step: 24 },
    layer: [
      { data: { values: dense }, mark: { type: "rule", stroke: "var(--quiet)", strokeDash: [5, 4] }, encoding: { x } },
      { data: { values: points.filter((one) => one.low !== null) }, mark: { type: "rule", strokeWidth: 2 }, encoding: { y, x: { ...x, field: "low" }, x2: { field: "high" }, color } },
      { data: { values: seeds }, mark: { type: "point", filled: true, size: 34, opacity: 0.5 }, encoding: { y, x, color, tooltip: tooltip(["name", "row"], ["seed", "seed"], ["score", "score", ".1f"]) } },
      { data: { values: points }, mark: { type: "point", shape: "diamond", filled: true, size: 90, stroke: "var(--paper)", strokeWidth: 1 }, encoding: { y, x, color, tooltip: tooltip(["name", "row"], ["score", "mean", ".1f"], ["low", "low", ".1f"], ["high", "high", ".1f"]) } },
    ],
  };
}

function heat(controls, width) {
  const measure = controls.measure;
  const tasks = page.data.tasks.filter((task) => page.state.tasks.has(task));
  const values = page.shown.flatMap((row) => tasks.map((task) => ({
    name: label(row), task, value: measure === "score" ? meanOf(row, task) : row[measure][task] ?? null,
  }))).filter((one) => one.value !== null);
  if (!values.length) return null;
  // Names lie flat: at hyphens they are broken, and where they do not fit, the figure is scrolled.
  const longest = (names) => Math.max(...names.map((name) => name.length));
  const names = Math.min(150, 10 + LETTER * longest(page.shown.map(label)));
  const column = 10 + LETTER * longest(tasks.flatMap((task) => task.split("-")));
  const fits = names + column * tasks.length <= width;
  const encoding = {
    x: { field: "task", type: "nominal", sort: tasks, axis: axis(null, { orient: "top", labelAngle: 0, labelExpr: "split(datum.label, '-')", labelLimit: 0 }) },
    y: { field: "name", type: "nominal", sort: page.shown.map(label), axis: axis(null, { labelLimit: names }) },
  };
  return {
    ...(fits ? {} : { width: { step: column }, autosize: "pad" }),
    height: { step: 24 }, data: { values },
    layer: [
      { mark: "rect", encoding: { ...encoding, color: { field: "value", type: "quantitative", scale: { scheme: "cividis", domain: [0, 100], clamp: true }, legend: null }, tooltip: tooltip(["name", "row"], ["task", "task"], ["value", "value", ".1f"]) } },
      { mark: { type: "text" }, encoding: { ...encoding, text: { field: "value", format: ".0f" }, color: { condition: { test: "datum.value > 60", value: "#000000" }, value: "#ffffff" } } },
    ],
  };
}

const inRatio = (ratio) => ratio === 1 || !page.state.ratio || ratio === Number(page.state.ratio);
const listed = (found) => found.filter((one) => inRatio(one.ratio) && page.shown.some((row) => row.method === one.method));

function curves(controls, width) {
  const found = listed(page.data.curves).filter((one) => one.task === controls.task);
  if (!found.length) return null;
  const values = found.flatMap((one) => one.shares.map((share, i) => ({ name: label(one), method: one.method, share, value: one[controls.measure][i] })));
  const { colour } = looks();
  return {
    height: 280, data: { values },
    params: [{ name: "pick", select: { type: "point", fields: ["method"] } }],
    mark: { type: "line", point: { size: 26 }, strokeWidth: 1.8 },
    encoding: {
      x: { field: "share", type: "quantitative", axis: axis("share of the steps", { format: ".0%", tickCount: 5 }) },
      y: { field: "value", type: "quantitative", scale: { zero: false }, axis: axis(controls.measure === "scores" ? "tune score" : "training loss / first") },
      color: { field: "method", type: "nominal", scale: colour, legend: legend(width, [...new Set(found.map((one) => one.method))]) },
      detail: { field: "name", type: "nominal" },
      opacity: { condition: { param: "pick", value: 1 }, value: 0.12 },
      tooltip: tooltip(["name", "row"], ["share", "share", ".0%"], ["value", "value", ".3~g"]),
    },
  };
}

function trials(controls, width) {
  const found = listed(page.data.trials).filter((one) => one.task === controls.task);
  const scored = found.filter((one) => one.score !== null);
  if (!scored.length) return null;
  const { colour, shape } = looks();
  const methods = [...new Set(scored.map((one) => one.method))];
  const encoding = {
    x: { field: "rate", type: "quantitative", scale: { type: "log", nice: false, padding: 12 }, axis: axis("learning rate", { format: ".0e", tickCount: 4 }) },
    y: { field: "score", type: "quantitative", scale: { zero: false }, axis: axis("tune score") },
    color: { field: "method", type: "nominal", scale: colour, legend: legend(width, methods) },
    shape: { field: "method", type: "nominal", scale: shape, legend: legend(width, methods) },
    opacity: { condition: { param: "pick", value: 0.9 }, value: 0.08 },
    tooltip: tooltip(["name", "row"], ["rate", "learning rate", ".2e"], ["score", "tune score", ".1f"], ["kind", "trial"]),
  };
  const values = scored.map((one) => ({ ...one, name: label(one) }));
  return {
    height: 300,
    layer: [
      { data: { values }, params: [{ name: "pick", select: { type: "point", fields: ["method"] } }], mark: { type: "point", filled: true, size: 40 }, encoding },
      { data: { values: values.filter((one) => one.kind === "best") }, mark: { type: "point", size: 170, strokeWidth: 2 }, encoding },
    ],
  };
}

const FIGURES = { tradeoff, forest, heat, curves, trials };

async function draw(figure) {
  const box = figure.querySelector(".chart");
  const controls = Object.fromEntries([...figure.querySelectorAll("select")].map((one) => [one.name, one.value]));
  const spec = FIGURES[figure.id](controls, box.clientWidth);
  box.closest("figure").dataset.drawn = "";
  if (!spec) {
    box.textContent = "Nothing to show with these filters.";
    return;
  }
  const title = figure.querySelector("h3").textContent;
  const options = {
    mode: "vega-lite", actions: false, renderer: "svg", ast: true, defaultStyle: false,
    config: CONFIG, tooltip: showTip,
  };
  const sized = { width: "container", autosize: { type: "fit-x", contains: "padding" }, description: title };
  const { view } = await vegaEmbed(box, { ...sized, ...spec }, options);
  pickable(view, box);
  // What is scrolled has to be reached by keyboard.
  if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", 0);
  else box.removeAttribute("tabindex");
  figure.dataset.drawn = "yes";
}

// The names of a legend as buttons, for pointer and keyboard, which say whether they are picked. Shift
// adds to what is picked. The library's own binding misses the legend of a figure of several layers,
// and no keyboard reaches it.
function pickable(view, box) {
  const entries = [...box.querySelectorAll(".role-legend-label text")].map((text) => ({
    name: text.__data__.datum.value, element: text.parentNode.parentNode.parentNode,
  }));
  if (!entries.length) return;
  const legend = box.querySelector(".role-legend"); // as the library has it, nothing in it is read out
  legend.removeAttribute("aria-roledescription");
  for (const [key, value] of Object.entries({ role: "group", "aria-label": "Methods" })) legend.setAttribute(key, value);
  const picked = () => view.data("pick_store").map((one) => one.values[0]);
  const say = () => {
    const names = picked();
    for (const { name, element } of entries) element.setAttribute("aria-pressed", names.includes(name));
  };
  const pick = (name, more) => {
    const others = more ? picked().filter((one) => one !== name) : [];
    const isOff = picked().includes(name) && (more || picked().length === 1);
    const names = isOff ? others : [...others, name];
    view.data("pick_store", names.map((one) => ({ unit: "", fields: [{ type: "E", field: "method" }], values: [one] }))).runAsync();
  };
  for (const { name, element } of entries) {
    for (const [key, value] of Object.entries({ role: "button", tabindex: 0, "aria-label": name })) element.setAttribute(key, value);
    element.addEventListener("click", (event) => {
      event.stopPropagation(); // beside a point, a click takes back what is picked
      pick(name, event.shiftKey);
    });
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // no scrolling
      pick(name, event.shiftKey);
    });
  }
  view.addDataListener("pick_store", say);
  say();
}

function showTip(handler, event, item, value) {
  const tip = document.getElementById("tip");
  tip.hidden = !value;
  if (!value) return;
  tip.textContent = Object.entries(value).map(([name, said]) => `${name}: ${said}`).join("\n");
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${event.clientY + 14 + tip.offsetHeight < innerHeight ? event.clientY + 14 : event.clientY - tip.offsetHeight - 8}px`;
}

function drawAll() {
  const figures = [...document.querySelectorAll("#figures ~ figure")];
  const near = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || near.has(entry.target)) continue;
      near.add(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  for (const figure of figures) {
    figure.hidden = false;
    watch.observe(figure);
    figure.addEventListener("change", () => draw(figure));
  }
  let asked = 0;
  const redraw = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => near.forEach(draw));
  };
  page.listeners.push(redraw);
  let timer = 0, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redraw, 200);
  });
}
