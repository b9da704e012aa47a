// The page on which people talk to the model, and say what its answers are worth.
import { me, showAccount } from "./account.js";
import { get } from "./api.js";
import { uuid } from "./browser.js";
import { Answer, Pair, said } from "./chat-said.js";
import { chunksOf } from "./chat-stream.js";
import { announce, byId, element, fill, show } from "./dom.js";

const MOST_LISTED = 50;

class Talk {
  constructor(chat) {
    this.chat = chat;
    this.id = uuid();
    this.messages = [];
    this.abort = null;
    this.isBusy = false;
  }

  // Begin anew, or with a conversation that was kept.
  begin(kept = null) {
    this.stop();
    this.id = kept?.id ?? uuid();
    this.messages = (kept?.messages ?? []).map(({ role, content }) => ({ role, content }));
    byId("title").textContent = kept?.title || "New conversation";
    show(byId("error"), "");
    byId("again").hidden = true;
    showTold(this);
    fill(byId("log"), ...(kept?.messages ?? []).map((message) => this.keptBox(message)));
    const place = kept === null ? "/chat" : `/chat?conversation=${this.id}`;
    history.replaceState(null, "", place);
    this.setBusy(false);
  }

  keptBox(message) {
    if (message.role !== "assistant" || message.completion_id === null) return said(message.role, message.content).box;
    const answer = new Answer();
    answer.add(message.content);
    answer.end();
    answer.id = message.completion_id;
    answer.choice = message.choice;
    answer.offer(`${this.chat.model ?? this.chat.run}@${message.version}`);
    return answer.box;
  }

  setBusy(isBusy) {
    this.isBusy = isBusy;
    byId("send").disabled = isBusy;
    byId("stop").hidden = !isBusy || this.abort === null;
  }

  stop() {
    this.abort?.abort();
  }

  async send(text) {
    if (this.isBusy) return;
    this.messages.push({ role: "user", content: text });
    byId("log").append(said("user", text).box);
    if (this.messages.length === 1) byId("title").textContent = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    await this.answer();
  }

  // Have the last message answered; what goes wrong is told, and can be tried again.
  async answer() {
    show(byId("error"), "");
    byId("again").hidden = true;
    this.abort = new AbortController();
    this.setBusy(true);
    const mine = this.id;
    try {
      // It may have been let go on since this page was opened.
      if (this.chat.model === null) this.chat = await get("/chat");
      if (this.chat.model === null) throw new Error(this.chat.stopped);
      showState(this.chat);
      const isPair = Math.random() < this.chat.compare_share;
      const answer = await this.taken(isPair ? 2 : 1, this.abort.signal);
      if (this.id !== mine || answer === null) return;
      this.messages.push({ role: "assistant", content: answer.content });
      history.replaceState(null, "", `/chat?conversation=${this.id}`);
      listConversations(this).catch(() => {});
    } catch (problem) {
      if (this.id !== mine) return;
      show(byId("error"), problem.message);
      if (problem.code === "content_filter") this.takeBack();
      else byId("again").hidden = false;
    } finally {
      if (this.id === mine) {
        this.abort = null;
        this.setBusy(false);
        if (document.activeElement === document.body || document.activeElement === byId("stop")) byId("message").focus();
      }
    }
  }

  // A message that was refused stays out of the conversation, or all that follow it would be refused with it.
  takeBack() {
    const { content } = this.messages.pop();
    byId("log").lastElementChild.remove();
    const message = byId("message");
    if (message.value === "") message.value = content;
  }

  // The answer to go on with; null where it was stopped before anything had come.
  async taken(number, signal) {
    const body = { model: this.chat.model, messages: this.messages, n: number, metadata: { conversation: this.id } };
    let shown = null;
    let label = "";
    try {
      for await (const chunk of chunksOf(body, signal)) {
        label = chunk.model;
        shown ??= number === 2 ? new Pair(chunk.flip === true) : new Answer();
        if (!shown.box.isConnected) byId("log").append(shown.box);
        for (const choice of chunk.choices) this.grow(partOf(shown, choice.index), chunk, choice);
      }
    } catch (problem) {
      if (!signal.aborted) {
        shown?.box.remove();
        throw problem;
      }
      for (const one of shown === null ? [] : partsOf(shown)) one.end("You stopped this answer; it is not kept.");
      return shown === null ? null : partsOf(shown)[0];
    }
    for (const one of partsOf(shown)) one.end(one.finish === "length" ? "It was cut at its greatest length." : "");
    return shown instanceof Pair ? await this.compared(shown, label) : this.offered(shown, label);
  }

