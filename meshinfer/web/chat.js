// The conversation: what was asked, what is answered, and everything that one may do with it.

import { Answer } from "./answer.js";
import { AnswerFailed, ask } from "./ask.js";
import { copies } from "./clipboard.js";
import { byId, element, say } from "./dom.js";
import { keep, kept } from "./kept.js";
import { Settings } from "./settings.js";
import { startOf } from "./start.js";
import { whyWaiting } from "./waits.js";

const NEAR_PX = 48;

export class Chat {
  /** on.changed: called when an answer begins, grows or ends. on.model: gives the model to ask. */
  constructor(on) {
    this.on = on;
    this.turns = []; // {content, node} of a question, or an Answer
    this.abort = null;
    this.isAtEnd = true;
    this.where = Object.fromEntries(
      ["log", "turns", "composer", "question", "send", "send-text", "new-chat", "announcer"].map((id) => [id, byId(id)]),
    );
    const { turns, settings } = kept();
    this.settings = new Settings(settings, () => this.#keep());
    this.#listen();
    this.#restore(turns);
  }

  /** The answer that is being written, or null. */
  get answering() {
    const last = this.turns.at(-1);
    return last instanceof Answer && last.isOpen ? last : null;
  }

  #listen() {
    const { log, turns, composer, question } = this.where;
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.abort) this.stop();
      else this.#send();
    });
    question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.abort) this.#send();
    });
    question.addEventListener("input", () => this.#fit());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.abort) this.stop();
    });
    log.addEventListener("scroll", () => {
      this.isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    });
    turns.addEventListener("grown", () => this.#follow());
    turns.addEventListener("click", ({ target }) => this.#clicked(target));
    this.where["new-chat"].addEventListener("click", () => this.#clear());
  }

  #clicked(target) {
    if (target.matches(".copy-code") && !target.dataset.isReady) {
      target.dataset.isReady = "true";
      copies(target, () => target.closest(".code").querySelector("code").textContent);
      target.click();
    } else if (target.matches(".suggestion")) {
      this.where.question.value = target.textContent;
      this.#send();
    }
  }

  stop() {
    this.abort?.abort();
  }

  #send() {
    const { question } = this.where;
    const content = question.value.trim();
    if (!content) return;
    question.value = "";
    this.#fit();
    this.#question(content);
    this.#answer();
  }

  #question(content) {
    if (!this.turns.length) this.where.turns.replaceChildren();
    const node = element("article", { class: "turn question", "aria-label": "Question" }, element("p", {}, content));
    this.turns.push({ content, node });
    this.where.turns.append(node);
  }

  /** Ask again what the last answer was to. */
  #retry(answer) {
    if (this.abort || this.turns.at(-1) !== answer) return;
    this.turns.pop();
    answer.node.remove();
    this.#answer();
  }

  async #answer() {
    const messages = this.#messages();
    const answer = this.#newAnswer();
    this.isAtEnd = true;
    this.#follow();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.#showBusy(true);
    this.#announce("The answer begins");
    try {
      let last = { finish: null, usage: null };
      for await (const piece of ask({ model: this.on.model(), messages, ...this.settings.parameters }, signal)) {
        if (piece.why !== undefined) answer.wait(whyWaiting(piece.why, answer.pace.firstS !== null));
        else if (piece.usage) last = piece;
        else answer.add(piece);
        this.on.changed();
      }
      answer.ended(last);
      this.#announce(`The answer: ${answer.text}`);
    } catch (error) {
      if (signal.aborted) answer.stopped();
      else answer.failed(error instanceof AnswerFailed ? error.message : `this page failed: ${error.message}`);
      this.#announce(signal.aborted ? "Stopped" : `The answer failed: ${answer.trouble.textContent}`);
    } finally {
      this.abort = null;
      this.#showBusy(false);
      this.#follow();
      this.#keep();
      this.on.changed();
    }
  }

  #newAnswer() {
    const answer = new Answer(() => this.#retry(answer));
    this.turns.push(answer);
    this.where.turns.append(answer.node);
    return answer;
  }

  #messages() {
    const said = this.turns
      .map((turn) => (turn instanceof Answer ? { role: "assistant", content: turn.text } : { role: "user", content: turn.content }))
      .filter((message) => message.content !== "");
    return [...this.settings.messages, ...said];
  }

  #clear() {
    this.stop();
    this.turns = [];
    this.where.turns.replaceChildren(startOf());
    this.#keep();
    this.where.question.focus();
  }

  #showBusy(isBusy) {
    this.where.composer.classList.toggle("is-busy", isBusy);
    say(this.where["send-text"], isBusy ? "Stop" : "Send");
  }

  #follow() {
    if (this.isAtEnd) this.where.log.scrollTop = this.where.log.scrollHeight;
  }

  #fit() {
    const { question } = this.where;
    question.style.height = "auto";
    question.style.height = `${question.scrollHeight}px`;
  }

  #announce(text) {
    say(this.where.announcer, text);
  }

  #keep() {
    const turns = this.turns.map((turn) => (turn instanceof Answer ? turn.kept() : { role: "user", content: turn.content }));
    keep({ turns, settings: this.settings.values });
  }

  #restore(turns) {
    for (const turn of turns) {
      if (turn.role === "user") this.#question(turn.content);
      else this.#newAnswer().restore(turn);
    }
    if (!turns.length) this.where.turns.replaceChildren(startOf());
    this.#follow();
  }
}
