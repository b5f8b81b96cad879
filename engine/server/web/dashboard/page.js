// Asks the server for its numbers once a second, for the chosen stream's signal more often, and shows both.

import { Line, Picture, Waterfall, forgetColours, isDark, latency, rangeStart, sparkline } from "./charts.js";

const NUMBERS_MS = 1000;
const SIGNAL_MS = 200;
const KEPT = 91; // answers, a second apart
const RATES_OVER = 2; // seconds
const LATENCY_OVER = 10;
const SHOWN_S = 10; // of a signal

const $ = (id) => document.getElementById(id);
const history = [];
const sparks = { streams: [], rate: [], load: [], batch: [], p99: [], met: [], memory: [] };
let token = "";
let latencyModel = "";
let chosen = null; // {id, since, views}

// Numbers with units.

const NONE = "–";
const digits = (value) => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(share > 0.9995 || share === 0 ? 0 : 1)} %` : NONE);
const scaled = (value, steps) => {
  const [size, unit] = steps.findLast(([least]) => value >= least) || steps[0];
  return `${digits(value / size)} ${unit}`;
};
const time = (ns) => (Number.isFinite(ns) ? scaled(ns, [[1e3, "µs"], [1e6, "ms"], [1e9, "s"]]) : NONE);
const bytes = (value) => (value === null ? NONE : scaled(value, [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"]]));
const age = (s) => {
  if (s < 120) return `${Math.floor(s)} s`;
  return s < 7200 ? `${Math.floor(s / 60)} min` : `${digits(s / 3600)} h`;
};

// What happened between two answers.

const before = (seconds) => history.find((one) => one.time_ns >= history.at(-1).time_ns - seconds * 1.05e9) || history[0];
const total = (values) => Object.values(values).reduce((sum, one) => sum + one, 0);

function ranges(now, then) {
  const counts = [];
  now.counts.forEach((one, index) => { counts[now.first + index] = one; });
  then?.counts.forEach((one, index) => { counts[then.first + index] -= one; });
  return Array.from(counts, (one) => one || 0);
}

function quantile(counts, share) {
  const all = counts.reduce((sum, one) => sum + one, 0);
  if (!all) return NaN;
  let below = 0;
  for (let index = 0; index < counts.length; index++) {
    if (counts[index] && below + counts[index] >= share * all) {
      const part = (share * all - below) / counts[index];
      return rangeStart(index) + part * (rangeStart(index + 1) - rangeStart(index));
    }
    below += counts[index];
  }
  return NaN;
}

// One model between two answers.
function change(now, answers) {
  const then = answers.models.find((one) => one.name === now.name) || now; // it came since
  const batches = total(now.batches) - total(then.batches);
  const framesIn = (model) => Object.entries(model.batches).reduce((sum, [size, one]) => sum + size * one, 0);
  const outcomes = Object.fromEntries(Object.entries(now.outcomes).map(([name, one]) => [name, one - then.outcomes[name]]));
  return {
    frames: now.frames - then.frames,
    busyNs: now.busy_ns - then.busy_ns,
    batches,
    batched: framesIn(now) - framesIn(then),
    outcomes,
    times: Object.fromEntries(Object.entries(now.times).map(([name, one]) => [name, ranges(one, then.times[name])])),
  };
}

const summed = (list) => list.reduce((sum, one) => one.map((value, index) => value + (sum[index] || 0)).concat(sum.slice(one.length)), []);

// The page, from the newest answer.

function show() {
  forgetColours();
  const now = history.at(-1);
  const server = now.server;
  $("state").textContent = server.draining ? "draining" : "serving";
  $("state").className = `state ${server.draining ? "bad" : "good"}`;
  $("about").textContent = `${server.version ? `version ${server.version}, ` : ""}up ${age(server.uptime_s)}, ` +
    `${server.threads} compute thread${server.threads > 1 ? "s" : ""}`;
  const recent = before(RATES_OVER);
  const elapsedNs = now.time_ns - recent.time_ns;
  const models = now.models.map((model) => ({ model, fast: change(model, recent), slow: change(model, before(LATENCY_OVER)) }));
  showCards(now, models, elapsedNs);
  showModels(models, elapsedNs, server.threads);
  showLatency(models);
  showStreams(now);
}

function showCards(now, models, elapsedNs) {
  const server = now.server;
  const sum = (part) => models.reduce((all, { fast }) => all + part(fast), 0);
  const frames = sum((fast) => fast.frames) / (elapsedNs / 1e9);
  const load = sum((fast) => fast.busyNs) / (elapsedNs * server.threads);
  const batch = sum((fast) => fast.batched) / sum((fast) => fast.batches);
  const p99 = quantile(summed(models.map(({ slow }) => slow.times.end_to_end || [])), 0.99);
  const outcomes = models.map(({ slow }) => slow.outcomes);
  const judged = outcomes.reduce((all, one) => all + total(one), 0);
  const met = outcomes.reduce((all, one) => all + (one.met || 0), 0) / judged;
  card("streams", now.stream_count, count(now.stream_count), `of ${count(server.max_streams)}`);
  card("rate", frames, elapsedNs ? count(frames) : NONE);
  card("load", load, elapsedNs ? percent(load) : NONE, `of ${server.threads} thread${server.threads > 1 ? "s" : ""}`);
  card("batch", batch, Number.isFinite(batch) ? String(digits(batch)) : NONE);
  card("p99", p99, time(p99));
  card("met", met, percent(met));
  card("memory", server.memory_bytes ?? NaN, bytes(server.memory_bytes), "resident");
}

function card(name, value, text, beside) {
  $(name).textContent = text;
  if (beside !== undefined) $(`${name}-of`).textContent = beside;
  sparks[name].push(value);
  sparks[name].splice(0, Math.max(0, sparks[name].length - KEPT));
  sparkline($(`spark-${name}`), sparks[name], "--accent", KEPT);
}

function cells(row, texts) {
  texts.forEach(([text, kind], index) => {
    const cell = row.cells[index] || row.insertCell();
    if (cell.textContent !== text) cell.textContent = text;
    cell.className = kind || "";
  });
}

// Rows by key, which stay the same elements: a focus is not lost when numbers change.
function rows(body, keys) {
  const there = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
  const wanted = new Set(keys);
  for (const [key, row] of there) if (!wanted.has(key)) row.remove();
  return keys.map((key, index) => {
    let row = there.get(key);
    if (!row) { row = document.createElement("tr"); row.dataset.key = key; }
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
    return row;
  });
}

// A model's name, with its versions where there is, or was, more than one.
function named(model) {
  const draining = model.draining.map((one) => `${one.version}: ${count(one.uses)} left`).join(", ");
  const version = model.version === null ? "unloaded" : model.version === "1" && !draining ? "" : model.version;
  return [model.name, version, draining && `(${draining})`].filter(Boolean).join(" ");
}

function showModels(models, elapsedNs, threads) {
  rows($("models"), models.map(({ model }) => model.name)).forEach((row, index) => {
    const { model, fast, slow } = models[index];
    const pair = (counts) => [counts ? `${time(quantile(counts, 0.5))}, ${time(quantile(counts, 0.99))}` : NONE, "n"];
    const outcome = (name) => [model.outcomes[name] === undefined ? NONE : count(model.outcomes[name]),
      `n ${name !== "met" && slow.outcomes[name] ? "warn" : model.outcomes[name] ? "" : "none"}`];
    const refused = total(model.refused);
    cells(row, [
      [named(model)], [count(model.active), "n"],
      [elapsedNs ? count(fast.frames / (elapsedNs / 1e9)) : NONE, "n"],
      [elapsedNs ? percent(fast.busyNs / (elapsedNs * threads)) : NONE, "n"],
      [fast.batches ? String(digits(fast.batched / fast.batches)) : NONE, "n"],
      pair(slow.times.queue), pair(slow.times.compute), pair(slow.times.end_to_end),
      [model.hop_ms ? `${digits(model.hop_ms)} ms` : NONE, "n"],
      outcome("met"), outcome("late"), outcome("skipped"), outcome("bypassed"),
      [count(refused), refused ? "n" : "n none"], [bytes(model.state_bytes), "n"],
    ]);
    row.cells[13].title = Object.entries(model.refused).map(([reason, one]) => `${reason}: ${one}`).join(", ");
  });
}

function showLatency(models) {
  const names = models.map(({ model }) => model.name);
  if (!names.includes(latencyModel)) {
    latencyModel = models.toSorted((one, other) => other.fast.frames - one.fast.frames)[0]?.model.name || "";
  }
  const tabs = $("latency-models");
  if (Array.from(tabs.children, (one) => one.textContent).join() !== names.join()) {
    tabs.replaceChildren(...names.map((name) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: name, onclick: () => { latencyModel = name; show(); } });
      return button;
    }));
  }
  for (const button of tabs.children) button.setAttribute("aria-pressed", String(button.textContent === latencyModel));
  const found = models.find(({ model }) => model.name === latencyModel);
  if (!found) return;
  const lanes = [["queue", "Queue", "--queue"], ["compute", "Compute", "--compute"], ["end_to_end", "End to end", "--total"]]
    .filter(([name]) => found.slow.times[name])
    .map(([name, label, tone]) => {
      const counts = found.slow.times[name];
      const said = `p50 ${time(quantile(counts, 0.5))}, p99 ${time(quantile(counts, 0.99))}`;
      return { label, colour: tone, counts, said };
    });
  latency($("latency"), lanes, found.model.hop_ms ? found.model.hop_ms * 1e6 : null);
  $("latency").setAttribute("aria-label", `${latencyModel}: ${lanes.map((lane) =>
    `${lane.label}, ${lane.said}`).join("; ")}`);
}

function signalOf(stream) {
  if (stream.size) {
    const share = stream.finished_share === null ? "" : `, ${percent(stream.finished_share)}`;
    return `${stream.size.join(" × ")} px${share}`;
  }
  if (!stream.sample_rate_hz) return "features";
  return `${stream.sample_rate_hz / 1000} kHz, ${stream.channels} ch`;
}

function showStreams(now) {
  const wanted = $("find").value.trim().toLowerCase();
  const found = now.streams.filter((one) => one.id.includes(wanted) || one.model.toLowerCase().includes(wanted));
  rows($("table"), found.map((one) => one.id)).forEach((row, index) => {
    const stream = found[index];
    cells(row, [["", "id"], [stream.model], [signalOf(stream)], [age(stream.age_s), "n"], [count(stream.frames), "n"],
      [time(stream.queue_ns), "n"], [time(stream.compute_ns), "n"], [count(stream.missed), stream.missed ? "n" : "n none"],
      [bytes(stream.state_bytes), "n"]]);
    const cell = row.cells[0];
    if (!cell.firstElementChild) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: stream.id.slice(0, 8), title: `See the signal of ${stream.id}`, onclick: () => choose(stream) });
      cell.replaceChildren(button);
    }
    row.className = chosen?.id === stream.id ? "chosen" : "";
  });
  const rest = now.stream_count - now.streams.length;
  $("more").textContent = now.stream_count === 0 ? "No stream is open." : rest > 0 ? `and ${count(rest)} older ones` : "";
}

// The chosen stream.

function choose(stream) {
  chosen = { id: stream.id, since: {}, views: new Map(), image: -1 };
  $("watch-title").textContent = `${stream.model} ${stream.id}`;
  $("watch-about").textContent = stream.size
    ? "Parts as they are sent and finished, from now on; every n-th pixel."
    : "The first channel, as it is sent and as it is answered.";
  $("watch").replaceChildren();
  $("watch").classList.toggle("images", Boolean(stream.size));
  show();
}

function view(key, caption, className, make) {
  if (!chosen.views.has(key)) {
    const figure = document.createElement("figure");
    const text = document.createElement("figcaption");
    const canvas = document.createElement("canvas");
    const [name, said] = [document.createElement("span"), document.createElement("span")];
    name.textContent = caption;
    text.append(name, said);
    canvas.className = className;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption);
    figure.append(text, canvas);
    figure.style.order = key === "sent" ? 0 : key === "answered" ? 1 : 2; // whichever comes first
    $("watch").append(figure);
    chosen.views.set(key, Object.assign(make(canvas), { said }));
  }
  return chosen.views.get(key);
}

const decoded = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));

function showSignal(seen) {
  for (const [side, part] of Object.entries(seen.columns)) {
    const caption = side === "sent" ? "Sent to the model" : "Answered";
    const waterfall = view(side, caption, "waterfall", (canvas) => new Waterfall(canvas, SHOWN_S));
    waterfall.push(decoded(part.data), seen);
    chosen.since[side] = part.next;
    waterfall.draw();
  }
  for (const [name, part] of Object.entries(seen.values)) {
    const line = view(`values.${name}`, name, "line", (canvas) => new Line(canvas, SHOWN_S));
    line.push(part.data, seen.values_per_second);
    line.said.textContent = line.values.length ? line.values.at(-1).toFixed(3) : "";
    chosen.since[`values.${name}`] = part.next;
    line.draw();
  }
}

function showImage(seen) {
  if (seen.image_index !== chosen.image) {
    for (const picture of chosen.views.values()) picture.clear?.();
    chosen.image = seen.image_index;
  }
  for (const patch of seen.patches.data) {
    const caption = patch.name === "sent" ? "Sent to the model" : `Finished: ${patch.name}`;
    const picture = view(patch.name, caption, "picture",
      (canvas) => new Picture(canvas, seen.height, seen.width, patch.name !== "sent"));
    picture.put(patch, new Float32Array(decoded(patch.data).buffer));
  }
  chosen.since.patches = seen.patches.next;
  for (const [name, picture] of chosen.views) {
    if (name !== "sent") picture.said.textContent = seen.finished_share === null ? "" : `${percent(seen.finished_share)} finished`;
    picture.draw();
  }
}

// Asking.

async function ask(path) {
  const response = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" });
  if (response.status === 401 || response.status === 403) {
    $("login").hidden = false;
    $("main").hidden = true;
    $("refused").textContent = token ? "This token may not see the server." : "";
    token = "";
  }
  return response;
}

async function numbers() {
  if ($("login").hidden && !document.hidden) {
    try {
      const response = await ask("api/overview");
      if (response.ok) {
        $("main").hidden = false;
        history.push(await response.json());
        history.splice(0, Math.max(0, history.length - KEPT));
        show();
      }
    } catch {
      $("state").textContent = "the server does not answer";
      $("state").className = "state bad";
      history.length = 0; // another server may come, which counts from 0
    }
  }
  setTimeout(numbers, NUMBERS_MS);
}

async function signal() {
  const asked = chosen;
  if (asked && !asked.ended && $("login").hidden && !document.hidden) {
    try {
      const response = await ask(`api/streams/${asked.id}?${new URLSearchParams(asked.since)}`);
      const seen = response.ok ? await response.json() : null;
      if (asked === chosen && seen) (seen.patches ? showImage : showSignal)(seen);
      if (asked === chosen && response.status === 404) {
        asked.ended = true;
        $("watch-about").textContent = "This stream has ended.";
      }
      if (asked === chosen && response.status === 429) {
        $("watch-about").textContent = "Too many streams are looked at; leave another one first.";
      }
    } catch {
      // `numbers` says that the server does not answer.
    }
  }
  setTimeout(signal, SIGNAL_MS);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  $("login").hidden = true;
});
$("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  for (const one of chosen?.views.values() ?? []) one.stale = true;
  if (history.length) show();
});
$("find").addEventListener("input", () => history.length && show());
window.addEventListener("resize", () => history.length && show());
numbers();
signal();
