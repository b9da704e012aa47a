// Checkpoints on their way into use.
import { get, getAll, post } from "./api.js";
import { uuid } from "./browser.js";
import { announce, byId, element, fill } from "./dom.js";
import { ask } from "./operate-ask.js";
import { number, person, time } from "./operate-words.js";

const BADGES = { "in use": "good", proposed: "warn", withdrawn: "", approved: "" };

export class Releases {
  constructor(path, me, onChange) {
    this.path = path;
    this.me = me;
    this.onChange = onChange;
    this.shown = "";
    const propose = byId("propose");
    propose.hidden = !me.permissions.includes("promote");
    propose.addEventListener("click", () => this.propose());
  }

  async look() {
    const { items } = await get(`${this.path}/releases`);
    const shown = JSON.stringify(items);
    if (shown === this.shown) return;
    this.shown = shown;
    const empty = element("p", { class: "hint", text: "None so far." });
    fill(byId("releases"), items.length > 0 ? this.table(items) : empty);
  }

  table(items) {
    const heads = ["State", "Step", "Answers", "Proposed", "Approved", "Withdrawn", ""].map((text) =>
      element("th", { scope: "col", text }),
    );
    return element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {}, ...items.map((item) => this.row(item))),
    );
  }

  row(item) {
    const who = (id, when) => (id === null ? "–" : `${person(id)}, ${time(when)}`);
    const badge = element("span", { class: `badge ${BADGES[item.state] ?? ""}`, text: item.state });
    return element(
      "tr",
      {},
      element("td", {}, badge),
      element("td", { class: "number", text: number(item.step) }),
      element("td", { class: "number", text: number(item.answers) }),
      element("td", { text: who(item.proposed_by, item.proposed_unix_s) }),
      element("td", { text: who(item.approved_by, item.approved_unix_s) }),
      element("td", { text: who(item.withdrawn_by, item.withdrawn_unix_s) }),
      element("td", {}, element("div", { class: "row" }, ...this.acts(item))),
    );
  }

  acts(item) {
    const made = [];
    const step = number(item.step);
    const isMine = item.proposed_by === this.me.person.id;
    if (item.state === "proposed" && this.me.permissions.includes("promote")) {
      if (isMine) made.push(element("span", { class: "hint", text: "Another person approves it." }));
      else made.push(this.button(item, "Approve", `The policy of step ${step} is in use from then on.`));
    }
    if (item.state !== "withdrawn" && this.me.permissions.includes("steer")) {
      const words = item.state === "in use" ? "The release before it is in use again, or none." : "It cannot be approved any more.";
      made.push(this.button(item, "Withdraw", words, true));
    }
    return made;
  }

  button(item, name, words, isDanger = false) {
    const title = `${name} the release of step ${number(item.step)}?`;
    const act = () => this.send(`${this.path}/releases/${item.id}/${name.toLowerCase()}`, undefined, `${name}: done.`);
    const click = () => ask({ title, words, yes: name, isDanger }, act);
    const label = `${name} the release of step ${number(item.step)}`;
    return element("button", { type: "button", text: name, "aria-label": label, on: { click } });
  }

  async propose() {
    const id = uuid();
    const checkpoints = await getAll(`${this.path}/checkpoints`);
    const select = element("select", { required: true, "data-wanted": "There is no checkpoint yet." });
    fill(select, ...checkpoints.map((one) => element("option", { value: one.step, text: `step ${number(one.step)}` })));
    const label = element("label", { class: "field" }, "Checkpoint", select);
    const words = "It is kept from now on, and put into use once another person approves it.";
    const question = { title: "Propose a checkpoint for release?", words, yes: "Propose", input: select, label };
    ask(question, (step) => this.send(`${this.path}/releases`, { id, step: Number(step) }, "Proposed."));
  }

  async send(path, body, said) {
    await post(path, body, { repeatable: true });
    announce(said);
    await this.look();
    this.onChange();
  }
}
