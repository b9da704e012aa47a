// An answer as it comes: the chunks of OpenAI's stream of events.
import { toSignIn } from "./api.js";

const PATH = "/v1/chat/completions";

export class AnswerError extends Error {
  constructor(message, code) {
    super(message);
    this.name = "AnswerError";
    this.code = code;
  }
}

// Each chunk of the answer to `body`, until it is complete; `signal` ends it early.
export async function* chunksOf(body, signal) {
  const reader = await begun(body, signal);
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { value, done } = await readFrom(reader);
    if (done) throw new AnswerError("The answer broke off before it was complete.", "broken");
    held += decoder.decode(value, { stream: true });
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error !== undefined) throw new AnswerError(chunk.error.message, chunk.error.code);
      yield chunk;
    }
  }
}

async function begun(body, signal) {
  let response;
  try {
    response = await fetch(PATH, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, stream: true }),
      credentials: "same-origin",
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new AnswerError("The service cannot be reached.", "network");
  }
  if (response.status === 401) await toSignIn();
  if (!response.ok) throw await refusalOf(response);
  return response.body.getReader();
}

async function readFrom(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AnswerError("The connection was lost before the answer was complete.", "network");
  }
}

async function refusalOf(response) {
  try {
    const { error } = await response.json();
    return new AnswerError(error.message, error.code);
  } catch {
    return new AnswerError(`The service answered ${response.status} ${response.statusText}.`, "network");
  }
}
