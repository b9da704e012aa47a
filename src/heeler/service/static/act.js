// Acts of a page: each is done, what went wrong is told in its #error, and whoever uses keys stays where they were.
import { announce, byId, element, show } from "./dom.js";

// Do something and tell what went wrong; returns whether all went well.
export async function act(doing) {
  const place = placeOf(document.activeElement);
  show(byId("error"), "");
  try {
    await doing();
    return true;
  } catch (problem) {
    show(byId("error"), problem.message);
    byId("error").scrollIntoView({ block: "center" });
    return false;
  } finally {
    place.keep();
  }
}

// Do something when a form is sent; its .said tells that it was done.
export function onSubmit(id, doing) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.busy === "true") return;
    form.dataset.busy = "true";
    const said = form.querySelector(".said");
    if (said !== null) said.textContent = "";
    const isDone = await act(() => doing(form.elements, form));
    form.dataset.busy = "false";
    if (isDone && said !== null) said.textContent = "Saved.";
  });
}

// A button that does something once at a time; `label` says to what.
export function actButton(text, label, doing, classes = "small") {
  let isBusy = false;
  const click = async () => {
    if (isBusy) return;
    isBusy = true;
    if (await act(doing)) announce(`Done: ${label}`);
    isBusy = false;
  };
  return element("button", { type: "button", class: classes, "aria-label": label, text, on: { click } });
}

// What was acted on is often gone afterwards. The focus then goes to its like, or to the part of the page it was in.
function placeOf(active) {
  const around = [];
  for (let one = active; one !== null; one = one.parentElement) if (one === active || one.hasAttribute("tabindex")) around.push(one);
  return {
    keep() {
      const first = around.findIndex((one) => one.isConnected);
      if (first <= 0) return;
      const labels = around.slice(0, first).map((one) => one.getAttribute("aria-label"));
      const here = [...around[first].querySelectorAll("[aria-label]")];
      const likes = labels.map((label) => here.find((one) => one.getAttribute("aria-label") === label));
      (likes.find((one) => one !== undefined) ?? around[first]).focus({ preventScroll: true });
    },
  };
}
