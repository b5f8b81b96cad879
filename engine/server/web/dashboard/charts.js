// Draws what the page shows on canvases: nothing here asks the server for anything.

// A colour of the page's style as the browser resolves it, light or dark; kept until `forgetColours`.
const probe = document.createElement("span");
const colours = new Map();
export const forgetColours = () => colours.clear();

export function colour(name) {
  if (!colours.has(name)) {
    if (!probe.isConnected) { probe.hidden = true; document.body.append(probe); }
    probe.style.color = `var(${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

export const isDark = () => {
  const [red, green, blue] = colour("--back").match(/[\d.]+/g).map(Number);
  return red + green + blue < 384;
};

// The canvas's context with one unit a CSS pixel, and its size in those; null while it is not shown.
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const FONT = '11.5px system-ui, "DejaVu Sans", sans-serif';

export function sparkline(canvas, values, name, count) {
  const fit = fitted(canvas);
  if (!fit || values.length < 2) return;
  const { context, width, height } = fit;
  const known = values.filter(Number.isFinite);
  const most = Math.max(...known, 1e-9);
  const x = (index) => width - ((values.length - 1 - index) / (count - 1)) * width;
  const y = (value) => height - 2 - (value / most) * (height - 5);
  context.beginPath();
  let pen = false;
  let first = 0;
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) return;
    if (pen) context.lineTo(x(index), y(value)); else { context.moveTo(x(index), y(value)); first = index; }
    pen = true;
  });
  if (!pen) return;
  context.strokeStyle = colour(name);
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(x(values.length - 1), height);
  context.lineTo(x(first), height);
  context.globalAlpha = 0.12;
  context.fillStyle = colour(name);
  context.fill();
  context.globalAlpha = 1;
}

// Times in ranges, four an octave, as the server counts them: where range `index` begins, in ns.
export const rangeStart = (index) => (4 + (index % 4)) * 2 ** Math.floor(index / 4);

const TICKS = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
const tickName = (ns) => (ns < 1e6 ? `${ns / 1e3} µs` : ns < 1e9 ? `${ns / 1e6} ms` : `${ns / 1e9} s`);

// lanes: [{label, said, colour, counts}], counts by range; deadlineNs: drawn as a line, or null.
export function latency(canvas, lanes, deadlineNs) {
  const fit = fitted(canvas);
  if (!fit) return;
  const { context, width, height } = fit;
  const [left, right, bottom] = [176, 12, 20];
  const used = lanes.flatMap((lane) => lane.counts.flatMap((count, index) => (count ? [index] : [])));
  const low = used.length ? Math.min(rangeStart(Math.min(...used)), 2e4) : 1e4;
  const high = used.length ? Math.max(rangeStart(Math.max(...used) + 1), (deadlineNs || 0) * 1.6, 2e7) : 1e8;
  const x = (ns) => left + ((Math.log(ns) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (width - left - right);
  context.font = FONT;
  context.textBaseline = "alphabetic";
  context.textAlign = "center";
  for (const tick of TICKS.filter((ns) => ns >= low && ns <= high)) {
    context.strokeStyle = colour("--line");
    context.beginPath();
    context.moveTo(x(tick), 0);
    context.lineTo(x(tick), height - bottom);
    context.stroke();
    context.fillStyle = colour("--quiet");
    context.fillText(tickName(tick), Math.min(x(tick), width - 22), height - 5);
  }
  const laneHeight = (height - bottom) / lanes.length;
  lanes.forEach((lane, row) => {
    const base = (row + 1) * laneHeight;
    const most = Math.max(...lane.counts, 1);
    context.fillStyle = colour(lane.colour);
    lane.counts.forEach((count, index) => {
      if (!count) return;
      const [from, to] = [Math.max(x(rangeStart(index)), left), x(rangeStart(index + 1))];
      const tall = Math.max((count / most) * (laneHeight - 14), 1.5);
      context.fillRect(from, base - tall, Math.max(to - from - 1, 1), tall);
    });
    context.textAlign = "left";
    context.fillStyle = colour("--ink");
    context.fillText(lane.label, 0, base - laneHeight / 2 + 2);
    context.fillStyle = colour("--quiet");
    context.fillText(lane.said, 0, base - laneHeight / 2 + 17);
    context.strokeStyle = colour("--line");
    context.beginPath();
    context.moveTo(left, base + 0.5);
    context.lineTo(width - right, base + 0.5);
    context.stroke();
  });
  if (deadlineNs && deadlineNs < high) {
    context.strokeStyle = colour("--bad");
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x(deadlineNs), 0);
    context.lineTo(x(deadlineNs), height - bottom);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = colour("--bad");
    context.textAlign = "right";
    context.fillText("one hop", x(deadlineNs) - 5, 11);
  }
}

// From quiet to loud, so that silence is the page's own ground in both themes.
const LIGHT = [[255, 255, 255], [205, 226, 229], [111, 176, 184], [31, 111, 130], [38, 62, 99], [48, 28, 60]];
const DARK = [[18, 25, 29], [22, 50, 66], [24, 96, 112], [56, 160, 148], [166, 209, 140], [250, 240, 176]];

const GREYS = [[0, 0, 0], [255, 255, 255]];

// 256 levels of colours as canvases keep them.
function shades(stops) {
  const table = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (stops.length - 1);
    const from = Math.min(Math.floor(place), stops.length - 2);
    for (let part = 0; part < 3; part++) {
      table[level * 4 + part] = stops[from][part] + (stops[from + 1][part] - stops[from][part]) * (place - from);
    }
    table[level * 4 + 3] = 255;
  }
  return new Uint32Array(table.buffer);
}

const tones = () => shades(isDark() ? DARK : LIGHT);

const mel = (hz) => Math.log10(1 + hz / 700);

// The last seconds of one side's spectrogram; the newest column is at the right.
export class Waterfall {
  constructor(canvas, seconds) {
    this.canvas = canvas;
    this.seconds = seconds;
    this.columns = [];
    this.picture = document.createElement("canvas");
  }

  push(bytes, { bands, columns_per_second: perSecond, lowest_hz: lowestHz, highest_hz: highestHz }) {
    Object.assign(this, { bands, perSecond, lowestHz, highestHz });
    for (let at = 0; at + bands <= bytes.length; at += bands) this.columns.push(bytes.subarray(at, at + bands));
    this.columns.splice(0, Math.max(0, this.columns.length - this.seconds * perSecond));
  }

  draw() {
    const fit = fitted(this.canvas);
    if (!fit || !this.bands) return;
    const { context, width, height } = fit;
    const count = this.seconds * this.perSecond;
    const levels = tones();
    Object.assign(this.picture, { width: count, height: this.bands });
    const image = new ImageData(count, this.bands);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(levels[0]);
    const first = count - this.columns.length;
    this.columns.forEach((column, index) => {
      for (let band = 0; band < this.bands; band++) {
        pixels[(this.bands - 1 - band) * count + first + index] = levels[column[band]];
      }
    });
    this.picture.getContext("2d").putImageData(image, 0, 0);
    const [left, bottom] = [44, 18];
    context.imageSmoothingEnabled = true;
    context.drawImage(this.picture, left, 0, width - left, height - bottom);
    context.font = FONT;
    context.fillStyle = colour("--quiet");
    context.textAlign = "right";
    for (const hz of [200, 500, 1000, 2000, 4000, 8000, 16000].filter((one) => one < this.highestHz * 0.97)) {
      const [low, high] = [mel(this.lowestHz), mel(this.highestHz)];
      const y = (height - bottom) * (1 - (mel(hz) - low) / (high - low));
      context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, left - 5, Math.max(y + 4, 9));
    }
    context.textAlign = "center";
    for (let ago = 2; ago < this.seconds; ago += 2) {
      context.fillText(`−${ago} s`, width - (ago / this.seconds) * (width - left), height - 4);
    }
    context.textAlign = "right";
    context.fillText("now", width, height - 4);
  }
}

// A number a frame over the last seconds, such as a speech probability.
export class Line {
  constructor(canvas, seconds) {
    Object.assign(this, { canvas, seconds, values: [] });
  }

  push(values, perSecond) {
    this.perSecond = perSecond;
    this.values.push(...values);
    this.values.splice(0, Math.max(0, this.values.length - Math.ceil(this.seconds * perSecond)));
  }

  draw() {
    const fit = fitted(this.canvas);
    if (!fit || !this.values.length) return;
    const { context, width, height } = fit;
    const [least, most] = [Math.min(0, ...this.values), Math.max(1, ...this.values)];
    const left = 44;
    const x = (index) => width - ((this.values.length - index) / (this.seconds * this.perSecond)) * (width - left);
    const y = (value) => height - 4 - ((value - least) / (most - least)) * (height - 10);
    context.font = FONT;
    context.fillStyle = colour("--quiet");
    context.textAlign = "right";
    for (const level of [least, most]) {
      context.fillText(String(+level.toPrecision(3)), left - 5, Math.min(Math.max(y(level) + 4, 10), height - 2));
      context.strokeStyle = colour("--line");
      context.beginPath();
      context.moveTo(left, y(level));
      context.lineTo(width, y(level));
      context.stroke();
    }
    context.beginPath();
    this.values.forEach((value, index) => context.lineTo(x(index), y(value)));
    context.strokeStyle = colour("--accent");
    context.lineWidth = 1.5;
    context.stroke();
  }
}

// An image that fills as its parts come; a new part is framed for a moment.
export class Picture {
  constructor(canvas, height, width, toned) {
    Object.assign(this, { canvas, toned, height: 0, width: 0, values: new Float32Array(0), fresh: [] });
    this.grow(height, width);
  }

  grow(height, width) {
    if (height <= this.height && width <= this.width) return;
    const [tall, wide] = [Math.max(height, this.height), Math.max(width, this.width)];
    const values = new Float32Array(tall * wide).fill(NaN);
    for (let row = 0; row < this.height; row++) {
      values.set(this.values.subarray(row * this.width, (row + 1) * this.width), row * wide);
    }
    Object.assign(this, { values, height: tall, width: wide });
  }

  put(patch, floats) {
    this.grow(patch.y + patch.height, patch.x + patch.width);
    for (let row = 0; row < patch.height; row++) {
      this.values.set(floats.subarray(row * patch.width, (row + 1) * patch.width), (patch.y + row) * this.width + patch.x);
    }
    this.stale = true;
    this.fresh.push({ ...patch, until: performance.now() + 900 });
  }

  clear() {
    this.values.fill(NaN);
    this.fresh = [];
    this.stale = true;
  }

  draw() {
    if (!this.height || !this.width || !(this.stale || this.fresh.length)) return;
    this.stale = false;
    let [least, most] = [Infinity, -Infinity];
    for (const value of this.values) if (value === value) { least = Math.min(least, value); most = Math.max(most, value); }
    Object.assign(this.canvas, { height: this.height, width: this.width });
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    const levels = this.toned ? tones() : shades(GREYS);
    const scale = 255 / Math.max(most - least, 1e-9);
    this.values.forEach((value, index) => { if (value === value) pixels[index] = levels[Math.round((value - least) * scale)]; });
    context.putImageData(image, 0, 0);
    const now = performance.now();
    this.fresh = this.fresh.filter((patch) => patch.until > now);
    context.strokeStyle = colour("--queue");
    for (const patch of this.fresh) {
      context.globalAlpha = (patch.until - now) / 900;
      context.strokeRect(patch.x + 0.5, patch.y + 0.5, patch.width - 1, patch.height - 1);
    }
    context.globalAlpha = 1;
  }
}
