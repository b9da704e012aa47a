// What a query shows, for those who answer for how people are asked.
import { get } from "./api.js";
import { loadShown } from "./answer-media.js";
import { Player } from "./answer-player.js";
import { Text, TextView } from "./answer-text.js";
import { element, fill, isOwnKey } from "./dom.js";

// The path of a query in the API.
export const queryPath = (run, queryId) => `/runs/${encodeURIComponent(run)}/queries/${encodeURIComponent(queryId)}`;

export class ItemView {
  // `around`: the player's keys are heard in this too, and not only in the item itself.
  constructor(around = null) {
    this.around = around;
    this.element = element("div", { class: "item stack", hidden: true });
    this.end = null;
    this.clips = [];
  }

  // Load a query and show it; returns what the API says of it.
  async show(run, queryId) {
    const path = queryPath(run, queryId);
    const query = await get(path);
    const places = Array.from({ length: query.num_segments }, (_, place) => place);
    const clips = await Promise.all(places.map((place) => loadShown(`${path}/segments/${place}`)));
    this.clear();
    this.clips = clips;
    this.end = new AbortController();
    const stage = element("div");
    const texts = element("div");
    const isText = clips[0] instanceof Text;
    const labels = clips.length === 2 ? ["Left", "Right"] : [isText ? "The text" : "The clip"];
    fill(this.element, element("p", { text: query.question }), stage, texts);
    if (isText) new TextView(texts, this.end.signal).show(clips, labels);
    else this.play(new Player(stage, this.end.signal, () => {}), clips, labels);
    this.element.hidden = false;
    return query;
  }

  play(player, clips, labels) {
    const { signal } = this.end;
    player.show(clips, labels);
    const key = (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && !isOwnKey(event.target, event.key) && player.key(event)) {
        event.preventDefault();
      }
    };
    (this.around ?? this.element).addEventListener("keydown", key, { signal });
  }

  clear() {
    this.end?.abort();
    for (const clip of this.clips) clip.close();
    this.clips = [];
    this.element.hidden = true;
    fill(this.element);
  }
}
