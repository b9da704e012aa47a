// What people reported, and what is set aside because of it.
import { me, showAccount } from "./account.js";
import { act, actButton } from "./act.js";
import { get, getAll, ofEach, post, remove } from "./api.js";
import { byId, element, fill, show } from "./dom.js";
import { ItemView } from "./item-view.js";

const run = byId("run");
const list = byId("reports");
const path = () => `/runs/${encodeURIComponent(run.value)}`;
let canAct = false;
// Items stay on the screen while what is said of them changes.
let views = new Map();

async function look() {
  const [flags, aside] = await Promise.all([getAll(`${path()}/flags`), getAll(`${path()}/set-aside`)]);
  const since = new Map(aside.map((one) => [one.query_id, one.since_unix_s]));
  const items = new Map([...since.keys()].map((queryId) => [queryId, []]));
  for (const flag of flags) items.set(flag.query_id, [...(items.get(flag.query_id) ?? []), flag]);
  // What nobody has decided about comes first, then the newest.
  const newest = (queryId) => Math.max(since.get(queryId) ?? 0, ...items.get(queryId).map((flag) => flag.flagged_unix_s));
  const order = [...items.keys()].sort((one, other) => since.has(one) - since.has(other) || newest(other) - newest(one));
  fill(list, ...order.map((queryId) => article(queryId, items.get(queryId), since.get(queryId))));
  const open = order.filter((queryId) => !since.has(queryId)).length;
  byId("count").textContent = order.length === 0 ? "Nothing was reported in this run." : `${open} reported, ${since.size} set aside.`;
}

function article(queryId, flags, sinceS) {
  const name = queryId.slice(0, 12);
  const state = sinceS === undefined ? ["badge warn", "reported"] : ["badge", `set aside on ${time(sinceS)}: asked of nobody`];
  return element(
    "article",
    { class: "card stack", tabindex: -1, "aria-label": `Item ${name}` },
    element("h2", {}, "Item ", element("code", { text: name, title: queryId }), " ", element("span", { class: state[0], text: state[1] })),
    flags.length > 0 ? element("ul", {}, ...flags.map(said)) : element("p", { class: "hint", text: "No reports are left." }),
    viewOf(queryId, name),
    canAct ? element("div", { class: "row" }, ...acts(queryId, name, flags, sinceS !== undefined)) : null,
  );
}

function said(flag) {
  const words = flag.note === "" ? "" : `: “${flag.note}”`;
  return element("li", {}, element("strong", { text: flag.category }), `${words} (${time(flag.flagged_unix_s)})`);
}

function viewOf(queryId, name) {
  const known = views.get(queryId);
  if (known !== undefined) return known;
  const made = element("div", { class: "stack" });
  const view = new ItemView(made);
  const toggle = element("button", { type: "button", "aria-expanded": "false", "aria-label": `Show item ${name}`, text: "Show the item" });
  toggle.addEventListener("click", () => act(async () => {
    if (view.element.hidden) await view.show(run.value, queryId);
    else view.clear();
    toggle.setAttribute("aria-expanded", String(!view.element.hidden));
    toggle.textContent = view.element.hidden ? "Show the item" : "Hide the item";
    toggle.setAttribute("aria-label", `${view.element.hidden ? "Show" : "Hide"} item ${name}`);
  }));
  fill(made, element("div", {}, toggle), view.element);
  views.set(queryId, made);
  return made;
}

function acts(queryId, name, flags, isAside) {
  const one = encodeURIComponent(queryId);
  const then = async (doing) => {
    await doing;
    await look();
  };
  const categories = [...new Set(flags.map((flag) => flag.category))];
  return [
    isAside
      ? actButton("Put back", `Put item ${name} back`, () => then(remove(`${path()}/set-aside/${one}`)), "")
      : actButton("Set aside", `Set item ${name} aside`, () => then(post(`${path()}/set-aside`, { query_id: queryId }, { repeatable: true })), "danger"),
    ...categories.map((category) =>
      actButton(`Dismiss “${category}”`, `Dismiss “${category}” of item ${name}`, () => then(remove(`${path()}/flags/${one}/${category}`)), ""),
    ),
  ];
}

function time(unixS) {
  return new Date(unixS * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// Runs with reports come first, so that nobody has to look for them.
async function showRuns() {
  const names = (await getAll("/runs")).filter((one) => one.has_store).map((one) => one.name);
  // A run that cannot be opened now is still to choose, and says why then.
  const first = (name) => get(`/runs/${encodeURIComponent(name)}/flags?limit=1`).catch(() => ({ items: [] }));
  const found = await ofEach(names, first);
  const reported = names.filter((_, place) => found[place].items.length > 0);
  const option = (name) => element("option", { value: name, text: reported.includes(name) ? `${name} (reports)` : name });
  fill(run, ...[...reported, ...names.filter((name) => !reported.includes(name))].map(option));
  const wanted = new URLSearchParams(location.search).get("run");
  if (names.includes(wanted)) run.value = wanted;
  show(byId("no-runs"), names.length === 0 ? "No run in this folder asks anything yet." : "");
}

run.addEventListener("change", () => {
  views = new Map();
  act(look);
});

await showAccount();
canAct = (await me()).permissions.includes("settings");
byId("only-admins").hidden = canAct;
await act(async () => {
  await showRuns();
  if (run.value !== "") await look();
});
