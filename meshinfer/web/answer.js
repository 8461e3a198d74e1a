// One answer in the conversation: its text as it grows, its reasoning folded away, why it waits, how fast it was.

import { copies } from "./clipboard.js";
import { element, say } from "./dom.js";
import { Markdown } from "./markdown.js";
import { Pace } from "./pace.js";
import { whyWaiting } from "./waits.js";
import { count, seconds, speed } from "./words.js";

const FINISHES = { length: "ended at its length limit", content_filter: "was cut by a filter" };

export class Answer {
  /** retry: what its button does; null for none. */
  constructor(retry) {
    this.text = "";
    this.reasoning = "";
    this.state = "waiting"; // then streaming, ended, stopped or failed
    this.carried = [];
    this.pace = new Pace(performance.now());
    this.body = element("div", { class: "prose" });
    this.markdown = new Markdown(this.body);
    this.thoughts = element("p", { class: "thoughts" });
    this.thinking = element("details", { class: "thinking", hidden: true }, element("summary", {}, "Thinks"), this.thoughts);
    this.why = element("p", { class: "why", hidden: true });
    this.fate = element("p", { class: "fate", hidden: true });
    this.trouble = element("p", { class: "trouble", hidden: true });
    this.figures = element("p", { class: "figures" });
    this.copy = element("button", { type: "button", class: "quiet" }, "Copy");
    this.again = element("button", { type: "button", class: "quiet again" }, "Retry");
    this.foot = element("div", { class: "foot", hidden: true }, this.figures, this.copy, this.again);
    this.node = element("article", { class: "turn answer", "data-state": this.state, "aria-label": "Answer" });
    this.node.append(this.thinking, this.body, this.why, this.trouble, this.fate, this.foot);
    copies(this.copy, () => this.text);
    this.again.addEventListener("click", retry);
    this.frame = 0;
  }

  add({ text = "", reasoning = "" }) {
    this.pace.piece(performance.now());
    this.text += text;
    this.reasoning += reasoning;
    this.#state("streaming");
    this.wait("");
    this.#soon();
  }

  /** Say why nothing comes; empty: it comes. */
  wait(why) {
    say(this.why, why);
    this.why.hidden = why === "";
  }

  /** Something stands in the ring's way, or no longer; what has come meanwhile came all the same. */
  obstruct(obstacle) {
    if (obstacle) this.wait(whyWaiting(obstacle, this.pace.firstS !== null));
  }

  /** Note what became of the ring while this was written. */
  carry(sentences) {
    this.carried.push(...sentences.map(({ text }) => text));
  }

  /** How fast it comes, in tokens per second; 0 where nobody can tell yet. */
  get perSecond() {
    return this.state === "streaming" ? (this.pace.perSecond() ?? 0) : 0;
  }

  get isOpen() {
    return this.state === "waiting" || this.state === "streaming";
  }

  ended({ finish, usage }) {
    const tokens = usage?.completion_tokens ?? this.pace.pieces;
    this.#close("ended", this.#facts(tokens, FINISHES[finish]));
  }

  stopped() {
    this.#close("stopped", this.#facts(this.pace.pieces, "stopped"));
  }

  failed(message) {
    say(this.trouble, message);
    this.trouble.hidden = false;
    this.#close("failed", this.text ? this.#facts(this.pace.pieces, "not finished") : "");
  }

  /** What is kept of it between two loads of the page. */
  kept() {
    const { text, reasoning, state } = this;
    const failure = state === "failed" ? this.trouble.textContent : "";
    return { role: "assistant", content: text, reasoning, figures: this.figures.textContent, fate: this.fate.textContent, failure };
  }

  /** Show what was kept. */
  restore({ content, reasoning, figures, fate, failure }) {
    Object.assign(this, { text: content, reasoning });
    say(this.trouble, failure);
    this.trouble.hidden = failure === "";
    this.#close(failure ? "failed" : "ended", figures);
    say(this.fate, fate);
    this.fate.hidden = fate === "";
  }

  #facts(tokens, note) {
    const perSecond = this.pace.perSecond(tokens);
    const parts = [
      perSecond === null ? "" : `${speed(perSecond)} tokens/s`,
      this.pace.firstS === null ? "" : `first after ${seconds(this.pace.firstS)}`,
      count(tokens, "token"),
      note ?? "",
    ];
    return parts.filter(Boolean).join(" · ");
  }

  #close(state, figures) {
    this.#state(state);
    this.wait("");
    cancelAnimationFrame(this.frame);
    this.#draw();
    say(this.figures, figures);
    this.copy.hidden = this.text === "";
    this.foot.hidden = false;
    if (!this.carried.length) return;
    const pause = this.pace.longestMs >= 300 ? ` after ${seconds(this.pace.longestMs / 1000)}` : "";
    const went = state === "ended" ? ` · the answer went on${pause}` : "";
    say(this.fate, this.carried.join(" · ") + went);
    this.fate.hidden = false;
  }

  #state(state) {
    this.state = state;
    this.node.dataset.state = state;
  }

  /** Draw at the next frame: many pieces may come before it. */
  #soon() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.markdown.show(this.text);
    this.thinking.hidden = this.reasoning === "";
    say(this.thoughts, this.reasoning);
    say(this.thinking.firstElementChild, this.text || !this.isOpen ? "What it thought" : "Thinks …");
    this.node.dispatchEvent(new Event("grown", { bubbles: true }));
  }
}
