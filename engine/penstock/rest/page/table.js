// A table of any length: only the rows in sight exist. One stop for Tab; arrow keys choose a row, Enter opens it.

import { h, onceAFrame, setAttribute, setText } from "./dom.js";

const ROW_PX = 30;
const GAP_PX = 14;
const SPARE_ROWS = 4;
let tables = 0;

export class Table {
  #columns;
  #open;
  #id = `table-${(tables += 1)}`;
  #pool = [];
  #row = () => null;
  #length = 0;
  #chosen = 0;
  #empty = h("p", { class: "empty", hidden: true });
  #spacer = h("div", { class: "rows", role: "rowgroup" });

  /**
   * `columns`: {title, width (rem, or a minmax of it), number, cell(row) -> text, or fill(element, row)}; `open(row)` on Enter or click;
   * `marked(row)` says which is open; `empty` is shown where there are no rows.
   */
  constructor({ label, columns, open = null, marked = () => false, empty = "Nothing yet." }) {
    this.#columns = columns;
    this.#open = open;
    this.marked = marked;
    this.#empty.textContent = empty;
    const head = h("div", { class: "row head", role: "row" }, columns.map((column) => h("span", { role: "columnheader", class: column.number ? "number" : null }, column.title)));
    this.scroller = h("div", { class: `table${open ? " opens" : ""}`, role: "grid", "aria-label": label, "aria-readonly": "true", tabindex: "0" }, head, this.#spacer);
    this.scroller.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
    this.scroller.style.setProperty("--least", `calc(${columns.map(({ width }) => parseFloat(width.replace("minmax(", ""))).reduce((sum, rem) => sum + rem)}rem + ${(columns.length + 1) * GAP_PX}px)`);
    this.element = h("div", { class: "table-box" }, this.scroller, this.#empty);
    this.scroller.addEventListener("scroll", this.#draw, { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.#key(event));
    this.scroller.addEventListener("focus", this.#draw);
    this.scroller.addEventListener("blur", this.#draw);
    new ResizeObserver(this.#draw).observe(this.scroller);
  }

  /** `row(index)` gives what the columns' cells are made of. */
  show(length, row) {
    this.#length = length;
    this.#row = row;
    this.#chosen = Math.max(0, Math.min(this.#chosen, length - 1));
    this.#empty.hidden = length > 0;
    this.scroller.hidden = length === 0;
    this.#spacer.style.height = `${length * ROW_PX}px`;
    setAttribute(this.scroller, "aria-rowcount", length + 1);
    this.#draw();
  }

  /** Choose a row and bring it into sight. */
  choose(index) {
    if (index < 0 || index >= this.#length) return;
    this.#chosen = index;
    const [top, seen] = [index * ROW_PX, this.scroller.clientHeight - ROW_PX];
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_PX > this.scroller.scrollTop + seen) this.scroller.scrollTop = top + ROW_PX - seen;
    this.#draw();
  }

  #draw = onceAFrame(() => {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(this.#length, first + Math.ceil(this.scroller.clientHeight / ROW_PX) + 2 * SPARE_ROWS);
    while (this.#pool.length < last - first) this.#pool.push(this.#newRow());
    this.#pool.forEach((row, at) => this.#fill(row, first + at, first + at < last));
    setAttribute(this.scroller, "aria-activedescendant", this.#chosen >= first && this.#chosen < last ? `${this.#id}-${this.#chosen}` : null);
  });

  #newRow() {
    const cells = this.#columns.map((column) => h("span", { role: "gridcell", class: column.number ? "number" : null }));
    const element = h("div", { class: "row", role: "row" }, cells);
    element.addEventListener("click", () => {
      // Who marks text to copy it opens nothing.
      if (window.getSelection()?.isCollapsed === false) return;
      this.#chosen = Number(element.dataset.index);
      this.#opened();
    });
    this.#spacer.append(element);
    return { element, cells };
  }

  #fill({ element, cells }, index, isUsed) {
    element.hidden = !isUsed;
    if (!isUsed) return;
    const row = this.#row(index);
    element.style.transform = `translateY(${index * ROW_PX}px)`;
    element.dataset.index = index;
    setAttribute(element, "id", `${this.#id}-${index}`);
    setAttribute(element, "aria-rowindex", index + 2);
    setAttribute(element, "aria-selected", this.marked(row) ? "true" : "false");
    element.classList.toggle("chosen", index === this.#chosen && document.activeElement === this.scroller);
    this.#columns.forEach((column, at) => {
      if (column.fill) return column.fill(cells[at], row);
      const text = column.cell(row);
      setText(cells[at], text);
      setAttribute(cells[at], "title", text.length > 24 ? text : null);
    });
  }

  #opened() {
    if (this.#open && this.#chosen < this.#length) this.#open(this.#row(this.#chosen));
    this.#draw();
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== this.scroller) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_PX) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.choose(Math.max(0, Math.min(this.#length - 1, this.#chosen + steps[event.key])));
    else if (event.key === "Enter" || event.key === " ") this.#opened();
    else return;
    event.preventDefault();
  }
}
