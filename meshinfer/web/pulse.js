// Light that travels round the ring, one for each answer that is being written: layers shine as it passes them.

import { drawn } from "./dom.js";
import { arc } from "./geometry.js";
import { isStill } from "./motion.js";

const MOST = 6;
const TOP = -Math.PI / 2;
const TAIL = 0.8; // In radians, as the thin line before it that is seen between layers too.
const LINE = 0.22;
const PARTS = 14;
const SLOWED = 24; // A turn takes milliseconds, too short to be seen: shown so many times as long …
const [LEAST_MS, MOST_MS] = [1500, 7000]; // … but never shorter or longer than this.
const USUAL_US = 100_000;

export class Pulse {
  constructor() {
    this.outline = drawn("path");
    this.shine = drawn("g", { class: "shine", "clip-path": "url(#layers)" });
    this.sparks = drawn("g", { class: "sparks" });
    const clip = drawn("clipPath", { id: "layers" }, this.outline);
    this.group = drawn("g", { class: "pulses", "aria-hidden": "true" }, clip, this.shine, this.sparks);
    this.comets = [];
    this.rate = 1;
    this.centre = { x: 0, y: 0 };
    this.radius = 0;
  }

  /** outline: of all layers, as a path. */
  place(centre, radius, thick, outline) {
    this.outline.setAttribute("d", outline);
    if (this.radius === radius && this.centre.x === centre.x && this.centre.y === centre.y) return;
    Object.assign(this, { centre, radius });
    this.group.style.setProperty("--thick", `${thick}px`);
    for (const comet of this.comets) this.#shape(comet);
  }

  /** answers: how many are being written. turnUs: how long a token takes round the ring, 0 where unknown. */
  show(answers, turnUs, isPaused) {
    const wanted = Math.min(MOST, answers);
    if (wanted !== this.comets.length) this.#count(wanted);
    this.group.classList.toggle("is-paused", isPaused);
    const turnMs = Math.min(MOST_MS, Math.max(LEAST_MS, ((turnUs || USUAL_US) / 1000) * SLOWED));
    this.rate = isPaused ? 0 : 1000 / turnMs;
    for (const { turning } of this.comets) for (const each of turning) each.updatePlaybackRate(this.rate);
  }

  #count(wanted) {
    while (this.comets.length > wanted) end(this.comets.pop());
    while (this.comets.length < wanted) this.comets.push(this.#begin());
    // Spread evenly, from wherever the first one is.
    const first = this.comets[0]?.turning[0]?.currentTime ?? 0;
    this.comets.forEach(({ turning }, at) => {
      for (const each of turning) each.currentTime = first + (1000 * at) / wanted;
    });
  }

  #begin() {
    const shine = drawn("g", {}, ...Array.from({ length: PARTS }, () => drawn("path")));
    const spark = drawn("g", {}, drawn("path"), drawn("circle", { r: 4 }));
    [...shine.children].forEach((part, at) => {
      part.style.opacity = ((at + 1) / PARTS) ** 2;
    });
    this.shine.append(shine);
    this.sparks.append(spark);
    const comet = { nodes: [shine, spark], turning: [] };
    this.#shape(comet);
    if (isStill()) return comet;
    comet.turning = comet.nodes.map((node) => {
      node.animate({ opacity: [0, 1] }, { duration: 500 });
      const turning = node.animate({ transform: ["rotate(0turn)", "rotate(1turn)"] }, { duration: 1000, iterations: Infinity });
      turning.updatePlaybackRate(this.rate);
      return turning;
    });
    return comet;
  }

  /** Draw a comet whose head is at the top of the dial. */
  #shape({ nodes: [shine, spark] }) {
    const { centre, radius } = this;
    for (const node of [shine, spark]) node.style.transformOrigin = `${centre.x}px ${centre.y}px`;
    [...shine.children].forEach((path, at) => {
      const from = TOP - TAIL + (TAIL * at) / PARTS;
      path.setAttribute("d", arc(centre, radius, from, from + TAIL / PARTS + 0.004));
    });
    const [line, head] = spark.children;
    line.setAttribute("d", arc(centre, radius, TOP - LINE, TOP));
    head.setAttribute("cx", centre.x);
    head.setAttribute("cy", centre.y - radius);
  }
}

/** Fade a comet out, wherever it is. */
function end({ nodes, turning }) {
  for (const node of nodes) {
    const fading = node.animate({ opacity: [1, 0] }, { duration: isStill() ? 0 : 600, fill: "forwards" });
    fading.finished.then(() => {
      for (const each of turning) each.cancel();
      node.remove();
    });
  }
}
