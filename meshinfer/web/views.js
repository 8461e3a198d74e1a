// On a phone there is room for one of the two: the chat, or the ring.

export function offerViews(buttons) {
  for (const button of buttons) {
    button.addEventListener("click", () => {
      document.body.dataset.view = button.dataset.view;
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
    });
  }
}
