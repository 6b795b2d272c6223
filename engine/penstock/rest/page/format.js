// How numbers, sizes, durations and times are written. Pure.

const NONE = "–";
const SMALL_SPACE = "\u202f";
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const COUNTS = ["", "k", "M", "G", "T"];
const NO_WATERMARK = -9.2e18;
const LAST_WATERMARK = 9.2e18;
const BEHIND_MAX_MS = 100 * 3_600_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three digits that count. */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function scaled(value, units, step) {
  let at = 0;
  while (value >= step * 0.9995 && at < units.length - 1) {
    value /= step;
    at += 1;
  }
  return [value, units[at]];
}

export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : NONE;
}

export function short(value) {
  if (!Number.isFinite(value)) return NONE;
  if (value < 1000) return Number.isInteger(value) ? String(value) : digits(value);
  const [number, unit] = scaled(value, COUNTS, 1000);
  return `${digits(number)}${SMALL_SPACE}${unit}`;
}

export function rate(perSecond) {
  if (!Number.isFinite(perSecond)) return NONE;
  const text = perSecond > 0 && perSecond < 0.005 ? "<0.01" : perSecond >= 1000 || perSecond === 0 ? short(perSecond) : digits(perSecond);
  return `${text}/s`;
}

export function bytes(value) {
  if (!Number.isFinite(value) || value < 0) return NONE;
  const [number, unit] = scaled(value, BYTES, 1024);
  return `${unit === "B" ? Math.round(number) : digits(number)}${SMALL_SPACE}${unit}`;
}

export function percent(share) {
  return Number.isFinite(share) ? `${Math.round(Math.min(1, Math.max(0, share)) * 100)}${SMALL_SPACE}%` : NONE;
}

/** 7 ms, 1.25 s, 2 min 3 s, 4 h 5 min, 6 d 7 h. */
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return NONE;
  if (ms < 1000) return `${Math.round(ms)}${SMALL_SPACE}ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)}${SMALL_SPACE}s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return two(minutes, "min", Math.round(seconds) % 60, "s");
  if (minutes < 1440) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  return two(Math.floor(minutes / 1440), "d", Math.floor((minutes % 1440) / 60), "h");
}

function two(large, largeUnit, small, smallUnit) {
  const first = `${large}${SMALL_SPACE}${largeUnit}`;
  return small ? `${first} ${small}${SMALL_SPACE}${smallUnit}` : first;
}

/** How long ago, without fractions of a second: a text that changes with every frame cannot be read. */
export function ago(ms) {
  if (!Number.isFinite(ms)) return NONE;
  return ms < 1500 ? "just now" : `${duration(Math.round(ms / 1000) * 1000).replace(/\.0+(?=\D)/, "")} ago`;
}

/** The time of the day; with the date when that is not today's. */
export function time(ms) {
  if (!Number.isFinite(ms) || ms <= 0) return NONE;
  const at = new Date(ms);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : dated.format(at);
}

/** An event's time that stands for "all before it has come"; with `now`, how far it is behind, where that says something. */
export function watermark(value, now = NaN) {
  if (!Number.isFinite(value) || value <= NO_WATERMARK) return "none yet";
  if (value >= LAST_WATERMARK) return "end of data";
  // Event time need not be wall clock: small numbers are shown as they are.
  if (Math.abs(value) < 1e11) return whole.format(value);
  const behind = Math.round((now - value) / 1000) * 1000;
  if (!(behind >= 0 && behind < BEHIND_MAX_MS)) return time(value);
  return `${time(value)} · ${behind ? duration(behind).replace(/\.0+(?=\D)/, "") : `0${SMALL_SPACE}s`} behind`;
}

/** The name of a vertex: operators that are chained, in their order. */
export function chain(name) {
  return name.replaceAll(" -> ", " → ");
}

/** The name that a state has in sentences. */
export function words(state) {
  return state.toLowerCase().replaceAll("_", " ");
}
