// The rescales that the JobManager remembers. All of them are only asked for when there is another one, or one under way.

import { get } from "./rest.js";

export class RescaleFeed {
  #job = null;
  #counts = "";
  /** Oldest first: {start, end, change, outcome, cause, reason}; the end of one under way is null. */
  rescales = [];

  async ask(job, signal) {
    const { rescalesCounts: counts } = await get(`/jobs/${job}/rescales/summary`, signal);
    const written = JSON.stringify(counts);
    if (job === this.#job && written === this.#counts && !counts.inProgress) return;
    const history = await get(`/jobs/${job}/rescales/history`, signal);
    [this.#job, this.#counts, this.rescales] = [job, written, history.map(brief).reverse()];
  }
}

/** Pure. */
function brief(rescale) {
  const isOver = rescale.terminalState !== null;
  return {
    start: rescale.startTimestampInMillis,
    end: isOver ? rescale.endTimestampInMillis : null,
    change: change(Object.values(rescale.vertices), rescale.terminalState === "COMPLETED"),
    outcome: isOver ? rescale.terminalState : "IN_PROGRESS",
    cause: rescale.triggerCause,
    reason: rescale.schedulerStates.at(-1)?.stringifiedException ?? "",
  };
}

/** `2 → 4`, of each pair that there is; of what has not come about, what was wanted. */
function change(vertices, isDone) {
  const pairs = vertices.map((each) => [each.preRescaleParallelism, isDone ? each.postRescaleParallelism : each.desiredParallelism]);
  const changed = pairs.filter(([before, after]) => before !== after).map(([before, after]) => `${before} → ${after}`);
  return [...new Set(changed)].join(", ") || "no change";
}
