// Which model is looked at and asked: tabs above the ring where there are several, and the chat's choice.

import { byId, element } from "./dom.js";

export class Models {
  /** changed: called when somebody chooses. */
  constructor(changed) {
    this.changed = changed;
    this.tabs = byId("models");
    this.choice = byId("model");
    this.chosen = null;
    this.known = "";
    this.choice.addEventListener("change", () => this.#choose(this.choice.value));
  }

  /** The model that is looked at; null while the mesh has none. */
  get current() {
    return this.chosen;
  }

  /** Show what the mesh runs, and what lies on its disks. */
  show(mesh) {
    const loaded = mesh.models.map((model) => model.model);
    const disk = mesh.members.flatMap((member) => member.on_disk.map((model) => model.name));
    const idle = [...new Set(disk)].filter((name) => !loaded.includes(name)).sort();
    if (!loaded.includes(this.chosen) && !idle.includes(this.chosen)) this.chosen = loaded[0] ?? null;
    const states = mesh.models.map((model) => model.state);
    const known = JSON.stringify([loaded, idle, states, this.chosen]);
    if (known === this.known) return;
    this.known = known;
    this.#showChoice(loaded, idle);
    this.#showTabs(mesh.models);
  }

  #showChoice(loaded, idle) {
    const option = (name) => element("option", { value: name }, name);
    const groups = idle.length ? [element("optgroup", { label: "loaded when asked" }, ...idle.map(option))] : [];
    const none = loaded.length || idle.length ? [] : [element("option", { value: "" }, "no model yet")];
    this.choice.replaceChildren(...none, ...loaded.map(option), ...groups);
    if (this.chosen !== null) this.choice.value = this.chosen;
  }

  #showTabs(models) {
    this.tabs.hidden = models.length < 2;
    this.tabs.replaceChildren(
      ...models.map((model) => {
        const isChosen = model.model === this.chosen;
        const dot = element("span", { class: "dot", "data-state": model.state });
        const tab = element("button", { type: "button", class: "tab", "aria-pressed": String(isChosen) }, dot, model.model);
        tab.addEventListener("click", () => this.#choose(model.model));
        return tab;
      }),
    );
  }

  #choose(name) {
    this.chosen = name;
    this.known = "";
    this.changed();
  }
}
