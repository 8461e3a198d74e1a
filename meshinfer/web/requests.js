// The requests that began at this peer, by its events: how many are open, and in which state. Touches nothing.

const OVER = new Set(["ended", "failed", "cancelled"]);

export class Requests {
  constructor() {
    this.open = new Map(); // request → {model, state}
  }

  heard({ request, model, state }) {
    if (OVER.has(state)) this.open.delete(request);
    else this.open.set(request, { model, state });
  }

  /** The connection was lost: whatever ended meanwhile was not heard of. */
  forget() {
    this.open.clear();
  }

  of(model) {
    return [...this.open.values()].filter((each) => (each.model ?? model) === model);
  }
}
