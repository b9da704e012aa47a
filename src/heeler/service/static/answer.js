// The page on which people answer.
import { showAccount } from "./account.js";

await showAccount();
