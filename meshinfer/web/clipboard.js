// Copies text; over plain HTTP from another machine browsers have no clipboard, but still the old way.

const SHOWN_MS = 1600;

/** Let a button copy what `text` gives, and say that it did. */
export function copies(button, text) {
  const usual = button.textContent;
  button.addEventListener("click", async () => {
    const isDone = await copy(text());
    button.textContent = isDone ? "Copied" : "Not allowed";
    setTimeout(() => {
      button.textContent = usual;
    }, SHOWN_MS);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyFromArea(text);
  }
}

function copyFromArea(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  return isDone;
}
