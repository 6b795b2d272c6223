// The one loop that asks. It waits while nobody looks, and waits longer and longer while nobody answers.

import { Gone, Refused } from "./rest.js";

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

export class Poll {
  #round;
  #changed;
  #timer = 0;
  #running = null;
  #again = false;
  #failures = 0;

  /** `round(signal)` asks for everything once; `changed(connection)` hears how that went. */
  constructor(round, changed) {
    this.#round = round;
    this.#changed = changed;
    this.interval = 3_000;
    this.goneSince = 0;
    this.nextAt = 0;
    document.addEventListener("visibilitychange", () => this.#looked());
  }

  /** Ask now; if asking is under way, once more after it. */
  now() {
    clearTimeout(this.#timer);
    if (this.#running) this.#again = true;
    else if (!document.hidden) this.#run();
  }

  #looked() {
    if (document.hidden) {
      clearTimeout(this.#timer);
      this.#running?.abort();
    } else {
      this.now();
    }
  }

  async #run() {
    const running = new AbortController();
    this.#running = running;
    this.#again = false;
    try {
      await this.#round(running.signal);
      this.#failures = 0;
      this.goneSince = 0;
      this.#changed({ state: "there" });
    } catch (error) {
      if (!running.signal.aborted) this.#failed(error);
    } finally {
      this.#running = null;
      this.#next();
    }
  }

  #failed(error) {
    if (!(error instanceof Gone || error instanceof Refused)) console.error(error);
    this.#failures += 1;
    this.goneSince ||= Date.now();
    this.nextAt = Date.now() + this.#wait();
    this.#changed({ state: error instanceof Refused ? "refused" : "gone", message: error.message, since: this.goneSince, nextAt: this.nextAt });
  }

  #wait() {
    return this.#failures ? Math.min(FIRST_WAIT_MS * 2 ** (this.#failures - 1), LONGEST_WAIT_MS) : this.interval;
  }

  #next() {
    if (document.hidden) return;
    this.#timer = setTimeout(() => this.now(), this.#again ? 0 : this.#wait());
  }
}
