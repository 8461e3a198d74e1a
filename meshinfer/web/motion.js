// How things move: smoothly, and not at all for those who asked their system for less motion.

const still = matchMedia("(prefers-reduced-motion: reduce)");

export function isStill() {
  return still.matches;
}

/** Calls step(0 … 1) once a frame for `ms`, easing out; returns what ends it at once. */
export function glide(step, ms) {
  if (isStill() || document.hidden) {
    step(1);
    return () => {};
  }
  const begun = performance.now();
  let frame = requestAnimationFrame(function next(now) {
    const part = Math.min(1, Math.max(0, (now - begun) / ms));
    step(1 - (1 - part) ** 3);
    if (part < 1) frame = requestAnimationFrame(next);
  });
  return () => cancelAnimationFrame(frame);
}
