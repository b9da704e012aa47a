// Who is signed in, told in the head of every page, and the way out.
import { ApiError, get, remove } from "./api.js";
import { byId } from "./dom.js";

let asked = null;

// {person, permissions, expires_unix_s} of who is signed in.
export function me() {
  asked ??= get("/session");
  return asked;
}

export async function showAccount() {
  byId("sign-out").addEventListener("click", signOut);
  const { person } = await me();
  byId("who").textContent = person.name;
}

async function signOut() {
  try {
    await remove("/session", { stay: true });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
  location.assign("/sign-in");
}
