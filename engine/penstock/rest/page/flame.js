// Where the tasks of a vertex spend their time: stacks laid over each other, widest first, on a canvas. The user's own code
// stands out from the engine's and from libraries'.

import { colours, onColours } from "./colours.js";
import { fitted, h, onceAFrame, setAttribute, setText, sized } from "./dom.js";
import { percent, time } from "./format.js";
import { choices } from "./panel.js";
import { get } from "./rest.js";

const ROW_PX = 20;
const NARROWEST_PX = 1.5;
const KINDS = new Map([["All", "FULL"], ["On CPU", "ON_CPU"], ["Off CPU", "OFF_CPU"]]);
const SAYINGS = new Map([
  [-1, "The tasks of this vertex have ended."],
  [-2, "Flame graphs are switched off (rest.flamegraph.enabled)."],
  [-3, "Taking samples: this takes a few seconds."],
]);
// Frames say modules, not files: these are the standard library's and the usual packages' that stacks of jobs have in them.
const LIBRARIES = new RegExp(
  `^(${[
    "abc ast asyncio base64 bisect calendar codecs collections concurrent contextlib copy copyreg csv ctypes dataclasses datetime",
    "decimal email encodings enum fnmatch fractions functools genericpath glob gzip hashlib heapq hmac html http importlib inspect io ipaddress",
    "itertools json linecache locale logging lzma math mimetypes multiprocessing ntpath numbers operator os pathlib pickle platform posixpath",
    "pprint queue random re reprlib runpy sched secrets select selectors shlex shutil signal socket socketserver sqlite3 sre_compile sre_parse ssl",
    "statistics string struct subprocess tarfile tempfile textwrap threading time timeit token tokenize traceback types typing unicodedata urllib uuid",
    "warnings weakref xml zipfile zlib zoneinfo",
    "aiohttp attr attrs boto3 botocore certifi cloudpickle confluent_kafka dateutil duckdb fastavro google grpc httpcore httpx jinja2 joblib lxml",
    "msgpack msgspec numba numpy onnxruntime orjson pandas polars prometheus_client psycopg psycopg2 pyarrow pydantic pymysql pytz redis requests",
    "rocksdict s3transfer scipy simplejson six sklearn sqlalchemy tensorflow tokenizers torch transformers urllib3 uvloop xxhash yaml",
  ].join(" ").replaceAll(" ", "|")})\\.`,
);
const HELP = "Arrow keys move between frames, Enter zooms into one, Escape zooms out.";

export class FlameGraph {
  #kind = "FULL";
  #canvas = h("canvas", { class: "flames", tabindex: "0", role: "application", "aria-label": `Flame graph. ${HELP}` });
  #about = h("p", { class: "flame-about", role: "status" });
  #said = h("p", { class: "empty" });
  #root = null;
  #zoomed = null;
  #frame = null;
  #boxes = [];
  #answer = "";

