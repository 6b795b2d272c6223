// One checkpoint: what it came to in each vertex, with its parts in time, and subtask by subtask when asked for.

import { h, setAttribute, setPairs, setText } from "./dom.js";
import { bytes, chain, duration, percent, time, words } from "./format.js";
import { FAILED, IN_PROGRESS, STATES } from "./history.js";
import { Panel } from "./panel.js";
import { Refused, each, get } from "./rest.js";
import { Table } from "./table.js";

const VERTICES_ASKED_MAX = 12;
const PARTS = [["delay", "start delay"], ["alignment", "alignment"], ["sync", "sync"], ["async", "async"]];

export class CheckpointPanel {
  #panel;
  #facts = h("dl", { class: "facts" });
  #message = h("pre", { class: "failure", hidden: true });
  #vertices;
  #subtasks;
  #heading = h("h3", { hidden: true });
  #details = null;
  #byVertex = new Map();
  #vertex = null;
  #isForgotten = false;
  #names = new Map();
  #history = null;
  checkpoint = null;

  constructor(close) {
    this.#panel = new Panel("Checkpoint", close);
    this.#vertices = new Table({ label: "Vertices", columns: vertexColumns((id) => this.#names.get(id) ?? id), open: ({ vertex }) => this.#openVertex(vertex), marked: ({ vertex }) => vertex === this.#vertex });
    this.#subtasks = new Table({ label: "Subtasks", columns: subtaskColumns() });
    this.#panel.body.append(this.#facts, this.#message, legend(), this.#vertices.element, this.#heading, this.#subtasks.element);
    this.#subtasks.element.hidden = true;
  }

  get element() {
    return this.#panel.element;
  }

