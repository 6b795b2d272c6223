// Asking the JobManager. Paths are relative to the page, so that it works behind a proxy that puts a prefix before it.

const TIMEOUT_MS = 15_000;
const AT_ONCE = 6;

/** Nobody answers. */
export class Gone extends Error {}

/** The JobManager answers that it cannot. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// A worker has no document; its script lies one folder below the page.
const ROOT = typeof document === "undefined" ? new URL("..", location.href) : document.baseURI;

export function address(path) {
  return new URL(`v1${path}`, ROOT).href;
}

/** What a GET of this path of REST answers. Throws Gone or Refused. */
export async function get(path, signal) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(address(path), { signal: signal ? AbortSignal.any([signal, limit]) : limit, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Gone(limit.aborted ? "no answer in time" : "nobody answers");
  }
  return read(response, signal);
}

async function read(response, signal) {
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Gone(`an answer that is not REST's (${response.status})`);
  }
  if (!response.ok) throw new Refused(response.status, answer.errors?.[0] ?? `status ${response.status}`);
  return answer;
}

/** `ask` of every item, a few at once; what is refused is left out, because what was asked about may be gone. */
export async function each(items, ask) {
  const waiting = [...items];
  const lane = async () => {
    while (waiting.length) {
      try {
        await ask(waiting.shift());
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, lane));
}
