// Numbers and lists in words, the same everywhere on the page.

const THIN = "\u2009";

/** Bytes in the units that machines are sold in: 422 MB, 1.2 GB. */
export function bytes(count) {
  if (count >= 1e12) return `${digits(count / 1e12)}${THIN}TB`;
  if (count >= 1e9) return `${digits(count / 1e9)}${THIN}GB`;
  if (count >= 1e6) return `${digits(count / 1e6)}${THIN}MB`;
  return `${digits(count / 1e3)}${THIN}kB`;
}

/** A part of a whole, with the unit said once: 0.4 of 4.0 GB. */
export function share(part, whole) {
  const [number, unit] = bytes(whole).split(THIN);
  const size = { TB: 1e12, GB: 1e9, MB: 1e6, kB: 1e3 }[unit];
  return `${digits(part / size)} of ${number}${THIN}${unit}`;
}

/** Microseconds as a person reads them: 85 µs, 0.42 ms, 12 ms, 1.3 s. */
export function span(us) {
  if (us < 100) return `${Math.round(us)}${THIN}µs`;
  if (us < 1e6) return `${digits(us / 1e3)}${THIN}ms`;
  return `${digits(us / 1e6)}${THIN}s`;
}

/** Seconds: 0.61 s, 12 s. */
export function seconds(s) {
  return `${s < 10 ? s.toFixed(s < 1 ? 2 : 1) : Math.round(s)}${THIN}s`;
}

/** A speed without its unit: 8.4, 38, 1,204. */
export function speed(perSecond) {
  return perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en");
}

/** What a machine takes: 3.4 W, 38 W. */
export function watts(count) {
  return `${digits(count)}${THIN}W`;
}

/** Layers first to end - 1, as people count them: 0–18, or one alone. */
export function layers(first, end) {
  return end - first === 1 ? `${first}` : `${first}–${end - 1}`;
}

/** A number of things: 1 peer, 3 peers. */
export function count(number, thing) {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

/** Names in a row: desk, shelf and attic. */
export function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function digits(value) {
  if (value === 0) return "0";
  return value >= 9.95 ? Math.round(value).toLocaleString("en") : value < 0.095 ? value.toFixed(2) : value.toFixed(1);
}
