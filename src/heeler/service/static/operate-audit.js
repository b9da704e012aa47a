// Who did what, and whether the log is as it was written.
import { get } from "./api.js";
import { byId, element, fill } from "./dom.js";
import { person, time } from "./operate-words.js";

const AT_ONCE = 50;

export class AuditLog {
  constructor(path) {
    this.path = path;
    this.more = byId("audit-more");
    this.answers = byId("audit-answers");
    this.more.addEventListener("click", () => this.older());
    this.answers.addEventListener("change", () => this.look());
    byId("audit-again").addEventListener("click", () => this.look({ check: true }));
  }

  async look({ check = false } = {}) {
    const page = await this.page(null, check);
    this.body = element("tbody", {}, ...page.items.map(row));
    const heads = ["Time", "Who", "What", "Details"].map((text) => element("th", { scope: "col", text }));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.body);
    fill(byId("audit"), page.items.length > 0 ? table : element("p", { class: "hint", text: "Nothing so far." }));
    if (page.checks !== null) fill(byId("audit-checks"), ...page.checks.map(checked));
    this.go(page.next);
  }

  async older() {
    const page = await this.page(this.next, false);
    this.body.append(...page.items.map(row));
    this.go(page.next);
  }

  page(cursor, check) {
    const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    return get(`${this.path}/audit?limit=${AT_ONCE}&answers=${this.answers.checked}&check=${check}${after}`);
  }

  go(next) {
    this.next = next;
    this.more.hidden = next === null;
  }
}

function row(entry) {
  return element(
    "tr",
    {},
    element("td", { text: time(entry.unix_s) }),
    element("td", { text: person(entry.person) }),
    element("td", { text: entry.act }),
    element("td", {}, element("code", { text: details(entry.details) })),
  );
}

function details(given) {
  return Object.entries(given)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${written(name, value)}`)
    .join(", ");
}

function written(name, value) {
  if (name === "asked_by") return person(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function checked(check) {
  const which = check.log === "run" ? "The learner’s log" : "The service’s log";
  const count = `${check.num_entries} ${check.num_entries === 1 ? "entry" : "entries"}`;
  if (check.is_sound) return element("p", { class: "hint", text: `${which} is as it was written (${count}).` });
  const problems = check.problems.map((text) => element("li", { text }));
  return element(
    "div",
    { class: "notice bad" },
    element("p", { text: `${which} was tampered with or damaged:` }),
    element("ul", {}, ...problems),
  );
}
