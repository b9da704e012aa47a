// The figures that charts show: what there was when the page was opened, then each new row as it comes.
import { get } from "./api.js";

export const MAX_POINTS = 2000;
const FIRST_POINTS = 1000;
const AGAIN_MS = 3000;

export class Series {
  // names: of the metrics. onChange is told whenever something came.
  constructor(path, names, onChange) {
    this.path = path;
    this.names = names;
    this.onChange = onChange;
    this.clear();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.begin()));
  }

  clear() {
    this.step = [];
    this.values = Object.fromEntries(this.names.map((name) => [name, []]));
    this.every = 1;
    this.skipped = 0;
    this.newest = null;
  }

  // Read what there is, then listen. Begun anew whenever the page is seen again, or the run went back.
  async begin() {
    this.pause();
    const listens = (this.listens = Symbol("listens"));
    try {
      const found = await get(`${this.path}/series?max_points=${FIRST_POINTS}&names=${this.names.join(",")}`);
      if (this.listens !== listens) return;
      this.clear();
      Object.assign(this, { step: found.step, values: found.values, every: found.every });
      this.onChange();
      this.listen(listens);
    } catch {
      this.again(listens);
    }
  }

  pause() {
    this.listens = null;
    this.source?.close();
    clearTimeout(this.timer);
  }

  again(listens) {
    this.timer = setTimeout(() => this.listens === listens && this.begin(), AGAIN_MS);
  }

  listen(listens) {
    const last = this.step.at(-1) ?? -1;
    this.source = new EventSource(`/api/v1${this.path}/events?after_step=${last}`);
    this.source.addEventListener("metrics", (event) => this.add(JSON.parse(event.data)));
    this.source.addEventListener("rewind", () => this.begin());
    this.source.addEventListener("error", () => {
      // A connection that broke is made again by the browser; one that was refused is not.
      if (this.source.readyState === EventSource.CLOSED && this.listens === listens) this.again(listens);
    });
  }

  add(row) {
    this.newest = row;
    // The newest row is always there; the one before stays only where its turn is.
    if (this.skipped > 0) this.drop(this.step.length - 1);
    this.skipped = (this.skipped + 1) % this.every;
    this.step.push(row.step);
    for (const name of this.names) this.values[name].push(row[name] ?? null);
    if (this.step.length > MAX_POINTS) this.thin();
    this.onChange();
  }

  drop(place) {
    this.step.splice(place, 1);
    for (const name of this.names) this.values[name].splice(place, 1);
  }

  thin() {
    const last = this.step.length - 1;
    const stays = (_, place) => (last - place) % 2 === 0;
    this.step = this.step.filter(stays);
    for (const name of this.names) this.values[name] = this.values[name].filter(stays);
    this.every *= 2;
    this.skipped = 0;
  }

  // The newest figure of a name that there is.
  last(name) {
    return this.values[name].findLast((value) => value !== null) ?? null;
  }
}
