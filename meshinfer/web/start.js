// What stands in an empty conversation.

import { element } from "./dom.js";

const SUGGESTIONS = [
  "What is the capital of France?",
  "Explain gravity to a child.",
  "Write a short poem about the sea.",
];

export function startOf() {
  return element(
    "div",
    { class: "start" },
    element("h2", {}, "Ask the ring."),
    element("p", {}, "Every token goes once round, through all layers. Should a peer go, the answer goes on."),
    element("ul", {}, ...SUGGESTIONS.map((text) => element("li", {}, element("button", { type: "button", class: "suggestion" }, text)))),
  );
}
