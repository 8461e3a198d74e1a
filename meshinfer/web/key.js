// The key of an API that asks for one: kept for this tab alone, and shown with whatever the page asks.

import { element, say } from "./dom.js";

const KEPT_AS = "meshinfer.key";

let key = kept();
let asking = null;

/** The headers that show the key, if there is one. */
export function keyHeaders() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Have somebody type the key; all who need it meanwhile wait for the same. */
export function askForKey() {
  asking ??= typed().finally(() => {
    asking = null;
  });
  return asking;
}

async function typed() {
  const wasWrong = Boolean(key);
  const field = element("input", { type: "password", id: "key", autocomplete: "current-password", required: "" });
  const dialog = element("dialog", { class: "locked" });
  const form = element("form", { method: "dialog" });
  const words = element("label", { for: "key" });
  say(words, wasWrong ? "This is not the key of this peer's API." : "This peer's API asks for a key.");
  form.append(words, field, element("button", { type: "submit", class: "send-key" }, "Open"));
  dialog.append(form);
  // Nothing on the page works without it.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => form.addEventListener("submit", resolve, { once: true }));
  key = field.value.trim();
  dialog.remove();
  try {
    sessionStorage.setItem(KEPT_AS, key);
  } catch {
    // Forbidden: then a reload asks again.
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return "";
  }
}
