// Signing in.
import { ApiError, get, post } from "./api.js";
import { byId, show } from "./dom.js";
import { localPath } from "./places.js";

const form = byId("form");
const error = byId("error");

function goOn(person) {
  const next = localPath(new URLSearchParams(location.search).get("next"));
  location.replace(person.must_change_password ? "/password" : next);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  show(error, "");
  const { name, password } = form.elements;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await post("/session", { name: name.value, password: password.value }, { stay: true });
    goOn(answer.person);
  } catch (problem) {
    show(error, sentence(problem));
    password.value = "";
    password.focus();
  } finally {
    button.disabled = false;
  }
});

function sentence(problem) {
  if (problem instanceof ApiError && problem.status === 401) return "Name or password is wrong.";
  if (problem instanceof ApiError && problem.status === 429) return "Too many tries. Wait a minute, then try again.";
  return `That did not work: ${problem.message}.`;
}

// A link from another site comes without the cookie, so that somebody who is signed in may land here.
try {
  goOn((await get("/session", { stay: true, tries: 1 })).person);
} catch {
  // Nobody is signed in.
}
