// Draws one model's ring as a dial: a block a layer, an arc a peer, a thin arc a hop, a label beside each peer.

import { drawn, say } from "./dom.js";
import { arc, arrange, blocks, point } from "./geometry.js";
import { place, spread } from "./labels.js";
import { glide, isStill } from "./motion.js";
import { PeerLabel } from "./peer_label.js";
import { bytes, span } from "./words.js";

const WIDE = { thick: 13, inset: 24, label: { width: 152, height: 76, gap: 20 } };
const NARROW = { thick: 9, inset: 16, label: { width: 100, height: 64, gap: 12 } };
const LISTED = { thick: 9, inset: 16, label: { width: 20, height: 16, gap: 4 } };
const NARROW_PX = 520;
const LEAST_PX = 84; // A smaller dial has no room for what stands in it.
const MOVE_MS = 900;
const WIDEST_HOP = 1; // In radians. While arcs glide past each other a hop would go all the way round.

export class Ring {
  constructor(host, pulse) {
    this.host = host;
    this.svg = host.querySelector("svg");
    this.labels = host.querySelector(".peers");
    this.pulse = pulse;
    this.stages = new Map(); // peer → what is drawn of it
    this.radius = { now: 0, wanted: 0 };
    this.view = null;
    this.end = () => {};
    this.track = drawn("circle", { class: "track" });
    this.layers = drawn("g", {});
    this.hops = drawn("g", {});
    this.svg.append(this.track, this.layers, this.hops, pulse.group);
    new ResizeObserver(() => this.#fit()).observe(host);
    this.#fit();
  }

  /** Show a ring, of `ringOf`; null is none at all. */
  show(view) {
    const was = this.view;
    this.view = view;
    say(this.svg.querySelector("title"), spoken(view));
    const angles = arrange((view?.stages ?? []).map((stage) => stage.end - stage.first));
    const here = new Set();
    (view?.stages ?? []).forEach((stage, at) => {
      here.add(stage.peer);
      const mine = this.stages.get(stage.peer) ?? this.#enter(stage, angles[at]);
      Object.assign(mine, { stage, wanted: { ...angles[at], alpha: 1 } });
      mine.label.show(stage);
      say(mine.number, String(at + 1));
      const there = this.labels.children[at];
      if (there !== mine.label.node) this.labels.insertBefore(mine.label.node, there ?? null);
    });
    for (const [peer, mine] of this.stages) if (!here.has(peer)) this.#leave(mine);
    this.host.dataset.live = String(view?.isLive ?? false);
    this.#drawHops();
    if (JSON.stringify(shape(was)) === JSON.stringify(shape(view))) return this.#draw();
    this.#measure();
    this.#move();
  }

  #enter(stage, angles) {
    const begin = middle(angles);
    const mine = {
      held: drawn("path", { class: "held" }),
      missing: drawn("path", { class: "missing" }),
      number: drawn("text", { class: "number", "aria-hidden": "true" }),
      label: new PeerLabel(),
      now: { start: begin, end: begin, alpha: 0 },
    };
    mine.group = drawn("g", { class: "stage" }, mine.missing, mine.held, mine.number);
    this.layers.append(mine.group);
    this.stages.set(stage.peer, mine);
    return mine;
  }

