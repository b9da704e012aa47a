// How figures, times and persons are written on the operator's page.
import { getAll } from "./api.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export function number(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? whole.format(value) : short.format(value);
}

export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);

// Of shares of which half a percent says something.
export const finePercent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

export function time(unixS) {
  if (unixS === null || unixS === undefined) return "–";
  const when = new Date(1000 * unixS);
  const isToday = when.toDateString() === new Date().toDateString();
  return isToday ? when.toLocaleTimeString("en-GB") : when.toLocaleString("en-GB");
}

export function ago(unixS) {
  if (unixS === null || unixS === undefined) return "never";
  const seconds = Math.max(0, Date.now() / 1000 - unixS);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} days ago`;
}

let names = new Map();

// Names of those who steer. Those who only answer stay ids.
export async function learnNames() {
  names = new Map((await getAll("/operators")).map((person) => [person.id, person.name]));
}

export const person = (id) => names.get(id) ?? (id.length > 12 ? `${id.slice(0, 8)}…` : id);
