// Members that hold no layers of the ring that is shown: they are here, and could.

import { element } from "./dom.js";
import { share } from "./words.js";

/** members: of `besideOf`. */
export function showBeside(host, members) {
  host.hidden = members.length === 0;
  host.replaceChildren(
    element("h2", {}, "Beside the ring"),
    element("ul", {}, ...members.map(chip)),
  );
}

function chip(member) {
  const fill = element("span", { class: "bar-fill" });
  fill.style.transform = `scaleX(${Math.min(1, member.usedBytes / (member.budgetBytes || 1)).toFixed(3)})`;
  const here = member.isHere ? [element("span", { class: "peer-here" }, "here")] : [];
  return element(
    "li",
    { class: member.isSilent ? "is-silent" : null, title: member.about },
    element("p", { class: "peer-line" }, element("span", { class: "peer-name" }, member.name), ...here),
    element("p", { class: "peer-state" }, member.state),
    element("p", { class: "bar", "aria-hidden": "true" }, fill),
    element("p", { class: "peer-memory" }, share(member.usedBytes, member.budgetBytes)),
  );
}
