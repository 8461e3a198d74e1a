// Where things stand on the ring: angles in radians, clockwise from the top of the dial. Touches nothing.

const TOP = -Math.PI / 2;
const TURN = 2 * Math.PI;
const EVEN = 0.2; // This part of the ring is shared evenly, so that a stage of one layer is still seen.

/** {start, end} of each stage, by how many layers it holds, with a gap for the hop behind each. */
export function arrange(sizes) {
  const total = sizes.reduce((sum, size) => sum + size, 0) || 1;
  const gap = sizes.length === 1 ? 0.16 : Math.min(0.3, (0.3 * TURN) / sizes.length);
  const room = TURN - gap * sizes.length;
  let at = TOP + gap / 2;
  return sizes.map((size) => {
    const start = at;
    const end = start + room * (EVEN / sizes.length + ((1 - EVEN) * size) / total);
    at = end + gap;
    return { start, end };
  });
}

export function point(centre, radius, angle) {
  return { x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) };
}

/** The path of an arc, clockwise. */
export function arc(centre, radius, from, to) {
  const a = point(centre, radius, from);
  const b = point(centre, radius, to);
  return `M${round(a.x)} ${round(a.y)}A${round(radius)} ${round(radius)} 0 ${to - from > Math.PI ? 1 : 0} 1 ${round(b.x)} ${round(b.y)}`;
}

/** The outlines of `count` blocks side by side between two angles, those from `first` on: one block a layer. */
export function blocks(centre, inner, outer, { start, end }, count, first, last) {
  const each = (end - start) / count;
  const breath = Math.min(1.6 / outer, each * 0.3);
  let path = "";
  for (let number = first; number < last; number++) {
    const from = start + number * each + breath / 2;
    path += block(centre, inner, outer, from, from + each - breath);
  }
  return path;
}

function block(centre, inner, outer, from, to) {
  const isLong = to - from > Math.PI ? 1 : 0;
  const [a, b] = [point(centre, outer, from), point(centre, outer, to)];
  const [c, d] = [point(centre, inner, to), point(centre, inner, from)];
  const [o, i] = [round(outer), round(inner)];
  return `M${round(a.x)} ${round(a.y)}A${o} ${o} 0 ${isLong} 1 ${round(b.x)} ${round(b.y)}L${round(c.x)} ${round(c.y)}A${i} ${i} 0 ${isLong} 0 ${round(d.x)} ${round(d.y)}Z`;
}

function round(value) {
  return Math.round(value * 100) / 100;
}