  grow(answer, chunk, choice) {
    answer.id = chunk.id;
    answer.choice = choice.index;
    const isNearEnd = innerHeight + scrollY > document.body.scrollHeight - 200;
    if (choice.delta.content) answer.add(choice.delta.content);
    if (choice.finish_reason !== null) answer.finish = choice.finish_reason;
    if (isNearEnd) scrollTo({ top: document.body.scrollHeight });
  }

  offered(answer, label) {
    // What a guard said in the model's place is nothing to learn from.
    if (answer.finish !== "content_filter") answer.offer(label);
    announce(`Answer: ${answer.content.slice(0, 2000)}`);
    return answer;
  }

  async compared(pair, label) {
    this.abort = null;
    this.setBusy(true);
    const [first, second] = pair.answers;
    const isWorthAsking = first.content !== second.content && pair.answers.every((one) => one.finish !== "content_filter");
    const better = isWorthAsking ? await pair.ask() : pair.answers.find((one) => one.finish !== "content_filter") ?? first;
    better.box.querySelector("h2").textContent = "Answer";
    pair.box.replaceWith(better.box);
    return this.offered(better, label);
  }
}

function showState(chat) {
  byId("model").textContent = chat.model === null ? "" : `${chat.model}, version ${chat.version}`;
  show(byId("notice"), chat.stopped === null ? "" : `Nobody is answered now: ${chat.stopped}.`);
}

// What the model is told first, unless this conversation has instructions of its own.
function showTold(talk) {
  byId("told-text").textContent = talk.chat.system;
  byId("told").hidden = talk.chat.system === "" || talk.messages.some((message) => message.role === "system");
}

const partsOf = (shown) => (shown instanceof Pair ? shown.answers : [shown]);
const partOf = (shown, index) => partsOf(shown)[index];

async function listConversations(talk) {
  const { items } = await get(`/chat/conversations?limit=${MOST_LISTED}`);
  const links = items.map((one) => {
    const link = element("a", { href: `/chat?conversation=${one.id}`, text: one.title || "Without words", "aria-current": one.id === talk.id && "page" });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      open(talk, one.id);
    });
    return element("li", {}, link);
  });
  fill(byId("conversation-list"), ...(links.length ? links : [element("li", { class: "hint", text: "None yet." })]));
}

async function open(talk, id) {
  try {
    talk.begin(await get(`/chat/conversations/${encodeURIComponent(id)}`));
    await listConversations(talk);
    byId("log").focus({ preventScroll: true });
  } catch (problem) {
    show(byId("error"), problem.message);
  }
}

function listen(talk) {
  const message = byId("message");
  const submit = () => {
    const text = message.value;
    if (talk.isBusy || text.trim() === "") return;
    message.value = "";
    talk.send(text);
  };
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  message.addEventListener("keydown", (event) => {
    // Whoever writes with an input method ends a word with Enter.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") talk.stop();
  });
  byId("stop").addEventListener("click", () => talk.stop());
  byId("retry").addEventListener("click", () => talk.answer());
  byId("new").addEventListener("click", () => {
    talk.begin();
    listConversations(talk).catch(() => {});
    message.focus();
  });
}

await showAccount();
const [{ person }, consent] = await Promise.all([me(), get("/session/consent")]);
if (person.kind === "person" && !consent.agreed) {
  location.assign("/consent");
} else {
  const chat = await get("/chat");
  byId("conversations").open = matchMedia("(min-width: 60rem)").matches;
  showState(chat);
  const talk = new Talk(chat);
  listen(talk);
  const asked = new URLSearchParams(location.search).get("conversation");
  if (asked !== null) await open(talk, asked);
  else {
    talk.begin();
    await listConversations(talk);
  }
  byId("message").focus();
}
