// The TaskManagers: slots, tasks, memory, when they were last heard of, and where their logs are.

import { h, setPairs } from "./dom.js";
import { ago, bytes, count, percent } from "./format.js";
import { Panel } from "./panel.js";
import { address, get } from "./rest.js";
import { Table } from "./table.js";

const LOGS_SHOWN = 40;

export class TaskManagersView {
  #table;
  #panel;
  #facts = h("dl", { class: "facts" });
  #logs = h("ul", { class: "links" });
  #managers = [];
  #details = null;
  #go;
  #chosen = null;

  constructor(go) {
    this.#go = go;
    this.#table = new Table({
      label: "Task managers",
      columns: columns(),
      open: ({ id }) => go(`taskmanagers/${encodeURIComponent(id)}`),
      marked: ({ id }) => id === this.#chosen,
      empty: "No task manager is registered.",
    });
    this.#panel = new Panel("Task manager", () => this.#close());
    this.#panel.body.append(this.#facts, h("h3", {}, "Logs and stacks"), this.#logs);
    this.element = h("section", { class: "view", "aria-label": "Task managers" }, h("div", { class: "column" }, this.#table.element), this.#panel.element);
  }

  enter([id]) {
    this.#chosen = id ? decodeURIComponent(id) : null;
    this.#details = null;
    this.#logs.replaceChildren();
    setPairs(this.#facts, []);
    if (this.#chosen) this.#panel.open();
    else this.#panel.hide();
    this.#panel.title = this.#chosen ?? "";
    this.show();
  }

  async ask(job, signal) {
    this.#managers = (await get("/taskmanagers", signal)).taskmanagers;
    const chosen = this.#chosen;
    if (!this.#managers.some(({ id }) => id === chosen)) return;
    const path = `/taskmanagers/${encodeURIComponent(chosen)}`;
    const [details, { logs }] = await Promise.all([get(path, signal), get(`${path}/logs`, signal)]);
    if (chosen !== this.#chosen) return;
    this.#details = details;
    this.#showLogs(path, logs);
  }

  show() {
    this.#table.show(this.#managers.length, (at) => this.#managers[at]);
    if (!this.#chosen) return;
    const known = this.#managers.find(({ id }) => id === this.#chosen);
    if (!known) return setPairs(this.#facts, [["state", "not registered"]]);
    if (this.#details?.id === this.#chosen) setPairs(this.#facts, facts(this.#details));
  }

  #showLogs(path, logs) {
    const shown = logs.slice(0, LOGS_SHOWN);
    const written = shown.map(({ name, size }) => `${name} ${size}`).join();
    if (this.#logs.written === written && this.#logs.firstChild) return;
    this.#logs.written = written;
    const link = (where, text) => h("li", {}, h("a", { href: address(where), target: "_blank", rel: "noreferrer" }, text));
    const none = h("li", { class: "muted" }, "No log files: env.log.dir says where to keep some.");
    this.#logs.replaceChildren(
      ...(shown.length ? [] : [none]),
      link(`${path}/thread-dump`, "stacks of all threads, now (JSON)"),
      ...shown.map(({ name, size }) => link(`${path}/logs/${encodeURIComponent(name)}`, `${name} · ${bytes(size)}`)),
    );
  }

  #close() {
    this.#go("taskmanagers");
    this.#table.scroller.focus({ preventScroll: true });
  }
}

function columns() {
  return [
    { title: "id", width: "minmax(12rem, 2fr)", cell: ({ id }) => id },
    { title: "slots in use", width: "7rem", number: true, cell: (row) => `${row.slotsNumber - row.freeSlots} of ${row.slotsNumber}` },
    { title: "tasks", width: "5rem", number: true, cell: ({ assignedTasks }) => count(assignedTasks) },
    { title: "cores", width: "5rem", number: true, cell: ({ hardware }) => count(hardware.cpuCores) },
    { title: "memory", width: "7rem", number: true, cell: ({ hardware }) => (hardware.physicalMemory > 0 ? bytes(hardware.physicalMemory) : "no limit") },
    { title: "heard of", width: "minmax(7rem, 1fr)", cell: (row) => ago(Date.now() - row.timeSinceLastHeartbeat) },
  ];
}

function facts({ metrics, ...manager }) {
  const limit = metrics.heapMax > 0 ? ` of ${bytes(metrics.heapMax)} (${percent(metrics.heapUsed / metrics.heapMax)})` : "";
  const collections = metrics.garbageCollectors.reduce((sum, each) => sum + each.count, 0);
  return [
    ["address", h("code", {}, manager.path)],
    ["heard of", ago(Date.now() - manager.timeSinceLastHeartbeat)],
    ["slots in use", `${manager.slotsNumber - manager.freeSlots} of ${manager.slotsNumber}`],
    ["tasks", count(manager.assignedTasks)],
    ["resident memory", `${bytes(metrics.heapUsed)}${limit}`],
    ["garbage collections", count(collections)],
    ["data port", manager.dataPort < 0 ? "none" : String(manager.dataPort)],
  ];
}
