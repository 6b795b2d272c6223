// Settings: the job's, those of its checkpoints, the cluster's. Secrets never come this far: REST leaves them out.

import { h } from "./dom.js";
import { duration, words } from "./format.js";
import { get } from "./rest.js";
import { Table } from "./table.js";

const NEVER_MS = 9e18;

export class ConfigurationView {
  #filter = h("input", { type: "search", placeholder: "Filter by key or value", "aria-label": "Filter settings" });
  #table;
  #settings = [];
  #job = null;

  constructor() {
    this.#table = new Table({
      label: "Settings",
      columns: [
        { title: "of", width: "8rem", cell: ({ of }) => of },
        { title: "key", width: "minmax(12rem, 1fr)", cell: ({ key }) => key },
        { title: "value", width: "minmax(12rem, 1.4fr)", cell: ({ value }) => value },
      ],
      empty: "No setting has this in it.",
    });
    this.#filter.addEventListener("input", () => this.show());
    this.element = h("section", { class: "view", "aria-label": "Configuration" }, h("div", { class: "column" }, this.#filter, this.#table.element));
  }

  enter() {
    this.#job = null;
  }

  async ask(job, signal) {
    if (this.#job === job.jid) return;
    const [of, checkpoints, cluster, environment] = await Promise.all(
      [`/jobs/${job.jid}/config`, `/jobs/${job.jid}/checkpoints/config`, "/jobmanager/config", "/jobmanager/environment"].map((path) => get(path, signal)),
    );
    this.#settings = [...jobSettings(of), ...checkpointSettings(checkpoints), ...cluster.map(({ key, value }) => ({ of: "cluster", key, value })), ...environmentSettings(environment)];
    this.#job = job.jid;
  }

  show() {
    const wanted = this.#filter.value.trim().toLowerCase();
    const rows = this.#settings.filter(({ key, value }) => `${key} ${value}`.toLowerCase().includes(wanted));
    this.#table.show(rows.length, (at) => rows[at]);
  }
}

function jobSettings({ "execution-config": config }) {
  const { "user-config": parameters, ...rest } = config;
  return [
    ...Object.entries(rest).map(([key, value]) => ({ of: "job", key, value: String(value) })),
    ...Object.entries(parameters).map(([key, value]) => ({ of: "job parameter", key, value: String(value) })),
  ];
}

function checkpointSettings({ externalization, ...config }) {
  const times = ["interval", "timeout", "min_pause", "aligned_checkpoint_timeout"];
  const written = (key, value) => (!times.includes(key) ? String(value) : value > NEVER_MS ? "never" : duration(value));
  const kept = !externalization.enabled ? "no" : externalization.delete_on_cancellation ? "until the job is cancelled" : "yes";
  const entries = Object.entries(config).filter(([key]) => !key.includes("changelog"));
  return [...entries.map(([key, value]) => ({ of: "checkpoints", key: words(key), value: written(key, value) })), { of: "checkpoints", key: "kept after the job's end", value: kept }];
}

function environmentSettings({ jvm }) {
  return [
    { of: "environment", key: "interpreter", value: jvm.version },
    { of: "environment", key: "architecture", value: jvm.arch },
  ];
}
