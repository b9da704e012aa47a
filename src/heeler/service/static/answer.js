// The page on which people answer, whatever kind of feedback is asked for.
import { me, showAccount } from "./account.js";
import { ApiError, get, remove } from "./api.js";
import { startCare } from "./care.js";
import { inputsOf } from "./answer-form.js";
import { showHelp } from "./answer-help.js";
import { Outbox } from "./answer-outbox.js";
import { Player } from "./answer-player.js";
import { Queue } from "./answer-queue.js";
import { TextView } from "./answer-text.js";
import { ModelView } from "./answer-view.js";
import { alone, uuid } from "./browser.js";
import { sentence } from "./work.js";
import { announce, byId, element, fill, isOwnKey, show } from "./dom.js";

class AnswerPage {
  constructor(person, run) {
    this.run = run;
    this.item = null;
    this.last = null;
    this.inputs = [];
    this.done = new Set();
    this.left = new Set();
    this.numAnswered = 0;
    // Ends all that listens, where another tab takes over.
    this.end = new AbortController();
    const { signal } = this.end;
    this.player = new Player(byId("stage"), signal, (step) => this.inputs.forEach((input) => input.onStep?.(step)));
    this.texts = new TextView(byId("texts"), signal);
    this.view = new ModelView(byId("view"), byId("view-words"), {
      name: `${person.id}.${run}`,
      current: () => this.item,
      signal,
    });
    this.outbox = new Outbox(person.id, signal, {
      onChange: (count, isLost) => this.tellWaiting(count, isLost),
      onSent: (body) => this.sent(body),
      onRefused: (error) => this.tellRefused(error),
    });
    const isDone = (queryId) => this.done.has(queryId) || this.left.has(queryId) || this.isWaiting(queryId);
    isDone.waiting = () => this.outbox.waiting().filter((entry) => entry.run === run).length + this.left.size;
    this.queue = new Queue(run, { isDone, onChange: (error) => this.queueChanged(error) });
  }

  start() {
    byId("run").textContent = this.run;
    const { signal } = this.end;
    const on = (target, event, act) => target.addEventListener(event, act, { signal });
    on(byId("undo"), "click", () => this.undo());
    on(byId("undo-empty"), "click", () => this.undo());
    on(byId("send"), "click", () => this.sendForm());
    on(byId("show-help"), "click", () => showHelp(this.item?.lease.kind));
    on(document, "keydown", (event) => this.keyDown(event));
    on(document, "keyup", (event) => this.inputs.forEach((input) => input.keyUp?.(event)));
    on(document, "visibilitychange", () => this.countTime());
    this.outbox.send();
    this.outbox.tell();
    this.queue.refill();
  }

  stop() {
    this.end.abort();
    this.outbox.release();
    this.outbox.send();
    this.queue.stop();
    this.player.clear();
    this.item = null;
    this.inputs = [];
    this.showOnly("elsewhere");
  }

  isWaiting(queryId) {
    return this.outbox.waiting().some((entry) => entry.body.query_id === queryId);
  }

  // Showing

  queueChanged(error) {
    const isOver = error instanceof ApiError && error.field === "care";
    byId("empty-title").textContent = isOver ? "That is all for today" : "Nothing to answer now";
    if (error === null) {
      if (this.item === null) this.next();
      return;
    }
    if (error instanceof ApiError) show(byId("notice"), `${sentence(error.detail.replace(/^care: /, ""))} This page tries again by itself.`);
    if (this.item === null) this.showEmpty();
  }

  next() {
    const item = this.queue.take();
    if (item !== null) {
      this.show(item);
      return;
    }
    const wasShown = this.item !== null || byId("empty").hidden;
    this.item = null;
    this.inputs = [];
    this.player.clear();
    this.showEmpty();
    if (wasShown) announce("Nothing to answer now. This page looks again by itself.");
  }

  showEmpty() {
    this.showOnly("empty");
    byId("undo-empty").hidden = this.last === null;
  }

  show(item) {
    this.item = item;
    this.showOnly("task");
    show(byId("error"), "");
    byId("question").textContent = item.lease.form.question;
    this.showClips(item);
    this.inputs = inputsOf(item, this);
    fill(byId("inputs"), ...this.inputs.map((input) => input.element));
    byId("send").hidden = !this.inputs.some((input) => input.read !== undefined);
    byId("undo").disabled = this.last === null;
    // Where the focus was on a button that is gone, keys would go nowhere.
    byId("question").focus({ preventScroll: true });
    announce(item.lease.form.question);
    this.spentMs = item.spentMs ?? 0;
    this.shownAt = document.hidden ? null : performance.now();
    requestAnimationFrame(() => setTimeout(() => performance.mark("heeler-shown", { detail: item.queryId })));
  }

  showClips(item) {
    const inOrder = item.places.map((place) => item.clips[place]);
    const labels = item.clips.length === 2 ? ["Left", "Right"] : [item.isText ? "The text" : "The clip"];
    if (item.isText) {
      this.player.clear();
      this.texts.show(inOrder, labels);
    } else {
      this.texts.clear();
      // Marks come as late as people are slow: in a slower clip they would be taken for earlier steps.
      const slow = item.lease.aids && item.lease.kind !== "evaluation";
      this.player.show(inOrder, labels, { slow, numbers: item.lease.aids });
    }
    this.view.show(item, labels);
  }

  showOnly(id) {
    for (const section of ["runs", "elsewhere", "empty", "task"]) byId(section).hidden = section !== id;
  }

  // Time while the page cannot be seen is not time that an answer took.
  countTime() {
    if (this.item === null) return;
    if (this.shownAt !== null) this.spentMs += performance.now() - this.shownAt;
    this.shownAt = document.hidden ? null : performance.now();
  }

