// What went wrong, newest first. The lines of the user's own program stand out.

import { h, setAttribute } from "./dom.js";
import { ago, time } from "./format.js";
import { get } from "./rest.js";

const SHOWN_MAX = 100;
const FRAME = /^(\s*)File "(.+)", line (\d+), in (.+)$/;
const NOT_THE_USERS = /(^|\/)(penstock|site-packages|dist-packages|python3\.\d+|<frozen )/;

export class ExceptionsView {
  #list = h("ol", { class: "exceptions", "aria-label": "Exceptions, newest first" });
  #empty = h("p", { class: "empty" }, "Nothing has failed.");
  #more = h("p", { class: "empty", hidden: true }, "Older ones are not shown here.");
  #written = "";
  #answer = null;
  #job = null;

  constructor() {
    this.element = h("section", { class: "view plain", "aria-label": "Exceptions" }, this.#empty, this.#list, this.#more);
  }

  enter() {}

  async ask(job, signal) {
    const { exceptionHistory } = await get(`/jobs/${job.jid}/exceptions?maxExceptions=${SHOWN_MAX}`, signal);
    [this.#answer, this.#job] = [exceptionHistory, job.jid];
  }

  show() {
    if (!this.#answer) return;
    const { entries, truncated } = this.#answer;
    const written = JSON.stringify([this.#job, entries]);
    this.#empty.hidden = entries.length > 0;
    this.#more.hidden = !truncated;
    if (written !== this.#written) {
      // What was opened stays so.
      const opened = new Map([...this.#list.children].map((item) => [item.dataset.key, item.firstChild.open]));
      this.#list.replaceChildren(...entries.map((entry, at) => item(entry, opened.get(keyOf(entry)) ?? at === 0)));
      this.#written = written;
    }
    const now = Date.now();
    for (const each of this.#list.querySelectorAll("time")) setAttribute(each, "title", ago(now - Number(each.dataset.ms)));
  }
}

function keyOf(entry) {
  return `${entry.timestamp} ${entry.exceptionName} ${entry.taskName ?? ""}`;
}

function item(entry, isOpen) {
  const about = [entry.taskName, entry.taskManagerId && `on ${entry.taskManagerId}`].filter(Boolean).join(" · ");
  const at = h("time", { datetime: new Date(entry.timestamp).toISOString(), "data-ms": entry.timestamp }, time(entry.timestamp));
  return h(
    "li",
    { "data-key": keyOf(entry) },
    h(
      "details",
      { open: isOpen },
      h("summary", {}, at, h("strong", {}, entry.exceptionName), h("span", { class: "muted" }, about)),
      h("pre", { class: "trace", tabindex: "0", "aria-label": "Message and traceback" }, lines(entry.stacktrace)),
    ),
  );
}

/** The text line by line; a frame of the user's and the line of code below it are marked. */
export function lines(text) {
  let isUsers = false;
  let indent = 0;
  return text.trimEnd().split("\n").map((line) => {
    const frame = FRAME.exec(line);
    if (frame) [isUsers, indent] = [!NOT_THE_USERS.test(frame[2]), frame[1].length];
    else if (line.search(/\S/) <= indent) isUsers = false;
    return h("span", { class: isUsers ? "mine" : null }, `${line}\n`);
  });
}
