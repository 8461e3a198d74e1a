// Asks the peer: one POST, and what comes of it as it comes.

import { keyHeaders } from "./key.js";
import { readEvents } from "./stream.js";

/** An answer that could not be had, or not to its end; its message is for people. */
export class AnswerFailed extends Error {}

/**
 * question: model, messages, and whatever else a chat completion takes.
 * Yields {text}, {reasoning}, {why} (what it waits for), and at last {finish, usage}.
 *
 * signal: aborts it, and the mesh stops computing. Throws AnswerFailed, or what `signal` was aborted with.
 */
export async function* ask(question, signal) {
  const response = await posted({ ...question, stream: true, stream_options: { include_usage: true } }, signal);
  if (!response.ok) throw new AnswerFailed(await refusal(response));
  let finish = null;
  try {
    for await (const { comment, data } of readEvents(response.body)) {
      if (comment !== undefined) yield { why: comment };
      else if (data === "[DONE]") return;
      else {
        const chunk = JSON.parse(data);
        if (chunk.error) throw new AnswerFailed(chunk.error.message);
        const choice = chunk.choices[0];
        finish = choice?.finish_reason ?? finish;
        const reasoning = choice?.delta.reasoning_content ?? choice?.delta.reasoning;
        if (reasoning) yield { reasoning };
        if (choice?.delta.content) yield { text: choice.delta.content };
        if (chunk.usage) yield { finish, usage: chunk.usage };
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof AnswerFailed) throw error;
    throw new AnswerFailed("the connection to this peer was lost in the middle of the answer");
  }
  throw new AnswerFailed("this peer hung up in the middle of the answer");
}

async function posted(body, signal) {
  try {
    return await fetch("v1/chat/completions", {
      method: "POST",
      headers: { ...keyHeaders(), "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new AnswerFailed("this peer does not answer: it has ended, or the network between you and it is down");
  }
}

async function refusal(response) {
  const text = await response.text();
  let words = "";
  try {
    words = JSON.parse(text).error.message;
  } catch {
    words = `status ${response.status}`; // A proxy's page, perhaps; it has nothing for people here.
  }
  const later = response.headers.get("Retry-After");
  return later ? `${words} (worth another try in ${later} s)` : words;
}