  // Answering

  send(value) {
    if (this.item === null) return;
    this.countTime();
    const { lease, queryId } = this.item;
    const taken = Math.round(this.spentMs) / 1000;
    const view = this.view.seen(this.item);
    const body = { key: uuid(), query_id: queryId, kind: lease.kind, value, time_taken_s: taken, view };
    this.item.spentMs = this.spentMs;
    this.last?.close();
    this.last = this.item;
    this.numAnswered += 1;
    this.done.add(queryId);
    this.next();
    // The next one is on the screen before anything is written.
    this.outbox.add(this.run, body);
    this.queue.refill();
    this.tellCount();
  }

  async sendForm() {
    const item = this.item;
    if (byId("send").hidden || item === null) return;
    show(byId("error"), "");
    byId("send").disabled = true;
    try {
      const value = {};
      for (const input of this.inputs) if (input.read !== undefined) Object.assign(value, await input.read());
      if (this.item === item) this.send(value);
    } catch (error) {
      show(byId("error"), error instanceof ApiError ? `${error.detail}.` : error.message);
    } finally {
      byId("send").disabled = false;
    }
  }

  undo() {
    if (this.last === null) return;
    if (!this.outbox.takeBack()) {
      this.last.close();
      this.last = null;
      byId("undo").disabled = true;
      byId("undo-empty").hidden = true;
      announce("It is too late to undo: the last answer has been sent.");
      show(byId("error"), "It is too late to undo: the last answer has been sent.");
      return;
    }
    const item = this.last;
    this.last = null;
    this.done.delete(item.queryId);
    this.numAnswered -= 1;
    this.tellCount();
    if (this.item !== null) this.item.spentMs = this.spentMs;
    this.queue.putBack(item);
    this.show(item);
    announce("Undone. Answer it again.");
  }

  // Somebody else is to answer this, or nobody.
  skip(item) {
    this.left.add(item.queryId);
    this.next();
    this.queue.refill();
    item.close();
  }

  // Meanwhile it may have been answered.
  flagged(queryId) {
    if (this.item?.queryId === queryId) this.skip(this.item);
  }

  async leave(item) {
    this.skip(item);
    await remove(`/runs/${encodeURIComponent(this.run)}/leases/${encodeURIComponent(item.queryId)}`);
  }

  // Telling

  tellCount() {
    byId("count").textContent = `${this.numAnswered} answered`;
    byId("count").hidden = this.numAnswered === 0;
  }

  tellWaiting(count, isLost) {
    byId("waiting").hidden = count === 0 || (!isLost && count === 1);
    byId("waiting").textContent = `${count} waiting to be sent`;
  }

  // What was answered before this page came is not asked again by leases that were told before the answer arrived.
  sent(body) {
    this.done.add(body.query_id);
    show(byId("notice"), "");
  }

  tellRefused(error) {
    const why = error.status === 409 ? "Somebody else has answered it by now" : error.detail;
    show(byId("notice"), `One answer was not taken. ${why}.`);
  }

  keyDown(event) {
    if (event.defaultPrevented || byId("help").open || event.altKey || event.isComposing) return;
    const target = event.target;
    const isTyping = target.matches("textarea, input:not([type=range]), select");
    if (event.ctrlKey || event.metaKey) {
      if (event.key !== "Enter") return;
      this.sendForm();
    } else if (isTyping || isOwnKey(target, event.key)) {
      return;
    } else if (event.key === "?") {
      showHelp(this.item?.lease.kind);
    } else if (!this.itemKey(event)) {
      return;
    }
    event.preventDefault();
  }

  itemKey(event) {
    if (this.inputs.some((input) => input.key?.(event))) return true;
    if (event.key !== "Backspace") return this.item !== null && this.player.key(event);
    if (!event.repeat) this.undo();
    return true;
  }
}

async function chooseRun() {
  const names = (await get("/tasks")).items.map((task) => task.run);
  const wanted = new URLSearchParams(location.search).get("run");
  if (names.includes(wanted)) return wanted;
  if (wanted === null && names.length === 1) return names[0];
  if (wanted !== null) show(byId("notice"), "There is no such run, or it does not ask.");
  const links = names.map((name) =>
    element("li", {}, element("a", { href: `/answer?run=${encodeURIComponent(name)}`, text: name })),
  );
  fill(byId("run-list"), ...(links.length > 0 ? links : [element("li", { text: "No run asks for answers yet." })]));
  byId("runs").hidden = false;
  return null;
}

async function answerFor(person, run, steal = false) {
  const name = `heeler.answer.${person.id}.${run}`;
  byId("answer-here").onclick = () => answerFor(person, run, true);
  let page = null;
  try {
    await alone(name, { steal }, async (isAlone) => {
      if (!isAlone) {
        byId("elsewhere").hidden = false;
        return;
      }
      page = new AnswerPage(person, run);
      page.start();
      const flagTarget = () => (page.item === null ? null : { run, queryId: page.item.queryId });
      startCare(byId("care"), { flagTarget, afterFlag: ({ queryId }) => page.flagged(queryId), signal: page.end.signal });
      await new Promise(() => {});
    });
  } catch (error) {
    // Another tab took over.
    if (error.name !== "AbortError") throw error;
    page?.stop();
  }
}

await showAccount();
const [{ person }, consent] = await Promise.all([me(), get("/session/consent")]);
if (person.kind === "person" && !consent.agreed) {
  location.assign("/consent");
  await new Promise(() => {});
}
const run = await chooseRun();
if (run !== null) await answerFor(person, run);
