// Breaks and reports for the page on which people answer:
//   import { startCare } from "./care.js";
//   startCare(byId("care"), { flagTarget: () => ({ run, queryId }) or null, afterFlag: (target) => showNextItem(), signal });
// It shows how much of the day is over, offers a break where one is due, and lets people report what is on the screen.
import { ApiError, NetworkError, get, post } from "./api.js";
import { announce, element, fill, show } from "./dom.js";
import { hours } from "./work.js";

const LOOK_EVERY_MS = 60_000;
const PUT_OFF_MS = 10 * 60_000;
const PUT_OFF = "heeler-break-put-off";

export function startCare(place, { flagTarget, afterFlag, signal }) {
  const told = element("span", { class: "hint" });
  // A status of its own: the page's own announcements would take its place before anybody heard it.
  const due = element("span", { role: "status" });
  const offer = element("span", { class: "row" });
  fill(place, told, due, offer, flagging(flagTarget, afterFlag));
  const look = async () => {
    const today = await get("/session/care").catch(ifKnown);
    // It is asked again in a minute; what was told stays until then.
    if (today === undefined) return;
    const of = today.day_hours === null ? "" : ` of ${today.day_hours} hours`;
    told.textContent = `${hours(today.worked_s)}${of} today`;
    const putOff = Number(sessionStorage.getItem(PUT_OFF) ?? 0);
    const isDue = today.break_due && Date.now() > putOff;
    fill(due, isDue ? element("span", { class: "badge warn", text: `Time for a break of ${today.break_min} minutes.` }) : null);
    fill(offer, ...(isDue ? breakOffer(due, offer) : []));
  };
  look();
  const timer = setInterval(look, LOOK_EVERY_MS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    fill(place);
  });
}

// Let pass what the service, or the way to it, is to blame for.
function ifKnown(error) {
  if (!(error instanceof ApiError || error instanceof NetworkError)) throw error;
}

function breakOffer(due, offer) {
  const put = () => {
    sessionStorage.setItem(PUT_OFF, String(Date.now() + PUT_OFF_MS));
    fill(due);
    fill(offer);
  };
  return [
    element("a", { class: "button", href: "/me", text: "Take it" }),
    element("button", { type: "button", class: "small", text: "In ten minutes", on: { click: put } }),
  ];
}

function flagging(flagTarget, afterFlag) {
  const names = ["violence", "sexual", "self-harm", "hate", "other"];
  const category = element("select", { "aria-label": "What it shows" }, ...names.map((name) => element("option", { value: name, text: name })));
  const note = element("input", { maxlength: "1000", "aria-label": "Note, if you like", placeholder: "Note, if you like" });
  const wrong = element("p", { class: "notice bad", role: "alert", hidden: true });
  const details = element("details");
  const send = async () => {
    const target = flagTarget();
    if (target === null) return;
    const path = `/runs/${encodeURIComponent(target.run)}/leases/${encodeURIComponent(target.queryId)}/flag`;
    show(wrong, "");
    try {
      await post(path, { category: category.value, note: note.value }, { repeatable: true });
    } catch (error) {
      ifKnown(error);
      show(wrong, `It was not reported: ${error.message}. Try again.`);
      return;
    }
    note.value = "";
    details.open = false;
    afterFlag(target);
    announce("Reported. You are not asked this again.");
  };
  const button = element("button", { type: "button", class: "small", text: "Report and skip", on: { click: send } });
  details.append(element("summary", { text: "Report this" }), element("div", { class: "row" }, category, note, button), wrong);
  return details;
}
