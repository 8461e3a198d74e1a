// Where labels stand around a circle that is as large as they allow. Touches nothing.

const STEP_PX = 2;
const LEAST_PX = 54;
const MOST_PX = 236;
const APART_PX = 6;
const FLAT = 0.12; // So close to the horizontal a label is beside the dial, neither above nor below.

/**
 * The largest radius whose labels overlap neither the circle, nor each other, nor the edge.
 *
 * room: {width, height}. label: {width, height, gap}. angles: one a label. Returns {radius, places}, where a place
 * is the upper left corner of a label.
 */
export function spread(room, label, angles) {
  let radius = Math.min(MOST_PX, Math.min(room.width, room.height) / 2 - 10);
  for (; radius > LEAST_PX; radius -= STEP_PX) {
    const places = angles.map((angle) => place(room, label, radius, angle));
    if (places.every((at, number) => isFree(at, places.slice(0, number), room, label, radius))) break;
  }
  return { radius, places: angles.map((angle) => place(room, label, radius, angle)) };
}

/** Outside the circle at an angle: kept within the edges, and then moved up or down until it is clear. */
export function place(room, label, radius, angle) {
  const centre = { x: room.width / 2, y: room.height / 2 };
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const clear = radius + label.gap;
  const wanted = centre.x + clear * cos + ((cos - 1) / 2) * label.width;
  const x = Math.max(0, Math.min(room.width - label.width, wanted));
  const y = centre.y + clear * sin + ((sin - 1) / 2) * label.height;
  if (Math.abs(sin) < FLAT) return { x, y };
  const near = nearest(x, label.width, centre.x);
  const reach = Math.sqrt(Math.max(0, clear ** 2 - near ** 2));
  return { x, y: sin < 0 ? Math.min(y, centre.y - reach - label.height) : Math.max(y, centre.y + reach) };
}

function isFree(at, others, room, label, radius) {
  if (at.y < 0 || at.y + label.height > room.height) return false;
  const dx = nearest(at.x, label.width, room.width / 2);
  const dy = nearest(at.y, label.height, room.height / 2);
  if (Math.hypot(dx, dy) < radius + label.gap / 2) return false;
  return others.every(
    (other) => Math.abs(other.x - at.x) >= label.width + APART_PX || Math.abs(other.y - at.y) >= label.height + APART_PX,
  );
}

/** How far a stretch is from a point on the same line; 0 if it is within. */
function nearest(begin, length, point) {
  return Math.max(0, begin - point, point - begin - length);
}