  constructor() {
    this.element = h(
      "div",
      { class: "flame-box" },
      h(
        "div",
        { class: "flame-head" },
        choices("Which samples", [...KINDS.keys()], (name) => this.#choose(KINDS.get(name))),
        h("ul", { class: "legend", "aria-label": "Colours" }, h("li", { class: "user" }, "your code"), h("li", { class: "engine" }, "Penstock"), h("li", { class: "library" }, "libraries")),
      ),
      this.#said,
      this.#canvas,
      this.#about,
    );
    this.#canvas.addEventListener("click", (event) => this.#clicked(event));
    this.#canvas.addEventListener("pointermove", (event) => this.#pointed(event));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    onColours(() => this.#draw());
    this.reset();
  }

  reset() {
    this.#take({ endTimestamp: -3 });
  }

  async ask(path, signal) {
    const kind = this.#kind;
    const answer = await get(`${path}/flamegraph?type=${kind}`, signal);
    if (kind === this.#kind) this.#take(answer);
  }

  #choose(kind) {
    this.#kind = kind;
    this.reset();
    this.element.dispatchEvent(new CustomEvent("asknow", { bubbles: true }));
  }

  #take(answer) {
    const mark = `${this.#kind} ${answer.endTimestamp}`;
    if (mark === this.#answer) return;
    this.#answer = mark;
    const isEmpty = !answer.data?.value;
    this.#root = isEmpty ? null : linked(answer.data, null, 0);
    this.#zoomed = this.#frame = this.#root;
    this.#canvas.hidden = isEmpty;
    this.#said.hidden = !isEmpty;
    setText(this.#said, SAYINGS.get(answer.endTimestamp) ?? "No samples of this kind.");
    setText(this.#about, isEmpty ? "" : `${this.#root.value} samples, the last at ${time(answer.endTimestamp)}`);
    if (!isEmpty) this.#canvas.style.height = `${(depth(this.#root) + 1) * ROW_PX}px`;
    this.#draw();
  }

  #draw = onceAFrame(() => {
    if (!this.#root || !this.#canvas.clientWidth) return;
    const { context, width } = sized(this.#canvas);
    const palette = colours();
    context.font = `11px ${palette.mono}`;
    context.textBaseline = "middle";
    this.#boxes = boxes(this.#root, this.#zoomed, width);
    setAttribute(this.#canvas, "data-drawn", this.#boxes.length);
    for (const box of this.#boxes) drawBox(context, box, palette, box.frame === this.#frame, ancestors(this.#zoomed).has(box.frame));
  });

  #at(event) {
    const y = Math.floor(event.offsetY / ROW_PX);
    return this.#boxes.find((box) => box.row === y && event.offsetX >= box.x && event.offsetX < box.x + box.width)?.frame;
  }

  #pointed(event) {
    const frame = this.#at(event);
    if (frame && frame !== this.#frame) this.#move(frame);
  }

  #clicked(event) {
    const frame = this.#at(event);
    if (!frame) return;
    this.#zoomed = frame;
    this.#move(frame);
  }

  #move(frame) {
    if (!frame) return;
    this.#frame = frame;
    setText(this.#about, `${frame.name}: ${percent(frame.value / this.#root.value)} of all, ${frame.value} of ${this.#root.value} samples`);
    this.#draw();
  }

  #key(event) {
    if (!this.#frame || event.altKey || event.ctrlKey || event.metaKey) return;
    const beside = (step) => this.#frame.parent?.children[this.#frame.parent.children.indexOf(this.#frame) + step];
    const acts = {
      ArrowDown: () => this.#move(this.#frame.children[0]),
      ArrowUp: () => this.#move(this.#frame.parent),
      ArrowRight: () => this.#move(beside(1)),
      ArrowLeft: () => this.#move(beside(-1)),
      Home: () => this.#move(this.#root),
      Enter: () => this.#move((this.#zoomed = this.#frame)),
    };
    if (event.key === "Escape" && this.#zoomed !== this.#root) {
      event.stopPropagation();
      this.#zoomed = this.#root;
      this.#draw();
    } else if (acts[event.key]) {
      event.preventDefault();
      acts[event.key]();
    }
  }
}

/** The tree with parents, the widest children first. */
function linked({ name, value, children }, parent, row) {
  const frame = { name: row ? name : "all samples", value, parent, row };
  frame.children = children.map((child) => linked(child, frame, row + 1)).sort((one, other) => other.value - one.value || (one.name < other.name ? -1 : 1));
  return frame;
}

function depth(frame) {
  return frame.children.reduce((most, child) => Math.max(most, depth(child)), frame.row);
}

function ancestors(frame) {
  const found = new Set();
  for (let each = frame?.parent; each; each = each.parent) found.add(each);
  return found;
}

/** What is wide enough to be drawn. Pure. */
export function boxes(root, zoomed, width) {
  const found = [];
  const above = ancestors(zoomed);
  const lay = (frame, x, wide) => {
    if (wide < NARROWEST_PX) return;
    found.push({ frame, x, width: wide, row: frame.row });
    let at = x;
    for (const child of frame.children) {
      if (above.has(frame) && child !== zoomed && !above.has(child)) continue;
      const share = above.has(frame) ? width : (wide * child.value) / frame.value;
      lay(child, at, share);
      at += share;
    }
  };
  lay(root, 0, width);
  return found;
}

function colourOf(name, palette) {
  if (name.startsWith("penstock.") || name.startsWith("(")) return palette.engine;
  return LIBRARIES.test(name) ? palette.library : palette.busy;
}

function drawBox(context, { frame, x, width, row }, palette, isChosen, isAbove) {
  const colour = frame.row ? colourOf(frame.name, palette) : palette.library;
  context.globalAlpha = isAbove ? 0.45 : 1;
  context.fillStyle = colour;
  context.fillRect(x, row * ROW_PX, Math.max(1, width - 1), ROW_PX - 1);
  if (isChosen) {
    context.strokeStyle = palette.text;
    context.strokeRect(x + 0.5, row * ROW_PX + 0.5, Math.max(1, width - 2), ROW_PX - 2);
  }
  context.fillStyle = colour === palette.busy ? palette["on-busy"] : palette.text;
  if (width > 24) context.fillText(fitted(context, frame.name, width - 10), x + 5, row * ROW_PX + ROW_PX / 2);
  context.globalAlpha = 1;
}
