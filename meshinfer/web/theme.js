// Light or dark: as the system says, until somebody chooses.

const KEY = "meshinfer.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // Storage may be forbidden; the system's colours are fine.
  }
}

function isDark() {
  return (chosen() ?? (dark.matches ? "dark" : "light")) === "dark";
}

function show() {
  const choice = chosen();
  if (choice === null) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));
}

/** Let the button change it; back to what the system says, it is forgotten. */
export function offerTheme(button) {
  button.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    try {
      if (wanted === (dark.matches ? "dark" : "light")) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, wanted);
    } catch {
      document.documentElement.dataset.theme = wanted;
      return;
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}

show();
