// The checkpoints that this page has heard of: columns of numbers, ordered by id. REST remembers few of them; the page keeps what
// it has seen, a day of one per second and more.

export const STATES = ["IN_PROGRESS", "COMPLETED", "FAILED"];
export const [IN_PROGRESS, COMPLETED, FAILED] = [0, 1, 2];
export const COLUMNS = ["id", "trigger", "duration", "written", "full", "state", "savepoint", "acknowledged", "tasks"];
const KEPT_MAX = 100_000;
const TEXTS_MAX = 2_000;

export class History {
  length = 0;
  failures = new Map();
  #capacity = 256;

  constructor() {
    for (const name of COLUMNS) this[name] = new Float64Array(this.#capacity);
  }

  /** Take over new and changed entries, ordered by id, and forget those that were withdrawn. */
  apply({ columns, failures = [], withdrawn = [] }) {
    for (let at = 0; at < columns.id.length; at += 1) {
      const place = this.#place(columns.id[at]);
      for (const name of COLUMNS) this[name][place] = columns[name][at];
    }
    for (const id of withdrawn) this.#remove(id);
    for (const [id, text] of failures) this.failures.set(id, text);
    while (this.failures.size > TEXTS_MAX) this.failures.delete(this.failures.keys().next().value);
    if (this.length > KEPT_MAX) this.#shift(this.length - Math.floor(KEPT_MAX * 0.9));
  }

  /** Where this id is; -1: nowhere. */
  find(id) {
    const at = this.#from("id", id);
    return at < this.length && this.id[at] === id ? at : -1;
  }

  /** The first entry that was triggered then or later. */
  since(ms) {
    return this.#from("trigger", ms);
  }

  #from(column, value) {
    const values = this[column];
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where this id is or now has room. */
  #place(id) {
    const at = this.#from("id", id);
    if (at < this.length && this.id[at] === id) return at;
    if (this.length === this.#capacity) this.#grow();
    for (const name of COLUMNS) this[name].copyWithin(at + 1, at, this.length);
    this.length += 1;
    return at;
  }

  #grow() {
    this.#capacity *= 2;
    for (const name of COLUMNS) {
      const larger = new Float64Array(this.#capacity);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  #remove(id) {
    const at = this.find(id);
    if (at < 0) return;
    for (const name of COLUMNS) this[name].copyWithin(at, at + 1, this.length);
    this.length -= 1;
  }

  #shift(by) {
    for (const name of COLUMNS) this[name].copyWithin(0, by, this.length);
    this.length -= by;
  }
}
