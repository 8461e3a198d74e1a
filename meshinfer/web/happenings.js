// What goes on (transfers, loading), and what has happened, newest first.

import { element, say } from "./dom.js";
import { isStill } from "./motion.js";
import { bytes } from "./words.js";

const KEPT = 60;
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Write sentences of `happened` on top of the list. */
export function tell(host, sentences) {
  for (const { text, tone } of sentences) {
    const now = new Date();
    const time = element("time", { datetime: now.toISOString() }, clock.format(now));
    const row = element("li", { "data-tone": tone || null }, time, element("span", {}, text));
    host.prepend(row);
    if (!isStill()) row.animate({ opacity: [0, 1], transform: ["translateY(-8px)", "none"] }, { duration: 450, easing: "ease-out" });
  }
  while (host.children.length > KEPT) host.lastElementChild.remove();
}

/** What is under way in a mesh: what this peer says of itself in bytes, and what others say of themselves. */
export function underway(mesh, work) {
  const own = (work?.transfers ?? []).map((each) => ({
    who: work.name,
    what: each.what,
    done: each.total_bytes ? each.done_bytes / each.total_bytes : 0,
    size: each.total_bytes ? `${bytes(each.done_bytes)} of ${bytes(each.total_bytes)}` : bytes(each.done_bytes),
  }));
  const others = mesh.members
    .filter((member) => member.activity && !(own.length && member.peer === work.peer))
    .map((member) => {
      const [, what, percent] = /^(.*?)(?:, (\d+) %)?$/.exec(member.activity);
      return { who: member.name, what, done: Number(percent ?? 0) / 100, size: percent ? `${percent} %` : "" };
    });
  return [...own, ...others];
}

/** Show them as bars; the same one stays the same node, so that its bar glides. */
export function showUnderway(host, all) {
  host.hidden = all.length === 0;
  if (!host.children.length) host.append(element("h2", {}, "Under way"), element("ul"));
  const [, list] = host.children;
  all.forEach((each, at) => {
    const row = list.children[at] ?? list.appendChild(emptyRow());
    const [line, bar] = row.children;
    const [what, size] = line.children;
    say(what, `${each.who}: ${each.what}`);
    say(size, each.size);
    bar.firstElementChild.style.transform = `scaleX(${Math.min(1, each.done).toFixed(3)})`;
  });
  while (list.children.length > all.length) list.lastElementChild.remove();
}

function emptyRow() {
  const line = element("p", { class: "doing-line" }, element("span"), element("span", { class: "doing-size" }));
  return element("li", {}, line, element("p", { class: "bar", "aria-hidden": "true" }, element("span", { class: "bar-fill" })));
}
