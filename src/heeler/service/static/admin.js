// People, keys, runs, care and pay, for admins.
import { me, showAccount } from "./account.js";
import { act, actButton, onSubmit } from "./act.js";
import { startGold } from "./admin-gold.js";
import { get, getAll, patch, post, put, remove } from "./api.js";
import { uuid } from "./browser.js";
import { byId, element, fill, show } from "./dom.js";
import { CARE_NUMBERS, hours, money, owedIn, personLink, table, tellWorth } from "./work.js";

const ROLES = ["annotator", "operator", "admin"];
const run = byId("run");
const names = async () => new Map((await getAll("/people")).map((person) => [person.id, person.name]));
const showGold = startGold(() => run.value, names);
const secret = (text) => {
  show(byId("secret"), text);
  byId("secret").scrollIntoView();
};

async function showPeople() {
  const people = await getAll("/people");
  const rows = people.map((person) => [personLink(person.id, person.name), person.email ?? "", roleOf(person), acts(person)]);
  fill(byId("people"), table(["Name", "E-mail", "Role", "What to do"], rows));
  fill(byId("add-key").elements.person, ...people.map((person) => element("option", { value: person.id, text: person.name })));
  await showKeys(new Map(people.map((person) => [person.id, person.name])));
}

function roleOf(person) {
  const options = ROLES.map((role) => element("option", { text: role, selected: role === person.role }));
  const change = (event) => act(async () => {
    await patch(`/people/${person.id}`, { role: event.target.value });
    await showPeople();
  });
  return element("select", { "aria-label": `Role of ${person.name}`, on: { change } }, ...options);
}

function acts(person) {
  const isOff = person.disabled_unix_s !== null;
  const turn = async () => {
    await patch(`/people/${person.id}`, { disabled: !isOff });
    await showPeople();
  };
  const reset = async () => {
    const made = await post(`/people/${person.id}/one-time-password`, {});
    secret(`One-time password of ${person.name}, shown only now: ${made.one_time_password}`);
  };
  return element("span", { class: "row" },
    actButton(isOff ? "Enable" : "Disable", `${isOff ? "Enable" : "Disable"} ${person.name}`, turn),
    person.kind === "person" ? actButton("New password", `New password for ${person.name}`, reset) : null,
    actButton("Forget", `Forget ${person.name}`, () => askToForget(person)));
}

function askToForget(person) {
  byId("forget-name").textContent = person.name;
  byId("forget-form").reset();
  byId("forget").showModal();
  byId("forget-form").onsubmit = (event) => {
    event.preventDefault();
    const { typed, answers } = event.target.elements;
    typed.setCustomValidity(typed.value === person.name ? "" : "This is not their name.");
    if (!event.target.reportValidity()) return;
    byId("forget").close();
    act(async () => {
      await post(`/people/${person.id}/forget`, { answers: answers.value });
      await Promise.all([showPeople(), showPay()]);
    });
  };
  byId("forget-form").elements.typed.oninput = (event) => event.target.setCustomValidity("");
}

async function showKeys(names) {
  const keys = (await getAll("/keys")).filter((key) => key.revoked_unix_s === null);
  const rows = keys.map((key) => [names.get(key.person_id) ?? "", key.label, key.scopes.join(", "), actButton("Revoke", `Revoke ${key.label}`, async () => {
    await remove(`/keys/${key.id}`);
    await showPeople();
  })]);
  fill(byId("keys"), table(["Of", "Label", "May", "What to do"], rows));
}

async function showRun() {
  if (run.value === "") return;
  const path = `/runs/${encodeURIComponent(run.value)}`;
  const settings = await get(`${path}/settings`);
  for (const [name, value] of Object.entries(settings)) byId("run-settings").elements[name].value = value;
  await showGold();
}

async function showCare() {
  const care = await get("/care");
  for (const name of [...CARE_NUMBERS, "currency"]) byId("care").elements[name].value = care[name] ?? "";
  byId("care").dispatchEvent(new Event("input"));
}

async function showConsent() {
  const text = await get("/consent");
  byId("consent").elements.text.value = text.text;
  byId("version").textContent = text.version;
}

async function showPay() {
  const rows = (await getAll("/work")).map((one) => {
    const due = Object.entries(one.owed_minor).filter(([, minor]) => minor > 0);
    return [personLink(one.person_id, one.name), String(one.items), hours(one.worked_s), owedIn(one.owed_minor), element("span", { class: "row" }, ...due.map((sum) => payButton(one, ...sum)))];
  });
  fill(byId("pay"), table(["Name", "Answers", "Time", "Owed", "What to do"], rows));
}

// The id is made with the button, so that a second click is the same payment.
function payButton(one, currency, minor) {
  const body = { id: uuid(), amount_minor: minor, currency };
  return actButton(`Note ${money(minor, currency)} as paid`, `Note ${money(minor, currency)} to ${one.name} as paid`, async () => {
    await post(`/people/${one.person_id}/payments`, body, { repeatable: true });
    await showPay();
  });
}

onSubmit("add-person", async ({ name, email, role }, form) => {
  const made = await post("/people", { name: name.value, email: email.value || null, role: role.value });
  secret(`One-time password of ${made.person.name}, shown only now: ${made.one_time_password}`);
  form.reset();
  await showPeople();
});
onSubmit("add-key", async ({ person, label, scope }) => {
  const made = await post("/keys", { person_id: person.value, label: label.value, scopes: [scope.value] });
  secret(`The key ${made.key.label}, shown only now: ${made.text}`);
  await showPeople();
});
onSubmit("run-settings", async (fields) => {
  const names = ["overlap", "lease_s", "gold_share", "compare_share"];
  const changes = Object.fromEntries(names.map((name) => [name, Number(fields[name].value)]));
  await patch(`/runs/${encodeURIComponent(run.value)}/settings`, changes);
  await showRun();
});
onSubmit("care", async (fields) => {
  const changes = Object.fromEntries(CARE_NUMBERS.map((name) => [name, fields[name].value === "" ? null : Number(fields[name].value)]));
  await patch("/care", { ...changes, currency: fields.currency.value || null });
  await showCare();
});
onSubmit("consent", async ({ text }) => {
  await put("/consent", { text: text.value });
  await showConsent();
});
tellWorth(byId("care"), "rate_minor", " an hour");
byId("forget-cancel").addEventListener("click", () => byId("forget").close());
run.addEventListener("change", () => act(showRun));

await showAccount();
const { permissions } = await me();
fill(byId("add-key").elements.scope, ...permissions.filter((name) => !["session", "signed_in"].includes(name)).map((name) => element("option", { text: name })));
const runs = (await getAll("/runs")).filter((one) => one.has_store);
fill(run, ...runs.map((one) => element("option", { text: one.name })));
await act(() => Promise.all([showPeople(), showRun(), showCare(), showConsent(), showPay()]));
