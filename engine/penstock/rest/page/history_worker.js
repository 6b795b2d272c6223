// A worker that asks for the checkpoints: a day of them is some ten megabytes of JSON, which would hold up the page for as long
// as it takes to read. Only what has changed goes on to the page, as columns of numbers.

import { Gone, Refused, get } from "./rest.js";
import { COLUMNS, STATES } from "./history.js";

let job = "";
let known = new Map();

onmessage = async ({ data }) => {
  try {
    postMessage({ ask: data.ask, ...(await changes(data)) });
  } catch (error) {
    const kind = error instanceof Refused ? "refused" : error instanceof Gone ? "gone" : "broken";
    postMessage({ ask: data.ask, error: { kind, status: error.status, message: error.message } });
  }
};

async function changes({ job: asked, path }) {
  const answer = await get(path);
  const begun = performance.now();
  if (asked !== job) [job, known] = [asked, new Map()];
  const latest = answer.latest;
  // What no longer fits into the history may still be the newest of its kind.
  const entries = [latest.completed, latest.failed, latest.savepoint].filter((entry) => entry !== null).concat(answer.history);
  const now = new Map(entries.map((entry) => [entry.id, entry]));
  const changed = [...now.values()].filter((entry) => known.get(entry.id) !== mark(entry)).sort((one, other) => one.id - other.id);
  const withdrawn = [...known].filter(([id, text]) => text.startsWith("IN_PROGRESS") && !now.has(id)).map(([id]) => id);
  known = new Map([...now.values()].map((entry) => [entry.id, mark(entry)]));
  return {
    job,
    counts: answer.counts,
    summary: answer.summary,
    latest,
    columns: columns(changed),
    failures: changed.filter((entry) => entry.status === "FAILED").map((entry) => [entry.id, entry.failure_message ?? ""]),
    withdrawn,
    tookMs: performance.now() - begun,
  };
}

/** What of an entry can still change. */
function mark(entry) {
  return `${entry.status} ${entry.num_acknowledged_subtasks} ${entry.status === "IN_PROGRESS" ? entry.end_to_end_duration : ""}`;
}

function columns(entries) {
  const found = Object.fromEntries(COLUMNS.map((name) => [name, new Float64Array(entries.length)]));
  entries.forEach((entry, at) => {
    found.id[at] = entry.id;
    found.trigger[at] = entry.trigger_timestamp;
    found.duration[at] = entry.end_to_end_duration;
    found.written[at] = entry.checkpointed_size;
    found.full[at] = entry.state_size;
    found.state[at] = STATES.indexOf(entry.status);
    found.savepoint[at] = entry.is_savepoint ? 1 : 0;
    found.acknowledged[at] = entry.num_acknowledged_subtasks;
    found.tasks[at] = entry.num_subtasks;
  });
  return found;
}
