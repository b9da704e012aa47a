// Requests to the API. What goes wrong comes as an ApiError, or as NetworkError where no answer came at all.
import { wait } from "./dom.js";

const PREFIX = "/api/v1";
const REPEATABLE = new Set(["GET", "PUT", "DELETE"]);
const BUSY = new Set([429, 503]);
const TRIES = 4;
const AT_ONCE = 4;
const FIRST_WAIT_MS = 400;

export class ApiError extends Error {
  constructor(status, detail, field) {
    super(detail);
    this.name = "ApiError";
    this.status = status;
    this.detail = detail;
    this.field = field;
  }
}

export class NetworkError extends Error {
  constructor(cause) {
    super("the service cannot be reached", { cause });
    this.name = "NetworkError";
  }
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const put = (path, body, options) => call("PUT", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const remove = (path, options) => call("DELETE", path, undefined, options);

// All items of a list, page after page.
export async function getAll(path) {
  const items = [];
  const joint = path.includes("?") ? "&" : "?";
  for (let next = null; ; ) {
    const cursor = next === null ? "" : `${joint}cursor=${encodeURIComponent(next)}`;
    const page = await get(path + cursor);
    items.push(...page.items);
    if (page.next === null || page.items.length === 0) return items;
    next = page.next;
  }
}

// What `ask` finds of each item, in their order; a few at a time, so that a long list is not refused as too much at once.
export async function ofEach(items, ask) {
  const found = [];
  for (let place = 0; place < items.length; place += AT_ONCE) {
    found.push(...(await Promise.all(items.slice(place, place + AT_ONCE).map(ask))));
  }
  return found;
}

// Ask the API.
//
// options.repeatable: the same request again does no harm, as of a post that carries its own key; then, as with GET, PUT
//   and DELETE, it is repeated where the service is busy or cannot be reached.
// options.as: "json", or "blob" for pictures.
// options.stay: a session that has ended is told as an error; else the page goes to where one signs in.
// options.tries: how often at most.
// options.signal: ends it early.
// options.keepalive: it may outlive the page.
export async function call(method, path, body, options = {}) {
  const { repeatable = REPEATABLE.has(method), as = "json", stay = false, tries = TRIES, signal, keepalive } = options;
  for (let tried = 1; ; tried += 1) {
    const isLast = !repeatable || tried >= tries;
    let response;
    try {
      response = await fetch(PREFIX + path, {
        method,
        headers: body === undefined ? {} : { "Content-Type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: "same-origin",
        signal,
        keepalive,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      if (isLast) throw new NetworkError(error);
      await wait(pause(tried));
      continue;
    }
    if (response.ok) return await content(response, as);
    if (response.status === 401 && !stay) await toSignIn();
    const problem = await problemOf(response);
    // A limit of the day holds for hours: nobody is to wait for that.
    if (isLast || Number(response.headers.get("Retry-After") ?? 0) > 30 || !BUSY.has(response.status)) throw problem;
    await wait(Math.max(pause(tried), 1000 * Number(response.headers.get("Retry-After") ?? 0)));
  }
}

// Where one signs in, and back here afterwards.
export function toSignIn() {
  const here = location.pathname + location.search;
  location.assign(`/sign-in?next=${encodeURIComponent(here)}`);
  // Nothing else is to happen on a page that is about to go.
  return new Promise(() => {});
}

function pause(tried) {
  // Some of it by chance, so that many who lost one service do not all come back at once.
  return FIRST_WAIT_MS * 2 ** (tried - 1) * (0.75 + Math.random() / 2);
}

async function content(response, as) {
  if (response.status === 204) return null;
  return as === "blob" ? await response.blob() : await response.json();
}

async function problemOf(response) {
  try {
    const problem = await response.json();
    return new ApiError(response.status, String(problem.detail), problem.field ?? null);
  } catch {
    return new ApiError(response.status, `the service answered ${response.status} ${response.statusText}`, null);
  }
}
