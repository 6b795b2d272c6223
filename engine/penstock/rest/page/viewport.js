// What part of a large picture is seen: moved by dragging and by the wheel, scaled by ctrl and wheel, two fingers or keys.

const FARTHEST = 0.02;
const NEAREST = 1.4;
const MARGIN = 24;

export class Viewport {
  #element;
  #changed;
  #pointers = new Map();

  constructor(element, changed) {
    this.#element = element;
    this.#changed = changed;
    Object.assign(this, { x: 0, y: 0, scale: 1, content: { width: 0, height: 0 }, isMoved: false });
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const over of ["pointerup", "pointercancel"]) element.addEventListener(over, (event) => this.#pointers.delete(event.pointerId));
  }

  get width() {
    return this.#element.clientWidth;
  }

  get height() {
    return this.#element.clientHeight;
  }

  /** All of it, in the middle; small pictures are not blown up. */
  fit() {
    const { width, height } = this.content;
    const wanted = Math.min((this.width - 2 * MARGIN) / Math.max(1, width), (this.height - 2 * MARGIN) / Math.max(1, height));
    this.scale = Math.min(1, Math.max(FARTHEST, wanted));
    this.x = Math.max(MARGIN, (this.width - width * this.scale) / 2);
    this.y = Math.max(MARGIN, (this.height - height * this.scale) / 2);
    this.isMoved = false;
    this.#changed();
  }

  zoom(factor, at = { x: this.width / 2, y: this.height / 2 }) {
    const scale = Math.min(NEAREST, Math.max(FARTHEST, this.scale * factor));
    const ratio = scale / this.scale;
    this.x = at.x - (at.x - this.x) * ratio;
    this.y = at.y - (at.y - this.y) * ratio;
    this.scale = scale;
    this.#touched();
  }

  /** Move as little as is needed to see this box. */
  reveal(box) {
    const shift = (start, length, seen) =>
      start < MARGIN ? MARGIN - start : start + length > seen - MARGIN ? Math.max(MARGIN - start, seen - MARGIN - start - length) : 0;
    const across = shift(this.x + box.x * this.scale, box.width * this.scale, this.width);
    const down = shift(this.y + box.y * this.scale, box.height * this.scale, this.height);
    if (!across && !down) return;
    this.x += across;
    this.y += down;
    this.#changed();
  }

  /** Whether any of this box is seen. */
  shows(box) {
    const [left, top] = [this.x + box.x * this.scale, this.y + box.y * this.scale];
    return left < this.width && top < this.height && left + box.width * this.scale > 0 && top + box.height * this.scale > 0;
  }

  #touched() {
    this.isMoved = true;
    // A corner of it always stays in sight.
    const keep = 2 * MARGIN;
    this.x = Math.min(this.width - keep, Math.max(keep - this.content.width * this.scale, this.x));
    this.y = Math.min(this.height - keep, Math.max(keep - this.content.height * this.scale, this.y));
    this.#changed();
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      const bounds = this.#element.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - bounds.left, y: event.clientY - bounds.top });
    } else {
      this.x -= event.shiftKey ? event.deltaY : event.deltaX;
      this.y -= event.shiftKey ? 0 : event.deltaY;
      this.#touched();
    }
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    this.#element.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) {
      const bounds = this.#element.getBoundingClientRect();
      const apart = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      this.zoom(apart(now) / apart(last), { x: (now.x + other.x) / 2 - bounds.left, y: (now.y + other.y) / 2 - bounds.top });
    } else {
      this.x += now.x - last.x;
      this.y += now.y - last.y;
      this.#touched();
    }
  }
}
