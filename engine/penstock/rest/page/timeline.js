// Checkpoints along time, on a canvas: how long each took, what it wrote and what a restore would read, failures, savepoints,
// restores, rescales. Where there are more checkpoints than pixels, a column shows the mean and the longest, and the largest, of its own.

import { colours, onColours } from "./colours.js";
import { h, onceAFrame, setAttribute, sized } from "./dom.js";
import { bytes, duration, time, words } from "./format.js";
import { COMPLETED, FAILED, IN_PROGRESS, STATES } from "./history.js";

const LEFT = 72;
const RIGHT = 12;
const AXIS = 22;
const LANE_GAP = 22;
const TOP = 16;
const BAR_MAX = 10;
const FAILED_SEEN = 0.2;
const SHORTEST_MS = 2_000;
const AIR = 0.02;
const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800].map((s) => s * 1000);
const HELP = "Left and right choose a checkpoint, Enter shows its details, + and − zoom, 0 shows all.";

export class Timeline {
  #canvas = h("canvas", { class: "timeline", tabindex: "0", role: "slider", "aria-label": `Checkpoints along time. ${HELP}` });
  #tip = h("div", { class: "tip", hidden: true });
  #history = null;
  #restores = [];
  #rescales = [];
  #range = null;
  #drag = null;
  #hover = null;
  #columns = null;
  chosen = null;

