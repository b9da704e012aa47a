// A page that somebody may not see: who they are signed in as, and the way out.
import { showAccount } from "./account.js";

await showAccount();
