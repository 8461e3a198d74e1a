// Why an answer waits, for its reader: of what the peer says of it, or of what stands in the ring's way. Pure.

/** obstacle: of `obstacle`, or a comment in the answer's stream. hasBegun: whether some of it is here already. */
export function whyWaiting(obstacle, hasBegun) {
  const plain = obstacle.replace(/^waiting for a ring: /, "");
  if (/^(waiting|loading)\b/.test(plain)) return plain;
  return hasBegun ? `paused: ${plain}, the answer goes on` : `waiting: ${plain}`;
}
