// Gold items of a run: making and removing them, and how everybody did.
import { act, actButton, onSubmit } from "./act.js";
import { get, getAll, post, remove } from "./api.js";
import { byId, element, fill } from "./dom.js";
import { ItemView, queryPath } from "./item-view.js";
import { answersIn, personLink, share, table } from "./work.js";

const LOW = 0;
const HIGH = 10;
const NUM_NEWEST = 100;
const KINDS = ["preference", "rating"];
const form = byId("add-gold");
const view = new ItemView();

// Gold items of the run whose name `run()` returns; `people()` returns names by id.
export function startGold(run, people) {
  const path = () => `/runs/${encodeURIComponent(run())}`;
  const { newest, query, choice, score } = form.elements;
  fill(byId("gold-item"), view.element);

  async function look() {
    const [items, results, names, asked] = await Promise.all([
      getAll(`${path()}/gold`),
      getAll(`${path()}/gold-results`),
      people(),
      get(`${path()}/queries?limit=${NUM_NEWEST}`),
    ]);
    const isGold = new Set(items.map((item) => item.query_id));
    const free = asked.items.filter((one) => KINDS.includes(one.kind) && !isGold.has(one.query_id));
    const option = (one) => element("option", { value: one.query_id, text: `${one.query_id.slice(0, 12)}, ${one.kind}, ${answersIn(one.num_answers)}` });
    fill(newest, element("option", { value: "", text: free.length > 0 ? "Choose…" : "There are none." }), ...free.map(option));
    const rows = items.map((item) => [item.query_id, item.value.choice ?? `${item.value.score} of ${item.value.high}`, actButton("Remove", `Remove gold item ${item.query_id}`, async () => {
      await remove(`${path()}/gold/${encodeURIComponent(item.query_id)}`);
      await look();
    })]);
    fill(byId("gold"), table(["Gold item", "Right answer", "What to do"], rows));
    const did = results.map((one) => [
      names.has(one.person_id) ? personLink(one.person_id, names.get(one.person_id)) : "somebody who is gone",
      String(one.num_asked),
      String(one.num_right),
      share(one.num_right, one.num_asked),
    ]);
    fill(byId("gold-results"), table(["Name", "Gold items answered", "Right", "Share"], did));
  }

  // The right answer to a rating is a score, to a comparison a side.
  function fit(kind) {
    const isRating = kind === "rating";
    choice.closest("label").hidden = isRating;
    score.closest("label").hidden = !isRating;
    score.disabled = !isRating;
  }

  byId("look-gold").addEventListener("click", () => act(async () => {
    if (!query.reportValidity()) return;
    fit((await view.show(run(), query.value.trim())).kind);
  }));
  newest.addEventListener("change", () => {
    query.value = newest.value;
    query.dispatchEvent(new Event("input"));
  });
  query.addEventListener("input", () => {
    view.clear();
    fit("preference");
  });
  onSubmit("add-gold", async () => {
    const queryId = query.value.trim();
    const { kind } = await get(queryPath(run(), queryId));
    if (kind === "rating" && score.disabled) {
      fit(kind);
      score.focus();
      throw new Error("This is a rating: give the right score.");
    }
    const value = kind === "rating" ? { score: Number(score.value), low: LOW, high: HIGH } : { choice: choice.value };
    await post(`${path()}/gold`, { query_id: queryId, value });
    view.clear();
    form.reset();
    fit("preference");
    await look();
  });
  fit("preference");
  return look;
}
