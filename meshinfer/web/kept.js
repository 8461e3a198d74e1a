// The conversation, kept for this tab alone: it outlives a reload, and leaves this browser for nowhere.

const KEY = "meshinfer.chat";

export function keep(chat) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(chat));
  } catch {
    // Full or forbidden: then a reload begins anew.
  }
}

/** {turns, settings}, as they were kept. */
export function kept() {
  try {
    const chat = JSON.parse(sessionStorage.getItem(KEY));
    if (Array.isArray(chat?.turns) && chat.settings) return chat;
  } catch {
    // As above, or somebody else's words under this key.
  }
  return { turns: [], settings: {} };
}
