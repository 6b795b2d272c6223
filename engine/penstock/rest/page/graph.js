// The job graph: cards for the vertices that are in sight, edges on a canvas below them.

import { colours, onColours } from "./colours.js";
import { h, onceAFrame, setAttribute, setText, sized } from "./dom.js";
import { chain, percent, rate, watermark, words } from "./format.js";
import { layout } from "./layout.js";
import { VertexFigures } from "./vertex_figures.js";
import { VertexPanel } from "./vertex.js";
import { Viewport } from "./viewport.js";

const SIZE = { width: 248, height: 118, gapX: 96, gapY: 28 };
const FAR = 0.55;
const VERY_FAR = 0.2;
const EDGE_LABELS_FROM = 0.6;
const HELP = "Arrow keys move between vertices, Enter opens one, Escape closes it, + and − zoom, 0 shows all.";

export class GraphView {
  #canvas = h("canvas", { class: "edges", "aria-hidden": "true" });
  #cards = h("div", { class: "cards" });
  #stage = h("div", { class: "stage", role: "group", "aria-label": `Job graph. ${HELP}` }, this.#canvas, this.#cards);
  #shown = new Map();
  #vertices = new Map();
  #order = [];
  #plan = "";
  #laid = null;
  #current = null;
  #figures = new VertexFigures();
  #job = null;
  #now = NaN;
  #open;

