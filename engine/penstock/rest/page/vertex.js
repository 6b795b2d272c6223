// One vertex: its subtasks with what each does, and its flame graph.

import { h, setPairs } from "./dom.js";
import { bytes, chain, count, duration, percent, short, watermark, words } from "./format.js";
import { FlameGraph } from "./flame.js";
import { Panel, choices } from "./panel.js";
import { get } from "./rest.js";
import { Table } from "./table.js";

const VIEWS = ["Subtasks", "Flame graph"];

export class VertexPanel {
  #panel;
  #facts = h("dl", { class: "facts" });
  #subtasks;
  #flames = new FlameGraph();
  #view = VIEWS[0];
  #job = null;
  vertex = null;

  constructor(close) {
    this.#panel = new Panel("Vertex", close);
    this.#subtasks = new Table({ label: "Subtasks", columns: columns() });
    this.#panel.body.append(this.#facts, choices("What to show", VIEWS, (name) => this.#choose(name)), this.#subtasks.element, this.#flames.element);
    this.#choose(this.#view);
  }

  get element() {
    return this.#panel.element;
  }

  open(vertex) {
    if (vertex !== this.vertex) {
      this.vertex = vertex;
      this.#subtasks.show(0, () => null);
      this.#flames.reset();
      if (this.#job) this.show(this.#job);
    }
    if (vertex) this.#panel.open();
    else this.#panel.hide();
  }

  async ask(job, signal) {
    const vertex = this.vertex;
    if (!vertex || !job.vertices.some(({ id }) => id === vertex)) return;
    const path = `/jobs/${job.jid}/vertices/${encodeURIComponent(vertex)}`;
    if (this.#view === VIEWS[1]) return this.#flames.ask(path, signal);
    const answers = await Promise.all([get(path, signal), get(`${path}/backpressure`, signal), get(`${path}/watermarks`, signal)]);
    if (vertex === this.vertex) this.#fill(...answers);
  }

  show(job) {
    this.#job = job;
    const vertex = job.vertices.find(({ id }) => id === this.vertex);
    if (!vertex) {
      this.#panel.title = "No such vertex";
      setPairs(this.#facts, this.vertex ? [["id", this.vertex]] : []);
      return;
    }
    const { metrics } = vertex;
    this.#panel.title = chain(vertex.name);
    setPairs(this.#facts, [
      ["state", words(vertex.status)],
      ["parallelism", `${vertex.parallelism} of at most ${vertex.maxParallelism}`],
      ["running for", duration(vertex.duration)],
      ["records in", `${count(metrics["read-records"])} · ${bytes(metrics["read-bytes"])}`],
      ["records out", `${count(metrics["write-records"])} · ${bytes(metrics["write-bytes"])}`],
      ["id", h("code", {}, vertex.id)],
    ]);
  }

  #fill({ subtasks }, backpressure, watermarks) {
    const loads = new Map(backpressure.subtasks.map((each) => [each.subtask, each]));
    const marks = new Map(watermarks.map(({ id, value }) => [Number(id.split(".")[0]), Number(value)]));
    const rows = subtasks.map((each) => ({ ...each, load: loads.get(each.subtask), watermark: marks.get(each.subtask) }));
    this.#subtasks.show(rows.length, (at) => rows[at]);
  }

  #choose(view) {
    this.#view = view;
    this.#subtasks.element.hidden = view !== VIEWS[0];
    this.#flames.element.hidden = view !== VIEWS[1];
    this.element.dispatchEvent(new CustomEvent("asknow", { bubbles: true }));
  }
}

function columns() {
  return [
    { title: "#", width: "2rem", number: true, cell: ({ subtask }) => String(subtask) },
    { title: "state", width: "5rem", cell: ({ status }) => words(status) },
    { title: "busy", width: "3.4rem", number: true, cell: ({ load }) => percent(load?.busyRatio) },
    { title: "backpr.", width: "3.4rem", number: true, cell: ({ load }) => percent(load?.ratio) },
    { title: "waits", width: "3.4rem", number: true, cell: ({ load }) => percent(load ? 1 - load.busyRatio - load.ratio - load.idleRatio : NaN) },
    { title: "idle", width: "3.4rem", number: true, cell: ({ load }) => percent(load?.idleRatio) },
    { title: "in", width: "3.6rem", number: true, cell: ({ metrics }) => short(metrics["read-records"]) },
    { title: "out", width: "3.6rem", number: true, cell: ({ metrics }) => short(metrics["write-records"]) },
    { title: "watermark", width: "minmax(5rem, 1fr)", number: true, cell: (row) => watermark(row.watermark ?? NaN) },
    { title: "attempt", width: "4rem", number: true, cell: ({ attempt }) => String(attempt) },
    { title: "task manager", width: "minmax(6rem, 1.4fr)", cell: (row) => row["taskmanager-id"] },
  ];
}
