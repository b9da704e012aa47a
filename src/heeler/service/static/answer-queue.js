// What is asked next, with everything that it shows loaded in advance.
import { ApiError, NetworkError, post } from "./api.js";
import { PictureError, loadShown } from "./answer-media.js";
import { Text } from "./answer-text.js";

export const AHEAD = 3;
const LOOK_AGAIN_MS = 3_000;
const RENEW_AT_MOST_MS = 60_000;

export class Queue {
  // `isDone(queryId)` says of a query that it has been answered here; `onChange` is told that there is more to show, or
  // why there is not.
  constructor(run, { isDone, onChange }) {
    this.run = run;
    this.isDone = isDone;
    // What comes in after the end is nobody's any more.
    this.onChange = (error) => this.isStopped || onChange(error);
    this.items = [];
    this.loading = new Map();
    this.current = null;
    this.timer = null;
    this.isAsking = false;
    this.isWanted = false;
    this.isStopped = false;
  }

  // The next item, ready to be shown, or null.
  take() {
    this.current = this.items.shift() ?? null;
    return this.current;
  }

  // Put an item back to the front, before the one that is shown now.
  putBack(item) {
    if (this.current !== null) this.items.unshift(this.current);
    this.current = item;
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  // Ask for more where there is little left; asking renews the leases of what is here.
  async refill() {
    clearTimeout(this.timer);
    this.isWanted = true;
    if (this.isAsking || this.isStopped) return;
    this.isAsking = true;
    let pauseMs = LOOK_AGAIN_MS;
    try {
      // Whoever takes an item while others are asked for is seen to at once.
      while (this.isWanted && !this.isStopped) {
        this.isWanted = false;
        pauseMs = await this.ask();
      }
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof NetworkError)) throw error;
      this.onChange(error);
    } finally {
      this.isAsking = false;
      // Whatever went wrong, this page goes on asking.
      if (!this.isStopped) this.timer = setTimeout(() => this.refill(), pauseMs);
    }
  }

  // Ids of what is on the screen or ready for it.
  here() {
    return new Set([this.current, ...this.items].filter((item) => item !== null).map((item) => item.queryId));
  }

  // Lease and load; returns when to ask again.
  async ask() {
    const wanted = AHEAD + this.here().size + this.loading.size + this.isDone.waiting();
    const page = await post(`/runs/${encodeURIComponent(this.run)}/leases`, { count: Math.min(100, wanted) }, {
      repeatable: true,
      tries: 2,
    });
    const held = new Map(page.items.map((lease) => [lease.query_id, lease]));
    for (const item of this.items.filter((item) => !held.has(item.queryId))) item.close();
    this.items = this.items.filter((item) => held.has(item.queryId));
    // Meanwhile an answer may have been undone, whose item is here again.
    const here = this.here();
    const fresh = page.items.filter(
      (lease) => !here.has(lease.query_id) && !this.loading.has(lease.query_id) && !this.isDone(lease.query_id),
    );
    for (const lease of fresh.slice(0, AHEAD + 1 - this.items.length - this.loading.size)) {
      this.loading.set(lease.query_id, lease);
    }
    await this.load();
    this.onChange(null);
    if (this.items.length === 0 && this.current === null) return LOOK_AGAIN_MS;
    const firstEnd = Math.min(...page.items.map((lease) => lease.expires_unix_s * 1000)) - Date.now();
    return this.items.length < AHEAD ? LOOK_AGAIN_MS : Math.min(RENEW_AT_MOST_MS, Math.max(LOOK_AGAIN_MS, firstEnd / 3));
  }

  // Load one after the other, so that the first is there soonest.
  async load() {
    for (const lease of this.loading.values()) {
      try {
        const path = `/runs/${encodeURIComponent(this.run)}/leases/${encodeURIComponent(lease.query_id)}/segments`;
        const clips = await Promise.all(lease.segments.map((_, place) => loadShown(`${path}/${place}`)));
        this.items.push(new Item(lease, clips));
        this.onChange(null);
      } catch (error) {
        // A lease that ran out, or a segment that is broken: others have it next, or nobody. A picture that could not be
        // read is asked for again.
        if (!(error instanceof ApiError || error instanceof PictureError)) throw error;
      } finally {
        this.loading.delete(lease.query_id);
      }
    }
  }
}

// A query with all that it shows.
class Item {
  constructor(lease, clips) {
    this.lease = lease;
    this.queryId = lease.query_id;
    this.clips = clips;
    // On the screen from left to right; answers name the sides as the query does.
    this.isText = clips[0] instanceof Text;
    this.places = lease.flip ? [1, 0] : clips.map((_, place) => place);
  }

  close() {
    for (const clip of this.clips) clip.close();
  }
}