  open(checkpoint, history) {
    this.#history = history;
    if (checkpoint !== this.checkpoint) {
      this.checkpoint = checkpoint;
      [this.#details, this.#byVertex, this.#vertex, this.#isForgotten] = [null, new Map(), null, false];
      this.#draw();
    }
    if (checkpoint === null) this.#panel.hide();
    else this.#panel.open();
  }

  askSettings(job, signal) {
    return get(`/jobs/${job.jid}/checkpoints/config`, signal);
  }

  async ask(job, signal) {
    const checkpoint = this.checkpoint;
    const isOver = this.#details !== null && this.#details.status !== "IN_PROGRESS";
    if (checkpoint === null || this.#isForgotten || (isOver && !this.#missing().length)) return;
    const path = `/jobs/${job.jid}/checkpoints/details/${checkpoint}`;
    try {
      const details = isOver ? this.#details : await get(path, signal);
      if (checkpoint !== this.checkpoint) return;
      this.#details = details;
      await each(this.#missing(), async (vertex) => {
        const subtasks = await get(`${path}/subtasks/${encodeURIComponent(vertex)}`, signal);
        if (checkpoint === this.checkpoint) this.#byVertex.set(vertex, { ...subtasks, isOver: details.status !== "IN_PROGRESS" });
      });
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      this.#isForgotten = checkpoint === this.checkpoint;
    }
    this.#draw();
  }

  show(job, history) {
    this.#history = history;
    this.#names = new Map(job.vertices.map((vertex) => [vertex.id, chain(vertex.name)]));
    this.#draw();
  }

  /** Vertices whose subtasks are still to be asked for: the chosen one, and the first few. */
  #missing() {
    if (!this.#details) return [];
    const wanted = Object.keys(this.#details.tasks).slice(0, VERTICES_ASKED_MAX);
    if (this.#vertex && !wanted.includes(this.#vertex)) wanted.push(this.#vertex);
    return wanted.filter((vertex) => !this.#byVertex.get(vertex)?.isOver);
  }

  #openVertex(vertex) {
    this.#vertex = this.#vertex === vertex ? null : vertex;
    this.element.dispatchEvent(new CustomEvent("asknow", { bubbles: true }));
    this.#draw();
  }

  #draw() {
    if (this.checkpoint === null) return;
    const at = this.#history.find(this.checkpoint);
    this.#panel.title = `${at >= 0 && this.#history.savepoint[at] ? "Savepoint" : "Checkpoint"} ${this.checkpoint}`;
    setPairs(this.#facts, facts(this.#history, at, this.#details, this.#isForgotten));
    const failure = this.#details?.failure_message ?? this.#history.failures.get(this.checkpoint);
    this.#message.hidden = !failure;
    setText(this.#message, failure ?? "");
    const tasks = Object.entries(this.#details?.tasks ?? {}).map(([vertex, task]) => ({ vertex, task, more: this.#byVertex.get(vertex) }));
    this.#vertices.show(tasks.length, (index) => tasks[index]);
    this.#vertices.element.hidden = this.#isForgotten;
    this.#drawSubtasks();
  }

  #drawSubtasks() {
    const found = this.#vertex && this.#byVertex.get(this.#vertex);
    this.#heading.hidden = this.#subtasks.element.hidden = !found;
    if (!found) return;
    setText(this.#heading, `Subtasks of ${this.#names.get(this.#vertex) ?? this.#vertex}`);
    this.#subtasks.show(found.subtasks.length, (index) => found.subtasks[index]);
  }
}

function facts(history, at, details, isForgotten) {
  if (at < 0 && !details) return [["state", isForgotten ? "not remembered: it was never taken, or long ago" : "…"]];
  const of = (column) => history[column][at];
  const state = details?.status ?? STATES[of("state")];
  const pairs = [
    ["state", words(state)],
    ["triggered", time(details?.trigger_timestamp ?? of("trigger"))],
    [state === STATES[IN_PROGRESS] ? "running for" : "duration", duration(details?.end_to_end_duration ?? of("duration"))],
    ["written", bytes(details?.checkpointed_size ?? of("written"))],
    ["read by a restore", bytes(details?.state_size ?? of("full"))],
    ["subtasks", `${details?.num_acknowledged_subtasks ?? of("acknowledged")} of ${details?.num_subtasks ?? of("tasks")}`],
  ];
  if (details?.savepointFormat) pairs.push(["format", words(details.savepointFormat)]);
  if (details?.processed_data) pairs.push(["processed while aligning", bytes(details.processed_data)], ["persisted in flight", bytes(details.persisted_data)]);
  if (details?.external_path) pairs.push(["path", h("code", {}, `${details.external_path}${details.discarded ? " (removed)" : ""}`)]);
  if (isForgotten) pairs.push(["details", "the JobManager no longer remembers them (web.checkpoints.history)"]);
  if (state === STATES[FAILED] && details?.failure_timestamp) pairs.push(["failed", time(details.failure_timestamp)]);
  return pairs;
}

function legend() {
  return h("ul", { class: "legend", "aria-label": "Parts of the duration" }, PARTS.map(([kind, text]) => h("li", { class: kind }, text)));
}

function vertexColumns(nameOf) {
  return [
    { title: "vertex", width: "minmax(10rem, 2fr)", cell: ({ vertex }) => nameOf(vertex) },
    { title: "acked", width: "4rem", number: true, cell: ({ task }) => `${task.num_acknowledged_subtasks}/${task.num_subtasks}` },
    { title: "duration", width: "5rem", number: true, cell: ({ task }) => duration(task.end_to_end_duration) },
    { title: "slowest parts", width: "minmax(6rem, 1fr)", fill: drawParts },
    { title: "written", width: "4.6rem", number: true, cell: ({ task }) => bytes(task.checkpointed_size) },
    { title: "full", width: "4.6rem", number: true, cell: ({ task }) => bytes(task.state_size) },
  ];
}

/** The largest of each part among the vertex's subtasks, one beside the other. */
function drawParts(cell, { more }) {
  if (!cell.firstChild) cell.append(h("span", { class: "parts" }, PARTS.map(([kind]) => h("i", { class: kind }))));
  const { summary } = more ?? {};
  const parts = summary
    ? { delay: summary.start_delay.max, alignment: summary.alignment.duration.max, sync: summary.checkpoint_duration.sync.max, async: summary.checkpoint_duration.async.max }
    : {};
  const all = Object.values(parts).reduce((sum, ms) => sum + ms, 0);
  PARTS.forEach(([kind], at) => (cell.firstChild.children[at].style.width = all ? percent(parts[kind] / all).replace(/\s/g, "") : "0"));
  const text = summary ? PARTS.map(([kind, name]) => `${name} ${duration(parts[kind])}`).join(", ") : null;
  setAttribute(cell, "title", text);
  setAttribute(cell, "aria-label", text);
}

function subtaskColumns() {
  const done = (write) => (row) => (row.status === "completed" ? write(row) : "–");
  return [
    { title: "#", width: "2rem", number: true, cell: ({ index }) => String(index) },
    { title: "acked at", width: "minmax(5rem, 1fr)", cell: (row) => (row.status === "completed" ? time(row.ack_timestamp) : "not yet") },
    { title: "duration", width: "4.2rem", number: true, cell: done((row) => duration(row.end_to_end_duration)) },
    { title: "delay", width: "4.2rem", number: true, cell: done((row) => duration(row.start_delay)) },
    { title: "align.", width: "4.2rem", number: true, cell: done((row) => (row.unaligned_checkpoint ? "unaligned" : duration(row.alignment.duration))) },
    { title: "sync", width: "4.2rem", number: true, cell: done((row) => duration(row.checkpoint.sync)) },
    { title: "async", width: "4.2rem", number: true, cell: done((row) => duration(row.checkpoint.async)) },
    { title: "written", width: "4.2rem", number: true, cell: done((row) => bytes(row.checkpointed_size)) },
    { title: "full", width: "4.2rem", number: true, cell: done((row) => bytes(row.state_size)) },
  ];
}
