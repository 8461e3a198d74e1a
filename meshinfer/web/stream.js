// Reads server-sent events out of the body of a fetch: comments too, which EventSource keeps to itself.

/** Yields {event, data} and {comment} as they come, until the body ends. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let held = { event: "message", data: [] };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
        else if (line !== "") collect(held, line);
        else {
          if (held.data.length) yield { event: held.event, data: held.data.join("\n") };
          held = { event: "message", data: [] };
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // Whoever stops reading hangs up; that it has ended already is no fault.
  }
}

function collect(held, line) {
  const at = line.indexOf(":");
  const field = at < 0 ? line : line.slice(0, at);
  const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
  if (field === "data") held.data.push(value);
  else if (field === "event") held.event = value;
}
