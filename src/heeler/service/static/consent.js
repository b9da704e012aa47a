// The text that people agree to before they are asked anything.
import { showAccount } from "./account.js";
import { get, post } from "./api.js";
import { byId, element, fill, show } from "./dom.js";

const text = await get("/session/consent");
fill(byId("text"), ...text.text.split(/\n{2,}/).map((part) => element("p", { text: part.trim() })));
const agree = byId("agree");
agree.hidden = text.agreed;
byId("state").textContent = text.agreed ? `You have agreed to this text (version ${text.version}).` : "";
agree.addEventListener("click", async () => {
  agree.disabled = true;
  try {
    await post("/session/consent", { version: text.version, text_sha256: text.text_sha256 });
    location.assign("/");
  } catch (problem) {
    show(byId("error"), `${problem.message}. Load this page again and read the text as it is now.`);
    agree.disabled = false;
  }
});
await showAccount();
