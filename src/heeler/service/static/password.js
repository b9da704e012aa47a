// Another password.
import { showAccount } from "./account.js";
import { ApiError, put } from "./api.js";
import { byId, show } from "./dom.js";

const form = byId("form");
const error = byId("error");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  show(error, "");
  const { old, new: fresh, again } = form.elements;
  if (fresh.value !== again.value) {
    show(error, "The two new passwords differ.");
    again.focus();
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await put("/session/password", { old: old.value, new: fresh.value });
    location.assign("/");
  } catch (problem) {
    show(error, sentence(problem));
    (problem.field === "old" ? old : fresh).focus();
  } finally {
    button.disabled = false;
  }
});

function sentence(problem) {
  if (!(problem instanceof ApiError)) return `That did not work: ${problem.message}.`;
  if (problem.field === "old") return "This is not the present password.";
  if (problem.field === "new") return `The new password was refused: ${problem.detail.replace(/^new: /, "")}.`;
  if (problem.status === 429) return "Too many tries. Wait a minute, then try again.";
  return `That did not work: ${problem.detail}.`;
}

await showAccount();
