// Says that the peer behind this page does not answer, when it is tried again, and who else could be asked.

import { element, say } from "./dom.js";
import { list } from "./words.js";

export class Banner {
  constructor(host) {
    this.host = host;
    this.text = element("span");
    this.others = element("span", { class: "others" });
    this.button = element("button", { type: "button", class: "quiet" }, "Try now");
    this.host.append(this.text, this.others, this.button);
    this.timer = 0;
  }

  /** name: of the peer. atMs: when it is tried next, as of Date.now. others: members with pages of their own. */
  show(name, atMs, retry, others) {
    this.host.hidden = false;
    this.button.onclick = retry;
    this.#showOthers(others);
    clearInterval(this.timer);
    const tick = () => {
      const left = Math.ceil((atMs - Date.now()) / 1000);
      say(this.text, `${name} does not answer. ${left > 0 ? `Trying again in ${left} s.` : "Trying …"}`);
    };
    tick();
    this.timer = setInterval(tick, 500);
  }

  hide() {
    this.host.hidden = true;
    clearInterval(this.timer);
  }

  #showOthers(others) {
    const names = list(others.map((other) => other.name));
    if (this.others.dataset.names === names) return;
    this.others.dataset.names = names;
    const links = others.map((other) => element("a", { href: `${other.api}/` }, other.name));
    this.others.replaceChildren(...(links.length ? ["The mesh goes on without it: ", ...links] : []));
  }
}
