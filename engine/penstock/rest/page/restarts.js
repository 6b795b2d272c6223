// When the job's tasks were started anew, and why: failures and rescales, along time and newest first.

import { colours, onColours } from "./colours.js";
import { h, onceAFrame, setAttribute, setPairs, setText, sized } from "./dom.js";
import { count, duration, time, words } from "./format.js";
import { get } from "./rest.js";
import { Table } from "./table.js";

const FAILURES_MAX = 100;
const [SIDE, TOP, LANE, SEEN_MIN, AXIS] = [14, 20, 26, 3, 13];

export class RestartsView {
  #facts = h("dl", { class: "facts wide" });
  #canvas = h("canvas", { class: "strip", role: "img" });
  #table;
  #feed;
  #failures = [];
  #job = null;

  constructor(go, feed) {
    this.#feed = feed;
    this.#table = new Table({
      label: "Restarts and rescales, newest first",
      columns: columns(),
      open: ({ isRescale }) => !isRescale && go("exceptions"),
      empty: "The tasks run since the job began: nothing has failed, nobody has rescaled it.",
    });
    const legend = h("ul", { class: "legend", "aria-label": "Colours" }, [["ok", "runs"], ["bad", "failure"], ["accent", "rescale"]].map(([kind, text]) => h("li", { class: kind }, text)));
    this.element = h("section", { class: "view", "aria-label": "Restarts" }, h("div", { class: "column" }, this.#facts, this.#canvas, legend, this.#table.element));
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    onColours(() => this.#draw());
  }

  enter() {}

  async ask(job, signal) {
    const [{ exceptionHistory }] = await Promise.all([
      get(`/jobs/${job.jid}/exceptions?maxExceptions=${FAILURES_MAX}`, signal),
      this.#feed.ask(job.jid, signal),
    ]);
    this.#failures = exceptionHistory.entries;
  }

  show({ job }) {
    if (!job) return;
    this.#job = job;
    const rows = [...this.#feed.rescales.map(ofRescale), ...this.#failures.map(ofFailure)].sort((one, other) => other.start - one.start);
    setPairs(this.#facts, [
      ["failures", count(this.#failures.length)],
      ["rescales", count(this.#feed.rescales.length)],
      ["since", time(job["start-time"])],
    ]);
    this.#table.show(rows.length, (at) => rows[at]);
    this.#draw();
  }

  #draw = onceAFrame(() => {
    if (!this.#job || !this.#canvas.isConnected || !this.#canvas.clientWidth) return;
    const { context, width } = sized(this.#canvas);
    const palette = colours();
    const from = this.#job["start-time"];
    const to = this.#job["end-time"] > 0 ? this.#job["end-time"] : this.#job.now;
    const x = (ms) => SIDE + ((Math.min(ms, to) - from) / Math.max(1, to - from)) * (width - 2 * SIDE);
    const band = (start, end, colour) => {
      context.fillStyle = colour;
      context.fillRect(x(start), TOP, Math.max(SEEN_MIN, x(end) - x(start)), LANE);
    };
    band(from, to, palette.ok);
    const { rescales } = this.#feed;
    for (const each of rescales) band(each.start, each.end ?? to, palette.accent);
    for (const each of this.#failures) band(each.timestamp, each.timestamp, palette.bad);
    context.font = `11px ${palette.sans}`;
    context.fillStyle = palette.muted;
    let free = 0;
    for (const each of rescales) {
      if (x(each.start) < free) continue;
      context.fillText(each.change, x(each.start), TOP - 6);
      free = x(each.start) + context.measureText(each.change).width + 8;
    }
    context.fillText(time(from), SIDE, TOP + LANE + AXIS);
    context.textAlign = "right";
    context.fillText(time(to), width - SIDE, TOP + LANE + AXIS);
    context.textAlign = "left";
    setAttribute(this.#canvas, "data-drawn", this.#failures.length + rescales.length);
    setAttribute(this.#canvas, "aria-label", `From ${time(from)} to ${time(to)}: ${this.#failures.length} failures, ${rescales.length} rescales`);
  });
}

function ofRescale({ start, end, change, outcome, cause, reason }) {
  const why = reason || (cause === "NEW_RESOURCE_AVAILABLE" ? "more slots have come" : "asked for");
  return { isRescale: true, start, what: "rescale", state: outcome, about: change, took: end === null ? NaN : end - start, why };
}

function ofFailure(entry) {
  const why = `${entry.exceptionName}: ${entry.stacktrace.split("\n", 1)[0]}`;
  return { isRescale: false, start: entry.timestamp, what: "failure", state: "FAILED", about: entry.taskName ?? "", took: NaN, why };
}

function columns() {
  return [
    { title: "at", width: "minmax(5rem, 12rem)", cell: ({ start }) => time(start) },
    { title: "what", width: "5rem", cell: ({ what }) => what },
    { title: "outcome", width: "7rem", fill: outcome },
    { title: "of", width: "minmax(6rem, 14rem)", cell: ({ about }) => about },
    { title: "took", width: "5rem", number: true, cell: ({ took }) => duration(took) },
    { title: "why", width: "minmax(12rem, 3fr)", cell: ({ why }) => why },
  ];
}

function outcome(cell, { state }) {
  setText(cell, words(state));
  setAttribute(cell, "data-state", state);
}
