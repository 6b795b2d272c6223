// What opens beside a view for one thing of it: a title, a body, and Escape to close.

import { h, setText } from "./dom.js";

export class Panel {
  #title = h("h2", { tabindex: "-1" });
  #close;
  body = h("div", { class: "panel-body" });

  constructor(label, close) {
    this.#close = close;
    this.element = h(
      "aside",
      { class: "panel", "aria-label": label, hidden: true },
      h("header", {}, this.#title, h("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: () => this.close() }, "×")),
      this.body,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
  }

  get isOpen() {
    return !this.element.hidden;
  }

  set title(text) {
    setText(this.#title, text);
  }

  open() {
    if (this.isOpen) return;
    this.element.hidden = false;
    this.#title.focus({ preventScroll: true });
  }

  /** Hide it without telling anyone. */
  hide() {
    this.element.hidden = true;
  }

  close() {
    this.#close();
  }
}

/** Buttons of which one is pressed. `chosen(name)` hears of another one. */
export function choices(label, names, chosen) {
  const buttons = names.map((name, at) =>
    h("button", { type: "button", "aria-pressed": at === 0 ? "true" : "false", onclick: () => press(name) }, name),
  );
  const press = (name) => {
    buttons.forEach((button) => button.setAttribute("aria-pressed", button.textContent === name ? "true" : "false"));
    chosen(name);
  };
  return h("div", { class: "choices", role: "group", "aria-label": label }, buttons);
}