  /** `open(id)` is called when a checkpoint is to be shown. */
  constructor(open) {
    this.element = h("div", { class: "timeline-box" }, this.#canvas, this.#tip);
    this.open = open;
    const on = (name, act, options) => this.#canvas.addEventListener(name, act, options);
    on("keydown", (event) => this.#key(event));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointerleave", () => this.#pointAt(null));
    on("dblclick", () => this.#look(null));
    on("focus", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    onColours(() => this.#draw());
  }

  show(history, restores, rescales) {
    [this.#history, this.#restores, this.#rescales] = [history, restores, rescales];
    this.#draw();
  }

  choose(id) {
    this.chosen = id;
    this.#draw();
  }

  #all() {
    const { trigger, duration: took, length } = this.#history;
    const first = length ? trigger[0] : Date.now() - 60_000;
    const last = length ? trigger[length - 1] + took[length - 1] : Date.now();
    const air = Math.max(SHORTEST_MS / 2, (last - first) * AIR);
    return { from: first - air, to: last + air };
  }

  /** Look at this part of time; null: at all of it, also of what is still to come. */
  #look(range) {
    if (range) {
      const all = this.#all();
      const length = Math.max(SHORTEST_MS, Math.min(range.to - range.from, all.to - all.from));
      const from = Math.min(Math.max(range.from, all.from), all.to - length);
      this.#range = length >= all.to - all.from ? null : { from, to: from + length };
    } else {
      this.#range = null;
    }
    this.#draw();
  }

  #zoom(factor, at) {
    const { from, to } = this.#range ?? this.#all();
    const middle = at ?? (from + to) / 2;
    this.#look({ from: middle - (middle - from) / factor, to: middle + (to - middle) / factor });
  }

  #draw = onceAFrame(() => {
    if (!this.#history || !this.#canvas.isConnected || !this.#canvas.clientWidth) return;
    const { context, width, height } = sized(this.#canvas);
    const palette = colours();
    const scene = this.#scene(width, height);
    this.#columns = columnsOf(this.#history, scene);
    setAttribute(this.#canvas, "data-drawn", this.#columns.length);
    setAttribute(this.#canvas, "data-rescales", this.#rescales.length);
    context.font = `11px ${palette.sans}`;
    drawAxis(context, scene, palette);
    const { tookMax, fullMax } = maxima(this.#columns);
    drawLane(context, scene, scene.upper, "duration", duration(tookMax), palette);
    drawLane(context, scene, scene.lower, "state", bytes(fullMax), palette);
    scene.barWidth = barWidth(this.#columns);
    for (const column of this.#columns) drawColumn(context, scene, column, tookMax, fullMax, palette);
    for (const rescale of this.#rescales) drawRescale(context, scene, rescale, palette);
    for (const restore of this.#restores) drawRestore(context, scene, restore, palette);
    this.#drawChosen(context, scene, palette);
    this.#describe();
  });

  #scene(width, height) {
    const { from, to } = this.#range ?? this.#all();
    const lanes = height - TOP - LANE_GAP - AXIS;
    const upper = { top: TOP, bottom: TOP + lanes * 0.62 };
    const x = (ms) => LEFT + ((ms - from) / (to - from)) * (width - LEFT - RIGHT);
    const ms = (at) => from + ((at - LEFT) / (width - LEFT - RIGHT)) * (to - from);
    return { from, to, width, height, upper, lower: { top: upper.bottom + LANE_GAP, bottom: height - AXIS }, x, ms };
  }

  #drawChosen(context, scene, palette) {
    for (const [id, colour] of [[this.#hover, palette.muted], [this.chosen, palette.accent]]) {
      const at = id === null ? -1 : this.#history.find(id);
      if (at < 0) continue;
      const x = Math.round(scene.x(this.#history.trigger[at])) + 0.5;
      if (x < LEFT || x > scene.width - RIGHT) continue;
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.strokeRect(x - 3.5, scene.upper.top - 6, barWidth(this.#columns) + 6, scene.lower.bottom - scene.upper.top + 8);
    }
  }

  #describe() {
    const at = this.chosen === null ? -1 : this.#history.find(this.chosen);
    const length = this.#history.length;
    setAttribute(this.#canvas, "aria-valuemin", length ? this.#history.id[0] : 0);
    setAttribute(this.#canvas, "aria-valuemax", length ? this.#history.id[length - 1] : 0);
    setAttribute(this.#canvas, "aria-valuenow", at < 0 ? 0 : this.chosen);
    setAttribute(this.#canvas, "aria-valuetext", at < 0 ? `${length} checkpoints, none chosen` : this.#spoken(at));
  }

  #spoken(at) {
    const { id, duration: took, written, full, state, savepoint } = this.#history;
    return `${savepoint[at] ? "Savepoint" : "Checkpoint"} ${id[at]}, ${words(STATES[state[at]])}, ${duration(took[at])}, wrote ${bytes(written[at])} of ${bytes(full[at])}`;
  }

  /** Choose the checkpoint so many before or after, and keep it in sight. */
  #step(by) {
    const { id, trigger, length } = this.#history;
    if (!length) return;
    const from = this.chosen === null ? -1 : this.#history.find(this.chosen);
    const at = from < 0 && Number.isFinite(by) ? length - 1 : Math.max(0, Math.min(length - 1, from + by));
    this.chosen = id[at];
    if (this.#range) {
      const { from: start, to } = this.#range;
      if (trigger[at] < start || trigger[at] > to) this.#look({ from: trigger[at] - (to - start) / 2, to: trigger[at] + (to - start) / 2 });
    }
    this.#draw();
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const acts = {
      ArrowLeft: () => this.#step(-1), ArrowDown: () => this.#step(-1),
      ArrowRight: () => this.#step(1), ArrowUp: () => this.#step(1),
      PageDown: () => this.#step(-100), PageUp: () => this.#step(100),
      Home: () => this.#step(-Infinity), End: () => this.#step(Infinity),
      "+": () => this.#zoom(1.5), "=": () => this.#zoom(1.5), "-": () => this.#zoom(1 / 1.5), 0: () => this.#look(null),
      Enter: () => this.chosen !== null && this.open(this.chosen),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  #wheel(event) {
    if (!this.#history?.length) return;
    event.preventDefault();
    const scene = this.#scene(this.#canvas.clientWidth, this.#canvas.clientHeight);
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = ((event.deltaX || event.deltaY) / scene.width) * (scene.to - scene.from);
      this.#look({ from: scene.from + by, to: scene.to + by });
    } else {
      this.#zoom(Math.exp(-event.deltaY / 300), scene.ms(event.offsetX));
    }
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const scene = this.#scene(this.#canvas.clientWidth, this.#canvas.clientHeight);
    this.#drag = { x: event.offsetX, from: scene.from, to: scene.to, hasMoved: false };
  }

  #move(event) {
    if (!this.#drag) return this.#pointAt(event);
    const by = event.offsetX - this.#drag.x;
    if (Math.abs(by) < 4 && !this.#drag.hasMoved) return;
    this.#drag.hasMoved = true;
    const { from, to } = this.#drag;
    const ms = (by / (this.#canvas.clientWidth - LEFT - RIGHT)) * (to - from);
    if (this.#range) this.#look({ from: from - ms, to: to - ms });
  }

  #up(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag || drag.hasMoved) return;
    const column = this.#near(event.offsetX);
    if (column) this.open(column.id);
  }

  #near(x) {
    let [nearest, distance] = [null, 12];
    for (const column of this.#columns ?? []) {
      const apart = Math.abs(column.x + barWidth(this.#columns) / 2 - x);
      if (apart < distance) [nearest, distance] = [column, apart];
    }
    return nearest;
  }

  #pointAt(event) {
    const column = event && this.#near(event.offsetX);
    const at = column ? this.#history.find(column.id) : -1;
    this.#tip.hidden = at < 0;
    const hover = at < 0 ? null : column.id;
    if (at >= 0) {
      this.#tip.textContent = `${this.#spoken(at)}, ${time(this.#history.trigger[at])}${column.count > 1 ? ` (the longest of ${column.count} here)` : ""}`;
      this.#tip.style.left = `${Math.max(0, Math.min(event.offsetX + 12, this.#canvas.clientWidth - this.#tip.offsetWidth - 4))}px`;
    }
    if (hover !== this.#hover) {
      this.#hover = hover;
      this.#draw();
    }
  }
}

/** What is drawn: one column for each pixel, or fewer, that has any checkpoints. Pure. */
export function columnsOf(history, scene) {
  const columns = [];
  const { id, trigger, duration: took, written, full, state, savepoint } = history;
  let last = null;
  for (let at = Math.max(0, history.since(scene.from) - 1); at < history.length && trigger[at] <= scene.to; at += 1) {
    const x = Math.round(scene.x(trigger[at]));
    if (x < LEFT) continue;
    if (!last || last.x < x) {
      last = { x, id: id[at], count: 0, took: -1, sum: 0, written: 0, full: 0, failed: 0, savepoints: 0, isOpen: false };
      columns.push(last);
    }
    last.count += 1;
    last.sum += took[at];
    if (took[at] > last.took) [last.took, last.id] = [took[at], id[at]];
    if (state[at] === FAILED) last.failed += 1;
    if (state[at] === IN_PROGRESS) last.isOpen = true;
    if (state[at] === COMPLETED) [last.written, last.full] = [Math.max(last.written, written[at]), Math.max(last.full, full[at])];
    last.savepoints += savepoint[at];
  }
  return columns;
}

function maxima(columns) {
  return {
    tookMax: columns.reduce((most, { took }) => Math.max(most, took), 1),
    fullMax: columns.reduce((most, { full }) => Math.max(most, full), 1),
  };
}

/** As wide as the usual distance leaves room for. */
function barWidth(columns) {
  if (columns.width) return columns.width;
  const distances = columns.slice(1).map(({ x }, at) => x - columns[at].x).sort((one, other) => one - other);
  const usual = Math.min(BAR_MAX + 2, distances[distances.length >> 1] ?? BAR_MAX + 2);
  columns.width = Math.max(1, usual > 3 ? usual - 2 : usual);
  return columns.width;
}

function drawAxis(context, scene, palette) {
  const wanted = (scene.to - scene.from) / Math.max(2, (scene.width - LEFT) / 110);
  const step = STEPS_MS.find((each) => each >= wanted) ?? STEPS_MS.at(-1);
  const offset = new Date(scene.from).getTimezoneOffset() * 60_000;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  for (let ms = Math.ceil((scene.from - offset) / step) * step + offset; ms <= scene.to; ms += step) {
    const x = Math.round(scene.x(ms)) + 0.5;
    context.strokeStyle = palette.line;
    context.beginPath();
    context.moveTo(x, scene.upper.top);
    context.lineTo(x, scene.lower.bottom);
    context.stroke();
    context.fillStyle = palette.muted;
    if (x > LEFT + 24 && x < scene.width - 28) context.fillText(clockOf(ms, step), x, scene.height - 6);
  }
}

const toSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const toMinutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const toDays = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

function clockOf(ms, step) {
  const at = new Date(ms);
  if (at.getHours() + at.getMinutes() + at.getSeconds() === 0) return toDays.format(at);
  return (step < 60_000 ? toSeconds : toMinutes).format(at);
}

function drawLane(context, scene, lane, title, most, palette) {
  context.strokeStyle = palette["strong-line"];
  context.beginPath();
  context.moveTo(LEFT, lane.bottom + 0.5);
  context.lineTo(scene.width - RIGHT, lane.bottom + 0.5);
  context.stroke();
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = palette.muted;
  context.fillText(most, LEFT - 10, lane.top + 4);
  context.fillText(title, LEFT - 10, (lane.top + lane.bottom) / 2);
  context.fillText("0", LEFT - 10, lane.bottom - 2);
}

function drawColumn(context, scene, column, tookMax, fullMax, palette) {
  const width = scene.barWidth;
  const high = (lane, share) => Math.max(1, Math.round((lane.bottom - lane.top) * Math.min(1, share)));
  const bar = (lane, share, colour) => {
    context.fillStyle = colour;
    context.fillRect(column.x, lane.bottom - high(lane, share), width, high(lane, share));
  };
  const colour = column.isOpen ? palette["strong-line"] : palette.ok;
  if (column.count > 1) {
    context.globalAlpha = 0.4;
    bar(scene.upper, column.took / tookMax, colour);
    context.globalAlpha = 1;
  }
  bar(scene.upper, column.sum / column.count / tookMax, colour);
  if (column.failed) bar(scene.upper, Math.max(FAILED_SEEN, column.failed / column.count) * (column.took / tookMax), palette.bad);
  if (column.full) bar(scene.lower, column.full / fullMax, palette.idle);
  if (column.written) bar(scene.lower, column.written / fullMax, palette.accent);
  if (column.savepoints) diamond(context, column.x + width / 2, scene.upper.top - 8, palette.accent);
}

function diamond(context, x, y, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x, y - 4);
  context.lineTo(x + 4, y);
  context.lineTo(x, y + 4);
  context.lineTo(x - 4, y);
  context.fill();
}

function drawRestore(context, scene, restore, palette) {
  const x = Math.round(scene.x(restore.restore_timestamp)) + 0.5;
  if (x < LEFT || x > scene.width - RIGHT) return;
  context.save();
  context.setLineDash([3, 3]);
  context.strokeStyle = palette.pressure;
  context.beginPath();
  context.moveTo(x, scene.upper.top);
  context.lineTo(x, scene.lower.bottom);
  context.stroke();
  context.restore();
  context.fillStyle = palette.pressure;
  context.textBaseline = "middle";
  const text = `restored from ${restore.id}`;
  const isRight = x + context.measureText(text).width + 6 < scene.width;
  context.textAlign = isRight ? "left" : "right";
  context.fillText(text, isRight ? x + 4 : x - 4, scene.upper.bottom + LANE_GAP / 2);
}

/** From its beginning to its end, behind the columns that it took. */
function drawRescale(context, scene, rescale, palette) {
  const [from, to] = [Math.max(LEFT, scene.x(rescale.start)), Math.min(scene.width - RIGHT, scene.x(rescale.end ?? scene.to))];
  if (to < LEFT || from > scene.width - RIGHT) return;
  context.fillStyle = palette.accent;
  context.globalAlpha = 0.25;
  context.fillRect(from, scene.upper.top, Math.max(2, to - from), scene.lower.bottom - scene.upper.top);
  context.globalAlpha = 1;
  context.textBaseline = "middle";
  const isRight = from + context.measureText(rescale.change).width + 6 < scene.width;
  context.textAlign = isRight ? "left" : "right";
  context.fillText(rescale.change, isRight ? from + 4 : from - 4, scene.upper.top + 8);
}
