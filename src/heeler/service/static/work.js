// Time and pay in words and tables.
import { element } from "./dom.js";

export function hours(seconds) {
  const minutes = Math.round(seconds / 60);
  // It stays on one line.
  return `${Math.floor(minutes / 60)}\u00a0h\u00a0${String(minutes % 60).padStart(2, "0")}\u00a0min`;
}

// An amount in a currency's smallest unit.
export function money(minor, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

export function answersIn(number) {
  return `${number} ${number === 1 ? "answer" : "answers"}`;
}

// Words of the service as a sentence.
export function sentence(words) {
  return words === "" ? "" : `${words[0].toUpperCase()}${words.slice(1)}.`;
}

// What is owed in each currency, in words.
export function owedIn(owed) {
  return Object.entries(owed).map(([currency, minor]) => money(minor, currency)).join(", ");
}

export function share(part, whole) {
  return whole === 0 ? "" : `${Math.round((100 * part) / whole)} %`;
}

// A person's name that leads to their page.
export function personLink(personId, name) {
  return element("a", { href: `/person?id=${encodeURIComponent(personId)}`, text: name });
}

// The limits that are numbers, as the API and the forms name them.
export const CARE_NUMBERS = ["break_after_min", "day_hours", "day_items", "rate_minor"];

// Tell in a form's .worth what its field `name`, in a currency's smallest unit, comes to.
export function tellWorth(form, name, after) {
  const told = form.querySelector(".worth");
  form.addEventListener("input", () => {
    const amount = form.elements[name];
    const currency = form.elements.currency;
    const [minor, code] = [amount.value || amount.placeholder, currency.value || currency.placeholder];
    told.textContent = /^\d+$/.test(minor) && /^[A-Z]{3}$/.test(code) ? `${money(Number(minor), code)}${after}.` : "";
  });
}

export function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col", text: name })));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

export function dayTable(days) {
  const rows = days.map((day) => [
    day.day,
    String(day.items),
    hours(day.worked_s),
    day.pay_minor === null ? "" : money(day.pay_minor, day.currency),
  ]);
  return table(["Day", "Answers", "Time", "Pay"], rows);
}

// Payments; `actOn` makes the button with which one is taken back, where somebody may.
export function paymentTable(payments, actOn = () => "") {
  const day = (unixS) => new Date(unixS * 1000).toLocaleDateString();
  const rows = payments.map((one) => {
    const amount = money(one.amount_minor, one.currency);
    if (one.reversal === null) return [day(one.paid_unix_s), amount, one.note, actOn(one)];
    const taken = `Taken back on ${day(one.reversal.reversed_unix_s)}: ${one.reversal.reason}`;
    return [day(one.paid_unix_s), element("del", { text: amount }), one.note, taken];
  });
  return table(["Noted on", "Amount", "Note", "What became of it"], rows);
}