  #leave(mine) {
    const end = middle(mine.now);
    mine.wanted = { start: end, end, alpha: 0 };
    mine.label.node.inert = true;
  }

  /** Glide from what is drawn to what is wanted. */
  #move() {
    this.end();
    const begun = [...this.stages.values()].map((mine) => [mine, { ...mine.now }]);
    const begunRadius = this.radius.now;
    this.end = glide((part) => {
      for (const [mine, from] of begun)
        for (const key of ["start", "end", "alpha"]) mine.now[key] = from[key] + (mine.wanted[key] - from[key]) * part;
      this.radius.now = begunRadius + (this.radius.wanted - begunRadius) * part;
      this.#draw();
      if (part === 1) this.#forget();
    }, MOVE_MS);
  }

  #forget() {
    for (const [peer, mine] of this.stages) {
      if (mine.wanted.alpha > 0) continue;
      mine.group.remove();
      mine.label.node.remove();
      this.stages.delete(peer);
    }
  }

  /** The host has another size: glide where only its height has changed, since something below it came or went. */
  #fit() {
    const before = this.room;
    this.#measure();
    if (before && this.stages.size && before.width === this.room.width) {
      this.#shift((before.height - this.room.height) / 2);
      this.#move();
    } else {
      this.radius.now = this.radius.wanted;
      this.#draw();
    }
  }

  /** Come from so many pixels below to where everything stands now. */
  #shift(from) {
    if (isStill() || from === 0) return;
    const way = { transform: [`translateY(${from}px)`, "none"] };
    this.host.animate(way, { duration: MOVE_MS, easing: "cubic-bezier(0.33, 1, 0.68, 1)" });
  }

  /**
   * Find how large the dial can be with the labels that it will have. Where they leave it too little room they
   * become a list below, and the arcs have numbers.
   */
  #measure() {
    const { host } = this;
    host.classList.remove("is-listed");
    const { width, height } = host.getBoundingClientRect();
    if (!width || !height) return;
    const wanted = [...this.stages.values()].map((mine) => mine.wanted).filter((each) => each?.alpha > 0);
    const angles = wanted.map(middle);
    const choices = width < NARROW_PX ? [NARROW] : [WIDE, NARROW];
    const spreads = choices.map((size) => ({ size, room: { width, height }, ...spread({ width, height }, size.label, angles) }));
    const dial = { width, height: Math.min(width, height) };
    const listed = { size: LISTED, room: dial, ...spread(dial, LISTED.label, angles) };
    const best = spreads.find(({ radius }) => radius >= LEAST_PX) ?? listed;
    Object.assign(this, { size: best.size, room: best.room, centre: { x: width / 2, y: best.room.height / 2 } });
    host.classList.toggle("is-listed", best === listed);
    host.classList.toggle("is-narrow", best.size !== WIDE);
    host.style.setProperty("--label", `${best.size.label.width}px`);
    host.style.setProperty("--dial", `${best.room.height}px`);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${best.room.height}`);
    this.radius.wanted = best.radius - best.size.thick / 2;
    if (!this.radius.now) this.radius.now = this.radius.wanted;
  }

  #draw() {
    if (!this.room) return;
    const { centre, size, room } = this;
    const radius = this.radius.now;
    const [inner, outer] = [radius - size.thick / 2, radius + size.thick / 2];
    for (const [name, value] of Object.entries({ cx: centre.x, cy: centre.y, r: radius })) this.track.setAttribute(name, value);
    const outlines = [];
    for (const { now, stage, held, missing, group, number, label } of this.stages.values()) {
      const count = stage.end - stage.first;
      const loaded = Math.round(count * stage.loaded);
      held.setAttribute("d", blocks(centre, inner, outer, now, count, 0, loaded));
      missing.setAttribute("d", blocks(centre, inner, outer, now, count, loaded, count));
      outlines.push(blocks(centre, inner, outer, now, count, 0, count));
      group.style.opacity = now.alpha;
      group.classList.toggle("is-silent", stage.isSilent || stage.isGone);
      const at = place(room, size.label, outer, middle(now));
      label.place(at, middle(now), now.alpha);
      number.setAttribute("x", (at.x + size.label.width / 2).toFixed(1));
      number.setAttribute("y", (at.y + size.label.height - 4).toFixed(1));
    }
    this.host.style.setProperty("--inside", `${(1.24 * inner).toFixed(0)}px`);
    this.pulse.place(centre, radius, size.thick, outlines.join(""));
    this.#placeHops();
  }

  #drawHops() {
    const hops = this.view && this.view.stages.length > 1 ? this.view.hops : [];
    const known = new Map([...this.hops.children].map((node) => [node.dataset.way, node]));
    for (const hop of hops) {
      const way = `${hop.from} ${hop.to}`;
      const node = known.get(way) ?? hopNode(way);
      known.delete(way);
      if (node.parentNode === null) this.hops.append(node);
      const [late, wide] = node.querySelectorAll("text");
      say(late, !hop.isUp ? "no way" : hop.rttUs ? span(hop.rttUs) : "");
      say(node.querySelector("title"), hop.by);
      say(wide, hop.isUp && hop.bytesPerS ? `${bytes(hop.bytesPerS)}/s` : "");
      node.classList.toggle("is-down", !hop.isUp);
    }
    for (const node of known.values()) node.remove();
  }

  #placeHops() {
    const radius = this.radius.now;
    const inset = this.size.thick / 2 + this.size.inset;
    for (const node of this.hops.children) {
      const [from, to] = node.dataset.way.split(" ").map((peer) => this.stages.get(peer)?.now);
      if (!from || !to) continue;
      let end = to.start;
      while (end < from.end) end += 2 * Math.PI;
      const breath = Math.min(0.035, (end - from.end) / 5);
      node.style.opacity = end - from.end > WIDEST_HOP ? 0 : 1;
      const [line, tip, late, wide] = node.children;
      line.setAttribute("d", arc(this.centre, radius, from.end + breath, end - breath));
      tip.setAttribute("d", head(this.centre, radius, end - breath));
      const at = point(this.centre, radius - inset, (from.end + end) / 2);
      const isTwo = wide.textContent !== "";
      for (const [text, down] of [[late, isTwo ? -5 : 3.5], [wide, 8.5]]) {
        text.setAttribute("x", at.x.toFixed(1));
        text.setAttribute("y", (at.y + down).toFixed(1));
      }
    }
  }
}

function hopNode(way) {
  const node = drawn("g", { class: "hop" }, drawn("path", { class: "way" }), drawn("path", { class: "tip" }), drawn("text"), drawn("text"), drawn("title"));
  node.dataset.way = way;
  return node;
}

/** An arrow's head that points along the circle. */
function head(centre, radius, angle) {
  const tip = point(centre, radius, angle);
  const back = angle - 6 / radius;
  const [a, b] = [point(centre, radius + 3.4, back), point(centre, radius - 3.4, back)];
  return `M${a.x.toFixed(1)} ${a.y.toFixed(1)}L${tip.x.toFixed(1)} ${tip.y.toFixed(1)}L${b.x.toFixed(1)} ${b.y.toFixed(1)}`;
}

function middle({ start, end }) {
  return (start + end) / 2;
}

/** What makes the dial move when it changes. */
function shape(view) {
  return (view?.stages ?? []).map((stage) => [stage.peer, stage.first, stage.end]);
}

function spoken(view) {
  if (!view?.stages.length) return "No ring yet";
  const stages = view.stages.map((stage) => `${stage.name}, layers ${stage.first} to ${stage.end - 1}, ${stage.state}`);
  return `The ring of ${view.model}, epoch ${view.epoch}: ${stages.join("; then ")}`;
}
