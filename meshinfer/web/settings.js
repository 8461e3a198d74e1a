// How answers are asked for: system prompt, temperature, length. Folded away until somebody wants them.

import { byId } from "./dom.js";

const FIELDS = ["system", "temperature", "max-tokens"];

export class Settings {
  /** kept: what `values` gave before. changed: called when somebody changes one. */
  constructor(kept, changed) {
    this.fields = Object.fromEntries(FIELDS.map((id) => [id, byId(id)]));
    for (const [id, field] of Object.entries(this.fields)) {
      if (typeof kept[id] === "string") field.value = kept[id];
      field.addEventListener("change", changed);
    }
    const [panel, toggle] = [byId("settings"), byId("settings-toggle")];
    toggle.addEventListener("click", () => {
      panel.hidden = !panel.hidden;
      toggle.setAttribute("aria-expanded", String(!panel.hidden));
      if (!panel.hidden) this.fields.system.focus();
    });
  }

  get values() {
    return Object.fromEntries(FIELDS.map((id) => [id, this.fields[id].value]));
  }

  /** The system prompt, as the first of the messages; none if it is empty. */
  get messages() {
    const content = this.fields.system.value.trim();
    return content ? [{ role: "system", content }] : [];
  }

  /** Fields of a request; those that are left empty are the peer's to choose. */
  get parameters() {
    const [temperature, tokens] = [this.fields.temperature, this.fields["max-tokens"]];
    return {
      ...(temperature.value && temperature.validity.valid ? { temperature: temperature.valueAsNumber } : {}),
      ...(tokens.value && tokens.validity.valid ? { max_tokens: tokens.valueAsNumber } : {}),
    };
  }
}
