// Brings the checkpoints from the worker into the page. What takes long to read is asked for less often.

import { History } from "./history.js";
import { Gone, Refused } from "./rest.js";

const PART_OF_TIME = 0.1;
const RESTORES_MAX = 500;

export class CheckpointFeed {
  #worker = new Worker(new URL("history_worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #asks = 0;
  #notBefore = 0;
  #job = null;
  history = new History();
  restores = [];
  newest = null;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#waiting.get(data.ask)?.(data);
  }

  /** Gives true if there is something new. One answer is waited for at a time: a long one takes longer than a round. */
  async ask(job) {
    if (this.#waiting.size || (job === this.#job && performance.now() < this.#notBefore)) return false;
    const begun = performance.now();
    const answer = await new Promise((resolve) => {
      const ask = (this.#asks += 1);
      this.#waiting.set(ask, (data) => {
        this.#waiting.delete(ask);
        resolve(data);
      });
      this.#worker.postMessage({ ask, job, path: `/jobs/${job}/checkpoints` });
    });
    if (answer.error) throw failure(answer.error);
    this.#notBefore = performance.now() + (performance.now() - begun) / PART_OF_TIME;
    this.#take(job, answer);
    return true;
  }

  #take(job, answer) {
    if (job !== this.#job) [this.#job, this.history, this.restores] = [job, new History(), []];
    this.history.apply(answer);
    this.newest = answer;
    const restored = answer.latest.restored;
    if (restored && this.restores.at(-1)?.restore_timestamp !== restored.restore_timestamp) {
      this.restores.push(restored);
      if (this.restores.length > RESTORES_MAX) this.restores.shift();
    }
  }
}

function failure({ kind, status, message }) {
  return kind === "refused" ? new Refused(status, message) : kind === "gone" ? new Gone(message) : new Error(message);
}
