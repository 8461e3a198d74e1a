// The middle of the dial: how fast the ring answers, or why there is none.

import { say } from "./dom.js";
import { count, span, speed } from "./words.js";

export class Centre {
  constructor(host) {
    this.host = host;
    [this.over, this.figure, this.under] = host.children;
  }

  /** ring: of `ringOf`, or null. why: what stands in the way, empty when nothing does. tokensPerS: 0 while idle. */
  show({ ring, why, tokensPerS, turnUs, answers }) {
    this.host.classList.toggle("is-waiting", why !== "");
    if (why) return this.#say(ring?.epoch ? `epoch ${ring.epoch}` : "no ring yet", "", why);
    const size = `${count(ring.layerCount, "layer")}, ${count(ring.stages.length, "peer")}`;
    const turn = turnUs ? `${span(turnUs)} a turn` : size;
    if (tokensPerS > 0) return this.#say(`epoch ${ring.epoch}`, speed(tokensPerS), "tokens/s", turn);
    if (answers > 0) return this.#say(`epoch ${ring.epoch}`, "…", "reads the prompt", turn);
    return this.#say(`epoch ${ring.epoch}`, String(ring.layerCount), ring.layerCount === 1 ? "layer" : "layers", turnUs ? turn : "ready");
  }

  #say(over, figure, unit, detail = "") {
    say(this.over, over);
    say(this.figure, figure);
    say(this.under, detail ? `${unit}\n${detail}` : unit);
  }
}
