// Answers that wait to be sent. They lie in the browser's storage, so that a lost connection or a closed tab loses none,
// one entry each, so that tabs do not overwrite each other's. They are sent in order, by one tab at a time.
import { ApiError, NetworkError, post } from "./api.js";
import { alone } from "./browser.js";

export const UNDO_MS = 10_000;
const RETRY_MS = 3_000;
const AT_THE_END_BYTES = 50_000;
const FOR_NOW = new Set([401, 403, 408, 429]);

export class Outbox {
  // `onChange` is told how many wait, `onSent` and `onRefused` of each answer.
  constructor(person, { onChange, onSent, onRefused }) {
    this.prefix = `heeler.outbox.${person}.`;
    this.lock = `heeler.outbox.${person}`;
    this.onChange = onChange;
    this.onSent = onSent;
    this.onRefused = onRefused;
    this.count = 0;
    this.timer = null;
    this.isLost = false;
    addEventListener("online", () => this.send());
    addEventListener("pagehide", () => this.sendAtTheEnd());
    addEventListener("storage", (event) => event.key?.startsWith(this.prefix) && this.tell());
  }

  // The answers that wait, in the order in which they were given.
  waiting() {
    return Object.keys(localStorage)
      .filter((name) => name.startsWith(this.prefix))
      .sort()
      .map((name) => ({ name, ...JSON.parse(localStorage.getItem(name)) }));
  }

  // Keep an answer; it can be taken back for a while, until another one comes.
  add(run, body) {
    this.release();
    this.count += 1;
    const name = `${this.prefix}${String(Date.now()).padStart(15, "0")}.${String(this.count).padStart(6, "0")}.${body.key}`;
    localStorage.setItem(name, JSON.stringify({ run, body, ready_ms: Date.now() + UNDO_MS }));
    this.held = name;
    this.tell();
    this.send();
  }

  // Take back the last answer; false where it is too late.
  takeBack() {
    const entry = this.held === undefined ? null : localStorage.getItem(this.held);
    if (entry === null || JSON.parse(entry).ready_ms <= Date.now()) return false;
    localStorage.removeItem(this.held);
    this.held = undefined;
    this.tell();
    return true;
  }

  // The last answer need not wait any longer.
  release() {
    const entry = this.held === undefined ? null : localStorage.getItem(this.held);
    if (entry !== null) localStorage.setItem(this.held, JSON.stringify({ ...JSON.parse(entry), ready_ms: 0 }));
    this.held = undefined;
  }

  tell() {
    this.onChange(this.waiting().length, this.isLost);
  }

  // Send what is ready. While another tab sends, this one leaves it to that.
  async send() {
    clearTimeout(this.timer);
    const again = await alone(this.lock, {}, (isAlone) => (isAlone ? this.sendReady() : RETRY_MS));
    if (again !== null) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(), again);
    }
  }

  // The page goes. What it sends now stays in storage, since nobody hears whether it arrived; the next page sends it
  // again, and it is the same answer. As a batch, so that it arrives in order.
  sendAtTheEnd() {
    this.release();
    const byRun = new Map();
    let size = 0;
    for (const { run, body } of this.waiting()) {
      size += JSON.stringify(body).length * 3;
      // Browsers send no more than 64 KiB for a page that is gone.
      if (size > AT_THE_END_BYTES) break;
      byRun.set(run, [...(byRun.get(run) ?? []), body]);
    }
    for (const [run, feedback] of byRun) {
      const path = `/runs/${encodeURIComponent(run)}/feedback/batch`;
      post(path, { feedback }, { keepalive: true, stay: true }).catch(() => {});
    }
  }

  // Milliseconds after which there is something to do again, or null.
  async sendReady() {
    for (;;) {
      const first = this.waiting()[0];
      if (first === undefined) return null;
      const early = first.ready_ms - Date.now();
      if (early > 0) return early;
      if (!(await this.sendOne(first))) return RETRY_MS;
    }
  }

  async sendOne({ name, run, body }) {
    try {
      // Its key makes it the same answer, however often it comes.
      await post(`/runs/${encodeURIComponent(run)}/feedback`, body, { repeatable: true, tries: 2 });
    } catch (error) {
      if (!(error instanceof NetworkError || error instanceof ApiError)) throw error;
      if (error instanceof NetworkError || error.status >= 500 || FOR_NOW.has(error.status)) {
        this.isLost = true;
        this.tell();
        return false;
      }
      localStorage.removeItem(name);
      this.onRefused(error, body);
      this.tell();
      return true;
    }
    this.isLost = false;
    localStorage.removeItem(name);
    this.onSent(body);
    this.tell();
    return true;
  }
}
