// Checkpoints: how many, how they are spread over time, and one of them in detail.

import { CheckpointPanel } from "./checkpoint_panel.js";
import { h, setAttribute, setPairs, setText } from "./dom.js";
import { bytes, count, duration, time, words } from "./format.js";
import { STATES } from "./history.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";

const NEVER_MS = 9e18;

export class CheckpointsView {
  #counts = h("dl", { class: "facts wide" });
  #spread = h("dl", { class: "facts wide" });
  #legend = legend();
  #timeline;
  #table;
  #panel;
  #feed;
  #rescales;
  #go;
  #settings = null;
  #settingsOf = null;

  constructor(go, feed, rescales) {
    this.#feed = feed;
    this.#rescales = rescales;
    this.#go = go;
    const open = (id) => go(`checkpoints/${id}`);
    this.#timeline = new Timeline(open);
    this.#table = new Table({
      label: "Checkpoints, newest first",
      columns: columns(feed),
      open: ({ id }) => open(id),
      marked: ({ id }) => id === this.#panel.checkpoint,
      empty: "No checkpoint yet. Jobs take some when execution.checkpointing.interval is set.",
    });
    this.#panel = new CheckpointPanel(() => this.#close());
    this.element = h(
      "section",
      { class: "checkpoints view", "aria-label": "Checkpoints" },
      h("div", { class: "column" }, this.#counts, this.#timeline.element, this.#legend, this.#spread, this.#table.element),
      this.#panel.element,
    );
  }

  enter([id]) {
    const checkpoint = id && /^\d+$/.test(id) ? Number(id) : null;
    this.#timeline.choose(checkpoint);
    this.#panel.open(checkpoint, this.#feed.history);
    this.show({});
  }

  async ask(job, signal) {
    if (this.#settingsOf !== job.jid) {
      this.#settings = await this.#panel.askSettings(job, signal);
      this.#settingsOf = job.jid;
    }
    await Promise.all([this.#rescales.ask(job.jid, signal), this.#panel.ask(job, signal)]);
  }

  show({ job }) {
    const { history, restores, newest } = this.#feed;
    this.#timeline.element.hidden = this.#legend.hidden = this.#spread.hidden = history.length === 0;
    this.#timeline.show(history, restores, this.#rescales.rescales);
    this.#table.show(history.length, (at) => entry(history, history.length - 1 - at));
    if (job) this.#panel.show(job, history);
    if (!newest) return;
    setPairs(this.#counts, counts(newest, this.#settings));
    setPairs(this.#spread, spread(newest.summary));
  }

  #close() {
    this.#go("checkpoints");
    this.#table.scroller.focus({ preventScroll: true });
  }
}

function entry(history, at) {
  return { id: history.id[at], at };
}

function columns(feed) {
  const of = (name, write) => ({ at }) => write(feed.history[name][at]);
  return [
    { title: "id", width: "4.5rem", number: true, cell: ({ id }) => String(id) },
    { title: "kind", width: "5.6rem", cell: of("savepoint", (is) => (is ? "savepoint" : "checkpoint")) },
    { title: "state", width: "7.6rem", fill: (cell, { at }) => state(cell, STATES[feed.history.state[at]]) },
    { title: "triggered", width: "minmax(5rem, 12rem)", cell: of("trigger", time) },
    { title: "duration", width: "4.6rem", number: true, cell: of("duration", duration) },
    { title: "written", width: "5rem", number: true, cell: of("written", bytes) },
    { title: "full", width: "5rem", number: true, cell: of("full", bytes) },
    { title: "subtasks", width: "6.4rem", number: true, cell: ({ at }) => `${feed.history.acknowledged[at]}/${feed.history.tasks[at]}` },
  ];
}

function state(cell, name) {
  setText(cell, words(name));
  setAttribute(cell, "data-state", name);
}

function legend() {
  const item = (kind, text) => h("li", { class: kind }, text);
  return h(
    "ul",
    { class: "legend timeline-legend", "aria-label": "Colours" },
    item("ok", "completed (pale: the longest of several)"), item("bad", "failed"), item("open", "in progress"), item("accent", "written"), item("idle", "read by a restore"), item("diamond", "savepoint"), item("restore", "restore"), item("rescale", "rescale"),
  );
}

function counts({ counts: all, latest }, settings) {
  const pairs = [
    ["completed", count(all.completed)],
    ["failed", count(all.failed)],
    ["in progress", count(all.in_progress)],
    ["restored", count(all.restored)],
  ];
  if (settings) pairs.push(["interval", settings.interval > NEVER_MS ? "only when asked" : duration(settings.interval)], ["mode", words(settings.mode)]);
  if (latest.savepoint) pairs.push(["last savepoint", `${latest.savepoint.id} at ${time(latest.savepoint.trigger_timestamp)}`]);
  const restored = latest.restored;
  pairs.push(["restored from", restored ? `${restored.is_savepoint ? "savepoint" : "checkpoint"} ${restored.id} at ${time(restored.restore_timestamp)}` : "nothing: started afresh"]);
  return pairs;
}

function spread(summary) {
  const of = (figures, write) => `${write(figures.min)} · ${write(figures.avg)} · ${write(Number(figures.p95))} · ${write(figures.max)}`;
  return [
    ["duration: least · mean · p95 · most", of(summary.end_to_end_duration, duration)],
    ["written", of(summary.checkpointed_size, bytes)],
    ["read by a restore", of(summary.state_size, bytes)],
  ];
}
