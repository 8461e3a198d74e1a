// The mesh as it changes: its events, or GET /mesh again and again at a peer that gives none.

import { askForKey, keyHeaders } from "./key.js";
import { readEvents } from "./stream.js";

const POLL_MS = 1000;
const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 8000;
const SILENCE_MS = 20000;
const WITHOUT_EVENTS = new Set([404, 405, 429]); // None there, or too many who follow them.

/**
 * Follows one peer for as long as the page is seen, and comes back by itself when the connection is lost.
 *
 * on: what is called with each kind of event (mesh, work, request), and with `lost(atMs, retry)` while the peer
 * does not answer: `atMs` is when it is tried again, as of Date.now, `retry` tries at once.
 */
export class Feed {
  constructor(on) {
    this.on = on;
    this.hasEvents = true;
    this.pauseMs = FIRST_PAUSE_MS;
  }

  async follow() {
    for (;;) {
      // A browser has few connections to one host: pages that nobody sees leave them to those that are seen.
      await untilSeen();
      try {
        await (this.hasEvents ? this.#listen() : this.#look());
      } catch {
        // Whatever broke, a peer that restarts or a line that was cut: the way back is to try again.
        if (!document.hidden) await this.#wait();
      }
    }
  }

  /** Pass events on until they end, which is an error unless the peer gives none. */
  async #listen() {
    const abort = new AbortController();
    const end = () => abort.abort();
    let watchdog = setTimeout(end, SILENCE_MS);
    document.addEventListener("visibilitychange", end, { once: true });
    try {
      const response = await fetch("mesh/events", { headers: keyHeaders(), signal: abort.signal });
      if (response.status === 401) {
        clearTimeout(watchdog);
        return await askForKey();
      }
      if (WITHOUT_EVENTS.has(response.status)) {
        this.hasEvents = false;
        return;
      }
      if (!response.ok) throw new Error(`status ${response.status}`);
      for await (const { event, data } of readEvents(response.body)) {
        clearTimeout(watchdog);
        watchdog = setTimeout(end, SILENCE_MS);
        if (event === undefined) continue;
        this.pauseMs = FIRST_PAUSE_MS;
        this.on[event]?.(JSON.parse(data));
      }
      throw new Error("the stream ended");
    } finally {
      abort.abort();
      clearTimeout(watchdog);
      document.removeEventListener("visibilitychange", end);
    }
  }

  async #look() {
    const response = await fetch("mesh", { headers: keyHeaders(), signal: AbortSignal.timeout(SILENCE_MS) });
    if (response.status === 401) return await askForKey();
    if (!response.ok) throw new Error(`status ${response.status}`);
    this.on.mesh(await response.json());
    this.pauseMs = FIRST_PAUSE_MS;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  /** Wait before the next try, each time longer, with jitter: all pages of a peer that restarts lost it at once. */
  async #wait() {
    const ms = this.pauseMs * (0.75 + Math.random() / 2);
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      const retry = () => {
        clearTimeout(timer);
        resolve();
      };
      this.on.lost(Date.now() + ms, retry);
    });
  }
}

async function untilSeen() {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}
