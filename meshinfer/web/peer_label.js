// What stands beside a peer's arc: name, layers, state, memory, how fast it answers, and what it takes.

import { element, say } from "./dom.js";
import { layers, share, speed, watts } from "./words.js";

export class PeerLabel {
  constructor() {
    this.name = element("span", { class: "peer-name" });
    this.here = element("span", { class: "peer-here", title: "this page comes from it" }, "here");
    this.range = element("span", { class: "peer-layers" });
    this.state = element("span", { class: "peer-state" });
    this.fill = element("span", { class: "bar-fill" });
    this.memory = element("span", { class: "peer-memory" });
    this.speed = element("span", { class: "peer-speed" });
    this.node = element(
      "li",
      { class: "peer" },
      element("p", { class: "peer-line" }, this.name, this.here),
      element("p", { class: "peer-line" }, this.range, this.state),
      element("p", { class: "bar", "aria-hidden": "true" }, this.fill),
      element("p", { class: "peer-line peer-figures" }, this.memory, this.speed),
    );
  }

  /** Show a stage of a ring. */
  show(stage) {
    this.node.inert = false;
    this.node.title = stage.about ?? "";
    this.node.classList.toggle("is-silent", stage.isSilent || stage.isGone);
    this.node.dataset.phase = stage.phase;
    say(this.name, stage.name);
    this.here.hidden = !stage.isHere;
    say(this.range, layers(stage.first, stage.end));
    say(this.state, stage.state);
    say(this.memory, stage.budgetBytes ? share(stage.usedBytes, stage.budgetBytes) : "");
    const rate = stage.tokensPerS > 0 ? `${speed(stage.tokensPerS)} tok/s` : "";
    say(this.speed, [rate, stage.watts > 0 ? watts(stage.watts) : ""].filter(Boolean).join(", "));
    const part = stage.budgetBytes ? stage.usedBytes / stage.budgetBytes : 0;
    this.fill.style.transform = `scaleX(${Math.min(1, part).toFixed(3)})`;
  }

  /** Stand at a place, of `place`; lines are set towards the dial, which is at the other end of `angle`. */
  place({ x, y }, angle, alpha) {
    const cos = Math.cos(angle);
    this.node.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    this.node.style.opacity = alpha;
    this.node.dataset.side = cos > 0.25 ? "right" : cos < -0.25 ? "left" : "middle";
  }
}
