// One's own time, pay, choices and consents, and the way out.
import { showAccount } from "./account.js";
import { get, patch, post } from "./api.js";
import { byId, element, fill, show } from "./dom.js";
import { answersIn, dayTable, hours, owedIn, paymentTable, sentence } from "./work.js";

async function showWork() {
  const [today, work] = await Promise.all([get("/session/care"), get("/session/work")]);
  const limit = today.day_hours === null ? "" : ` of ${today.day_hours} hours`;
  byId("today").textContent = `${hours(today.worked_s)}${limit}, ${answersIn(today.items)}. ${sentence(today.over ?? "")}`;
  const owed = owedIn(work.owed_minor);
  byId("owed").textContent = owed !== "" ? `Owed to you: ${owed}` : "Your time is not paid by the hour here.";
  fill(byId("days"), dayTable(work.days));
  byId("paid").hidden = work.payments.length === 0;
  fill(byId("payments"), paymentTable(work.payments));
}

async function showPreferences() {
  const form = byId("preferences");
  const chosen = await get("/session/preferences");
  const boxes = chosen.categories.map((name) =>
    element("input", { type: "checkbox", name: "shown", value: name, checked: !chosen.avoid.includes(name) }),
  );
  fill(byId("categories"), ...boxes.map((box) => element("label", { class: "row" }, box, box.value)));
  form.elements.zone.value = chosen.time_zone;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const avoid = boxes.filter((box) => !box.checked).map((box) => box.value);
    try {
      await patch("/session/preferences", { avoid, time_zone: form.elements.zone.value.trim() });
      byId("saved").textContent = "Saved.";
      await showWork();
    } catch (problem) {
      byId("saved").textContent = problem.message;
    }
  });
}

async function showConsents() {
  const text = await get("/session/consent");
  const said = text.earlier.map((one) => `Version ${one.version}, on ${new Date(one.agreed_unix_s * 1000).toLocaleString()}`);
  fill(byId("consents"), ...(said.length ? said : ["Nothing yet."]).map((line) => element("li", { text: line })));
}

byId("forget").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { answers, password } = event.target.elements;
  try {
    await post("/session/forget", { answers: answers.value, password: password.value });
    location.assign("/sign-in");
  } catch (problem) {
    show(byId("error"), problem.message);
    password.focus();
  }
});

await Promise.all([showAccount(), showWork(), showPreferences(), showConsents()]);
