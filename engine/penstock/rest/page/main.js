// The page: which view is seen, what is asked for it, and whether the JobManager is there.

import { CheckpointFeed } from "./checkpoint_feed.js";
import { CheckpointsView } from "./checkpoints.js";
import { themeButton } from "./colours.js";
import { ConfigurationView } from "./configuration.js";
import { h, setAttribute, setPairs, setText } from "./dom.js";
import { ExceptionsView } from "./exceptions.js";
import { ago, bytes, duration, time, words } from "./format.js";
import { GraphView } from "./graph.js";
import { Poll } from "./poll.js";
import { RescaleFeed } from "./rescale_feed.js";
import { Gone, Refused, get } from "./rest.js";
import { RestartsView } from "./restarts.js";
import { TaskManagersView } from "./taskmanagers.js";

const INTERVAL_MIN_MS = 250;
const TITLES = { graph: "Graph", checkpoints: "Checkpoints", restarts: "Restarts", exceptions: "Exceptions", taskmanagers: "Task managers", configuration: "Configuration" };
const [nameLine, stateBadge, vitals, tabs, connectionLine, content] = ["job-name", "job-state", "vitals", "tabs", "connection", "content"].map((id) => document.getElementById(id));

const feed = new CheckpointFeed();
const rescales = new RescaleFeed();
const go = (where) => {
  location.hash = where;
};
const views = {
  graph: new GraphView(go),
  checkpoints: new CheckpointsView(go, feed, rescales),
  restarts: new RestartsView(go, rescales),
  exceptions: new ExceptionsView(),
  taskmanagers: new TaskManagersView(go),
  configuration: new ConfigurationView(),
};
const state = { job: null, summary: null, overview: null, settings: null, connection: { state: "there" } };
let view = null;

async function round(signal) {
  if (!state.settings) {
    state.settings = await get("/config", signal);
    poll.interval = Math.max(INTERVAL_MIN_MS, state.settings["refresh-interval"]);
  }
  [state.overview, { jobs: [state.summary] }] = await Promise.all([get("/overview", signal), get("/jobs/overview", signal)]);
  const job = state.summary.jid;
  askCheckpoints(job);
  state.job = await get(`/jobs/${job}`, signal);
  show();
  try {
    await view.ask(state.job, signal);
  } catch (error) {
    // What was asked about has gone meanwhile; that is no reason to take the JobManager for gone.
    if (!(error instanceof Refused)) throw error;
  }
  show();
}

/** Beside the round, which does not wait for a day of checkpoints. */
async function askCheckpoints(job) {
  try {
    if (await feed.ask(job)) show();
  } catch (error) {
    // Whether the JobManager answers is the round's to find out.
    if (!(error instanceof Gone || error instanceof Refused)) throw error;
  }
}

const poll = new Poll(round, (connection) => {
  state.connection = connection;
  if (connection.state === "gone") state.settings = null;
  showConnection();
});

function show() {
  const { job, summary, overview } = state;
  if (!job) return;
  setText(nameLine, job.name);
  document.title = `${job.name} · Penstock`;
  setText(stateBadge, words(job.state));
  setAttribute(stateBadge, "data-state", job.state);
  setPairs(vitals, vitalsOf(job, summary, overview));
  view.show(state);
}

function vitalsOf(job, summary, overview) {
  const { running, total, finished } = summary.tasks;
  const completed = feed.newest?.latest.completed;
  const restored = feed.newest?.counts.restored ?? 0;
  return [
    [job["end-time"] > 0 ? "ran for" : "up", duration(Math.floor(job.duration / 1000) * 1000).replace(/\.0+(?=\D)/, "")],
    ["tasks", finished ? `${running} running, ${finished} finished` : `${running} of ${total} running`],
    ["slots", `${overview["slots-total"] - overview["slots-available"]} of ${overview["slots-total"]}`],
    ["restores", String(restored)],
    ["last checkpoint", completed ? `${completed.id} · ${ago(job.now - completed.trigger_timestamp - completed.end_to_end_duration)} · ${duration(completed.end_to_end_duration)} · ${bytes(completed.checkpointed_size)}` : "none"],
  ];
}

function showConnection() {
  const { state: how, message, since } = state.connection;
  const isThere = how === "there";
  document.body.classList.toggle("stale", !isThere);
  if (isThere) {
    connectionLine.hidden = true;
    connectionLine.replaceChildren();
  } else {
    // Said once, not with every attempt: screen readers read it out.
    const ended = state.job && state.job["end-time"] > 0;
    const text = how === "gone"
      ? `The JobManager has not answered since ${time(since)} (${message}).${ended ? ` The job had ended: ${words(state.job.state)}.` : ""} What is shown is from before. Trying again by itself.`
      : `The JobManager refused: ${message}. Trying again by itself.`;
    if (connectionLine.firstChild?.textContent !== text) {
      connectionLine.replaceChildren(h("span", {}, text), h("button", { type: "button", onclick: () => poll.now() }, "Try now"));
    }
    connectionLine.hidden = false;
  }
}

function enter() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const key = name in views ? name : "graph";
  const next = views[key];
  if (next !== view) {
    content.replaceChildren(next.element);
    view = next;
    for (const link of tabs.children) setAttribute(link, "aria-current", link.dataset.view === key ? "page" : null);
  }
  view.enter(rest);
  if (state.job) view.show(state);
  poll.now();
}

for (const [key, title] of Object.entries(TITLES)) tabs.append(h("a", { href: `#${key}`, "data-view": key }, title));
themeButton(document.getElementById("theme"));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});
document.addEventListener("asknow", () => poll.now());
addEventListener("hashchange", enter);
addEventListener("keydown", (event) => {
  // Escape closes what is open beside a view, also when the focus is elsewhere.
  if (event.key === "Escape" && location.hash.includes("/")) content.querySelector(".panel:not([hidden]) .close")?.click();
});
enter();
