// Presses on their way to the service. Each lies in the browser's storage from the moment it is made, so that a lost
// connection or a closed tab loses none; its key makes it the same press, however often it is sent.
import { ApiError, NetworkError, post } from "./api.js";
import { alone } from "./browser.js";

const RETRY_MS = 2_000;
const FOR_NOW = new Set([401, 403, 408, 429]);

export class Marks {
  // `onChange` is told how many wait and whether the connection is lost; `onRefused` why one was not taken.
  constructor(person, signal, { onChange, onSent, onRefused }) {
    this.prefix = `heeler.marks.${person}.`;
    this.onChange = onChange;
    this.onSent = onSent;
    this.onRefused = onRefused;
    this.count = 0;
    this.timer = null;
    addEventListener("online", () => this.send(), { signal });
  }

  waiting() {
    return Object.keys(localStorage)
      .filter((name) => name.startsWith(this.prefix))
      .sort()
      .map((name) => ({ name, ...JSON.parse(localStorage.getItem(name)) }));
  }

  add(run, body) {
    this.count += 1;
    const place = `${String(Date.now()).padStart(15, "0")}.${String(this.count).padStart(6, "0")}`;
    localStorage.setItem(`${this.prefix}${place}.${body.key}`, JSON.stringify({ run, body }));
    this.onChange(this.waiting().length, false);
    this.send();
  }

  // Send what waits, in its order; while another tab sends, this one leaves it to that.
  async send() {
    clearTimeout(this.timer);
    const isDone = await alone(this.prefix, {}, (isAlone) => (isAlone ? this.sendAll() : false));
    if (!isDone) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(), RETRY_MS);
    }
  }

  async sendAll() {
    for (let first = this.waiting()[0]; first !== undefined; first = this.waiting()[0]) {
      try {
        await post(`/runs/${encodeURIComponent(first.run)}/watch/marks`, first.body, { repeatable: true, tries: 2 });
        this.onSent(first.body);
      } catch (error) {
        if (!(error instanceof NetworkError || error instanceof ApiError)) throw error;
        if (error instanceof NetworkError || error.status >= 500 || FOR_NOW.has(error.status)) {
          this.onChange(this.waiting().length, true);
          return false;
        }
        this.onRefused(error);
      }
      localStorage.removeItem(first.name);
      this.onChange(this.waiting().length, false);
    }
    return true;
  }
}
