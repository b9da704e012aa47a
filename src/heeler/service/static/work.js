// Time and pay in words and tables.
import { element } from "./dom.js";

export function hours(seconds) {
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

// An amount in a currency's smallest unit.
export function money(minor, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
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
