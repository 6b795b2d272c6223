// What vertices say of themselves: rates, how busy and how held up they are, watermarks. A few are asked for each time.

import { each, get } from "./rest.js";

const ASKED_AT_ONCE = 24;
const RATES = ["numRecordsInPerSecond", "numRecordsOutPerSecond", "busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "idleTimeMsPerSecond"];

/** Figures by vertex. With many vertices in sight those that were asked for longest ago come first. */
export class VertexFigures {
  #asked = new Map();
  #round = 0;
  known = new Map();

  /** Ask for some of these ids; `isSource(id)` says which have no input. */
  async ask(job, ids, isSource, signal) {
    this.#round += 1;
    const longestAgo = [...ids].sort((one, other) => (this.#asked.get(one) ?? 0) - (this.#asked.get(other) ?? 0));
    await each(longestAgo.slice(0, ASKED_AT_ONCE), async (id) => {
      this.#asked.set(id, this.#round);
      // Asked for a name that a vertex has not, REST answers nothing at all.
      const names = isSource(id) ? [...RATES, "currentOutputWatermark"] : [...RATES, "currentOutputWatermark", "currentInputWatermark"];
      const path = `/jobs/${job}/vertices/${encodeURIComponent(id)}/subtasks/metrics?get=${names.join(",")}`;
      this.known.set(id, figures(await get(path, signal)));
    });
  }
}

/** Pure. */
export function figures(answer) {
  const by = Object.fromEntries(answer.map((metric) => [metric.id, metric]));
  const share = (name, how) => (by[name] ? Number(by[name][how]) / 1000 : NaN);
  return {
    in: Number(by.numRecordsInPerSecond?.sum),
    out: Number(by.numRecordsOutPerSecond?.sum),
    busy: share("busyTimeMsPerSecond", "max"),
    pressure: share("backPressuredTimeMsPerSecond", "max"),
    meanBusy: share("busyTimeMsPerSecond", "avg"),
    meanPressure: share("backPressuredTimeMsPerSecond", "avg"),
    meanIdle: share("idleTimeMsPerSecond", "avg"),
    // The slowest subtask holds the others back.
    watermark: Number(by.currentInputWatermark?.min ?? by.currentOutputWatermark?.min),
  };
}
