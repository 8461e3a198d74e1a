// How fast an answer comes: time to its first token, tokens per second, and its longest pause. Touches nothing.

export class Pace {
  /** nowMs: when it was asked. */
  constructor(nowMs) {
    this.askedMs = nowMs;
    this.firstMs = null;
    this.lastMs = nowMs;
    this.pieces = 0;
    this.longestMs = 0;
  }

  /** A piece came; most hold one token. */
  piece(nowMs) {
    if (this.firstMs === null) this.firstMs = nowMs;
    else this.longestMs = Math.max(this.longestMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.pieces += 1;
  }

  get firstS() {
    return this.firstMs === null ? null : (this.firstMs - this.askedMs) / 1000;
  }

  /** Tokens per second behind the first one; null where there are too few to tell. tokens: as the mesh counted. */
  perSecond(tokens = this.pieces) {
    const s = (this.lastMs - (this.firstMs ?? this.lastMs)) / 1000;
    return tokens > 1 && s > 0 ? (tokens - 1) / s : null;
  }
}
