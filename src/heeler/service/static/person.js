// One person's limits, pay, time, payments and gold items, for admins.
import { showAccount } from "./account.js";
import { act, actButton, onSubmit } from "./act.js";
import { get, getAll, ofEach, patch, post } from "./api.js";
import { uuid } from "./browser.js";
import { byId, fill } from "./dom.js";
import { CARE_NUMBERS, answersIn, dayTable, hours, money, owedIn, paymentTable, share, table, tellWorth } from "./work.js";

const personId = new URLSearchParams(location.search).get("id") ?? "";
const path = `/people/${encodeURIComponent(personId)}`;
const limits = byId("limits");
const payment = byId("payment");
// The same until it was taken, so that one that is sent twice is one payment.
let paymentId = uuid();

async function showPerson() {
  const person = await get(path);
  byId("name").textContent = person.name;
  byId("role").textContent = person.disabled_unix_s === null ? person.role : `${person.role}, disabled`;
  document.title = `${person.name} · heeler`;
}

async function showLimits() {
  const [own, all] = await Promise.all([get(`${path}/care`), get("/care")]);
  for (const name of [...CARE_NUMBERS, "currency"]) {
    const field = limits.elements[name];
    field.value = own.own.includes(name) ? own[name] : "";
    field.placeholder = all[name] ?? "none";
  }
  limits.dispatchEvent(new Event("input"));
}

async function showWork() {
  const work = await get(`${path}/work`);
  const owed = Object.entries(work.owed_minor);
  byId("worked").textContent = `${answersIn(work.items)} in ${hours(work.worked_s)}.`;
  byId("owed").textContent = owed.length > 0 ? `Owed: ${owedIn(work.owed_minor)}.` : "Nothing is owed.";
  fill(byId("days"), dayTable(work.days));
  fill(byId("payments"), paymentTable(work.payments, takeBackButton));
  const [currency, minor] = owed.find(([, amount]) => amount > 0) ?? ["", ""];
  payment.elements.amount.value = minor;
  payment.elements.currency.value = currency;
  payment.dispatchEvent(new Event("input"));
}

function takeBackButton(one) {
  const amount = money(one.amount_minor, one.currency);
  return actButton("Take back", `Take back ${amount}`, () => askWhy(one, amount));
}

// Why a payment is to be taken back; it is done once that is told.
function askWhy(one, amount) {
  const form = byId("take-back-form");
  byId("take-back-amount").textContent = amount;
  form.reset();
  byId("take-back").showModal();
  form.onsubmit = (event) => {
    event.preventDefault();
    byId("take-back").close();
    act(async () => {
      const body = { reason: form.elements.reason.value };
      await post(`${path}/payments/${encodeURIComponent(one.id)}/reversal`, body, { repeatable: true });
      payment.querySelector(".said").textContent = "";
      await showWork();
    });
  };
}

async function showGold() {
  const runs = (await getAll("/runs")).filter((one) => one.has_store).map((one) => one.name);
  const results = await ofEach(runs, (run) => getAll(`/runs/${encodeURIComponent(run)}/gold-results`));
  const mine = runs.map((run, place) => [run, results[place].find((one) => one.person_id === personId)]);
  const rows = mine
    .filter(([, one]) => one !== undefined)
    .map(([run, one]) => [run, String(one.num_asked), String(one.num_right), share(one.num_right, one.num_asked)]);
  fill(byId("gold"), rows.length > 0 ? table(["Run", "Asked", "Right", "Share"], rows) : "They were asked none yet.");
}

onSubmit("limits", async (fields) => {
  const changes = Object.fromEntries(CARE_NUMBERS.map((name) => [name, fields[name].value === "" ? null : Number(fields[name].value)]));
  await patch(`${path}/care`, { ...changes, currency: fields.currency.value || null });
  await showLimits();
});
onSubmit("payment", async ({ amount, currency, note }) => {
  const body = { id: paymentId, amount_minor: Number(amount.value), currency: currency.value, note: note.value };
  await post(`${path}/payments`, body, { repeatable: true });
  paymentId = uuid();
  note.value = "";
  await showWork();
});
// Another amount is another payment.
payment.addEventListener("change", () => {
  paymentId = uuid();
});
byId("take-back-cancel").addEventListener("click", () => byId("take-back").close());
tellWorth(limits, "rate_minor", " an hour");
tellWorth(payment, "amount", "");

await showAccount();
if (await act(showPerson)) {
  byId("person").hidden = false;
  await act(() => Promise.all([showLimits(), showWork(), showGold()]));
}