  constructor(go) {
    this.#open = (id) => go(id ? `graph/${id}` : "graph");
    this.panel = new VertexPanel(() => this.#close());
    this.viewport = new Viewport(this.#stage, () => this.#draw());
    this.element = h("section", { class: "graph view", "aria-label": "Job graph" }, this.#stage, this.#tools(), this.panel.element);
    this.#stage.addEventListener("keydown", (event) => this.#key(event));
    this.#cards.addEventListener("focusin", (event) => this.#focused(event.target.closest(".card")?.dataset.id));
    new ResizeObserver(() => this.#resized()).observe(this.#stage);
    onColours(() => this.#draw());
  }

  enter([vertex]) {
    this.#current = vertex && this.#vertices.has(vertex) ? vertex : this.#current;
    this.panel.open(vertex ?? null);
    this.#reveal();
    this.#draw();
  }

  async ask(job, signal) {
    if (!this.#laid) return;
    const seen = this.#order.filter((id) => this.viewport.shows(this.#box(id)));
    await Promise.all([
      this.#figures.ask(job.jid, seen, (id) => !this.#vertices.get(id).inputs.length, signal),
      this.panel.ask(job, signal),
    ]);
  }

  show({ job }) {
    if (!job) return;
    if (job.jid !== this.#job) {
      this.#job = job.jid;
      this.#figures = new VertexFigures();
    }
    this.#now = job.now;
    this.#take(job);
    this.panel.show(job);
    this.#draw();
  }

  /** Beside an open panel the scale stays: what was chosen is to be read. */
  #resized() {
    if (!this.viewport.isMoved && !this.panel.vertex) this.viewport.fit();
    this.#reveal();
    this.#draw();
  }

  #take(job) {
    const inputs = new Map(job.plan.nodes.map((node) => [node.id, node.inputs ?? []]));
    this.#vertices = new Map(job.vertices.map((vertex) => [vertex.id, { ...vertex, inputs: inputs.get(vertex.id) ?? [] }]));
    const plan = JSON.stringify(job.plan.nodes.map(({ id, inputs }) => [id, inputs]));
    if (plan === this.#plan) return;
    this.#plan = plan;
    const edges = job.plan.nodes.flatMap((node) => (node.inputs ?? []).map((input) => ({ source: input.id, target: node.id, ship: input.ship_strategy })));
    this.#laid = layout([...this.#vertices.keys()], edges, SIZE);
    this.#order = [...this.#vertices.keys()].sort((one, other) => {
      const [a, b] = [this.#laid.places.get(one), this.#laid.places.get(other)];
      return a.layer - b.layer || a.order - b.order;
    });
    this.#current = this.#vertices.has(this.#current) ? this.#current : this.#order[0];
    this.viewport.content = { width: this.#laid.width, height: this.#laid.height };
    this.viewport.fit();
  }

  #tools() {
    const button = (text, label, act) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: act }, text);
    return h(
      "div",
      { class: "graph-tools" },
      h(
        "ul",
        { class: "legend", "aria-label": "Colours" },
        h("li", { class: "busy" }, "busy"),
        h("li", { class: "pressure" }, "backpressured"),
        h("li", { class: "idle" }, "idle"),
      ),
      h("span", { class: "zooms" }, button("−", "Zoom out", () => this.viewport.zoom(0.8)), button("+", "Zoom in", () => this.viewport.zoom(1.25)), button("Fit", "Show all", () => this.viewport.fit())),
    );
  }

  #box(id) {
    return { ...this.#laid.places.get(id), width: SIZE.width, height: SIZE.height };
  }

  #draw = onceAFrame(() => {
    if (!this.#laid || !this.element.isConnected) return;
    const { x, y, scale } = this.viewport;
    this.#cards.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.#cards.style.setProperty("--scale", scale);
    setAttribute(this.#stage, "data-detail", scale < VERY_FAR ? "least" : scale < FAR ? "less" : "all");
    for (const id of this.#order) {
      if (this.viewport.shows(this.#box(id)) || id === this.#current) this.#drawCard(id);
      else this.#dropCard(id);
    }
    for (const id of [...this.#shown.keys()]) if (!this.#vertices.has(id)) this.#dropCard(id);
    this.#drawEdges();
  });

  #dropCard(id) {
    this.#shown.get(id)?.element.remove();
    this.#shown.delete(id);
  }

  #drawCard(id) {
    let card = this.#shown.get(id);
    if (!card) {
      card = newCard(id, () => this.#open(id));
      this.#shown.set(id, card);
      this.#cards.append(card.element);
    }
    const { x, y } = this.#laid.places.get(id);
    card.element.style.transform = `translate(${x}px, ${y}px)`;
    setAttribute(card.element, "tabindex", id === this.#current ? "0" : "-1");
    setAttribute(card.element, "aria-pressed", id === this.panel.vertex ? "true" : "false");
    fill(card, this.#vertices.get(id), this.#figures.known.get(id), this.#now);
  }

  #drawEdges() {
    const { context, width, height } = sized(this.#canvas);
    const { x, y, scale } = this.viewport;
    const palette = colours();
    const selected = this.panel.vertex;
    context.lineWidth = Math.max(1, 1.5 * scale);
    context.font = `${Math.round(10.5 * Math.min(1, scale))}px ${palette.sans}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { edge, points } of this.#laid.routes) {
      const seen = points.map((point) => ({ x: x + point.x * scale, y: y + point.y * scale }));
      if (seen.at(-1).x < 0 || seen[0].x > width || Math.max(...seen.map((p) => p.y)) < 0 || Math.min(...seen.map((p) => p.y)) > height) continue;
      context.strokeStyle = context.fillStyle = edge.source === selected || edge.target === selected ? palette.accent : palette["strong-line"];
      curve(context, seen, scale);
      if (scale >= EDGE_LABELS_FROM) label(context, seen, edge.ship, palette);
    }
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const acts = {
      "+": () => this.viewport.zoom(1.25),
      "=": () => this.viewport.zoom(1.25),
      "-": () => this.viewport.zoom(0.8),
      0: () => this.viewport.fit(),
      Home: () => this.#move(this.#order[0]),
      End: () => this.#move(this.#order.at(-1)),
      ArrowRight: () => this.#move(this.#neighbour(1)),
      ArrowLeft: () => this.#move(this.#neighbour(-1)),
      ArrowDown: () => this.#move(this.#beside(1)),
      ArrowUp: () => this.#move(this.#beside(-1)),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  /** What is connected to the right or left, the nearest in height; else the nearest of the next layer. */
  #neighbour(side) {
    const here = this.#laid.places.get(this.#current);
    const connected = this.#laid.routes
      .map(({ edge }) => (side > 0 ? [edge.source, edge.target] : [edge.target, edge.source]))
      .filter(([from, to]) => from === this.#current && to !== from)
      .map(([, to]) => to);
    const layer = this.#order.filter((id) => this.#laid.places.get(id).layer === here.layer + side);
    const distance = (id) => Math.abs(this.#laid.places.get(id).y - here.y);
    return (connected.length ? connected : layer).sort((one, other) => distance(one) - distance(other))[0];
  }

  #beside(step) {
    const { layer } = this.#laid.places.get(this.#current);
    const column = this.#order.filter((id) => this.#laid.places.get(id).layer === layer);
    return column[column.indexOf(this.#current) + step];
  }

  #move(id) {
    if (!id) return;
    this.#current = id;
    this.#reveal();
    this.#drawCard(id);
    this.#shown.get(id).element.focus({ preventScroll: true });
    this.#draw();
  }

  #focused(id) {
    if (!id) return;
    // The browser scrolls to what has focus; the viewport does that here.
    this.#stage.scrollTo(0, 0);
    this.#current = id;
    this.#reveal();
    this.#draw();
  }

  #reveal() {
    if (this.#laid && this.#current) this.viewport.reveal(this.#box(this.#current));
  }

  #close() {
    this.#open(null);
    this.#shown.get(this.#current)?.element.focus({ preventScroll: true });
  }
}

function newCard(id, open) {
  const parts = {
    name: h("span", { class: "card-name" }),
    parallelism: h("span", { class: "card-parallelism" }),
    state: h("span", { class: "card-state" }),
    in: h("span", { class: "number" }),
    out: h("span", { class: "number" }),
    busy: h("span", { class: "number" }),
    pressure: h("span", { class: "number" }),
    watermark: h("span", { class: "number" }),
    busyBar: h("i", { class: "busy" }),
    pressureBar: h("i", { class: "pressure" }),
  };
  const element = h(
    "button",
    { type: "button", class: "card", "data-id": id, onclick: open },
    h("span", { class: "card-head" }, parts.name, parts.parallelism),
    h("span", { class: "card-rates" }, h("b", {}, "in"), parts.in, h("b", {}, "out"), parts.out),
    h("span", { class: "card-bar", "aria-hidden": "true" }, parts.busyBar, parts.pressureBar),
    h("span", { class: "card-loads" }, h("b", {}, "busy"), parts.busy, h("b", {}, "backpr."), parts.pressure),
    h("span", { class: "card-foot" }, h("b", {}, "watermark"), parts.watermark, parts.state),
  );
  return { element, parts };
}

function fill({ element, parts }, vertex, figures, now) {
  setText(parts.name, chain(vertex.name));
  setAttribute(element, "title", vertex.name);
  setText(parts.parallelism, `×${vertex.parallelism}`);
  setText(parts.state, vertex.status === "RUNNING" ? "" : words(vertex.status));
  setAttribute(element, "data-state", vertex.status);
  setText(parts.in, vertex.inputs.length ? rate(figures?.in) : "source");
  setText(parts.out, rate(figures?.out));
  setText(parts.busy, percent(figures?.busy));
  setText(parts.pressure, percent(figures?.pressure));
  setText(parts.watermark, figures ? watermark(figures.watermark, now) : "–");
  parts.busyBar.style.width = `${100 * bounded(figures?.meanBusy)}%`;
  parts.pressureBar.style.width = `${100 * bounded(figures?.meanPressure)}%`;
  setAttribute(element, "data-load", load(figures));
  setAttribute(element, "aria-label", spoken(vertex, figures));
}

function bounded(share) {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

/** What the card's colour says. The levels of backpressure are REST's. */
export function load(figures) {
  if (!figures) return "unknown";
  if (figures.pressure > 0.5) return "pressure-high";
  if (figures.busy > 0.8) return "busy-high";
  if (figures.pressure > 0.1) return "pressure";
  return figures.busy > 0.4 ? "busy" : "calm";
}

function spoken(vertex, figures) {
  const said = `${vertex.name}, parallelism ${vertex.parallelism}, ${words(vertex.status)}`;
  if (!figures) return said;
  return `${said}, busy ${percent(figures.busy)}, backpressured ${percent(figures.pressure)}, ${rate(figures.out)} out`;
}

function curve(context, points, scale) {
  context.beginPath();
  context.moveTo(points[0].x, points[0].y);
  for (let at = 1; at < points.length; at += 1) {
    const [from, to] = [points[at - 1], points[at]];
    const bend = (to.x - from.x) / 2;
    context.bezierCurveTo(from.x + bend, from.y, to.x - bend, to.y, to.x, to.y);
  }
  context.stroke();
  const [tip, size] = [points.at(-1), Math.max(3, 7 * scale)];
  context.beginPath();
  context.moveTo(tip.x, tip.y);
  context.lineTo(tip.x - size, tip.y - size * 0.55);
  context.lineTo(tip.x - size, tip.y + size * 0.55);
  context.fill();
}

/** Where the first bend is: there an edge is alone. */
function label(context, [from, to], text, palette) {
  const at = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const width = context.measureText(text).width + 8;
  context.fillStyle = palette.sunken;
  context.fillRect(at.x - width / 2, at.y - 8, width, 16);
  context.fillStyle = palette.muted;
  context.fillText(text, at.x, at.y + 0.5);
}
