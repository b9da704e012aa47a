// One question before anything is done: what it does, one input at most, yes or no.
import { ApiError } from "./api.js";
import { byId, fill, show } from "./dom.js";

const dialog = byId("ask");
const form = byId("ask-form");
const yes = byId("ask-yes");
const error = byId("ask-error");
let present = null;

// Ask, and do `act(value)` once it is confirmed. The id that `act` sends is made before, so that a second click, or a try
// after a broken connection, is the same command.
//
// question: {title, words, yes, isDanger, input}; input is an element with a value, or null.
export function ask(question, act) {
  present = { act, input: question.input ?? null };
  byId("ask-title").textContent = question.title;
  byId("ask-words").textContent = question.words;
  yes.textContent = question.yes;
  yes.className = question.isDanger ? "danger" : "primary";
  yes.disabled = false;
  fill(byId("ask-input"), question.label ?? question.input);
  show(error, "");
  dialog.showModal();
}

byId("ask-no").addEventListener("click", () => dialog.close());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = present;
  if (asked === null || yes.disabled) return;
  if (asked.input !== null && !asked.input.checkValidity()) {
    show(error, asked.input.dataset.wanted ?? asked.input.validationMessage);
    asked.input.setAttribute("aria-invalid", "true");
    asked.input.focus();
    return;
  }
  yes.disabled = true;
  show(error, "");
  try {
    await asked.act(asked.input === null ? null : asked.input.value);
    if (present === asked) dialog.close();
  } catch (problem) {
    if (!(problem instanceof ApiError)) show(error, `That did not work: ${problem.message}. Nothing is done twice: try again.`);
    else show(error, problem.detail);
  } finally {
    yes.disabled = false;
  }
});
