// What models write, as nodes: paragraphs, headings, lists, quotes, tables, code. Never as markup: everything
// becomes text of elements that are made here, pictures are not fetched, and links lead to http(s) alone.

import { element } from "./dom.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MOST_DEPTH = 6;

/** Shows a text that grows: only what changed since the last time is made anew. */
export class Markdown {
  constructor(host) {
    this.host = host;
    this.shown = []; // sources of the blocks that are shown
  }

  show(text) {
    const sources = split(text);
    let same = 0;
    while (same < sources.length && sources[same] === this.shown[same]) same += 1;
    while (this.host.children.length > same) this.host.lastElementChild.remove();
    this.host.append(...sources.slice(same).map((source) => block(source, 0)));
    this.shown = sources;
  }
}

/** The sources of the blocks of a text, in order. */
export function split(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const end = blockEnd(lines, at);
    blocks.push(lines.slice(at, end).join("\n"));
    at = end;
  }
  return blocks;
}

function blockEnd(lines, begin) {
  const line = lines[begin];
  const fence = FENCE.exec(line);
  if (fence) {
    const close = lines.findIndex((each, at) => at > begin && each.trim().startsWith(fence[1]) && !each.trim().slice(fence[1].length).trim());
    return close < 0 ? lines.length : close + 1;
  }
  if (HEADING.test(line) || RULE.test(line)) return begin + 1;
  const isList = ITEM.test(line);
  let at = begin + 1;
  for (; at < lines.length; at++) {
    const next = lines[at];
    if (next.trim() === "") {
      // A list goes on behind an empty line with its next item, or with what is indented.
      const after = lines.slice(at).find((each) => each.trim() !== "");
      if (isList && after !== undefined && (ITEM.test(after) || /^\s{2,}/.test(after))) continue;
      return at;
    }
    if (isList) {
      if (/^\s/.test(next)) continue;
      if (ITEM.test(next) && isOrdered(next) === isOrdered(line)) continue;
    }
    if (FENCE.test(next) || HEADING.test(next) || RULE.test(next)) return at;
    if (ITEM.test(next) !== isList || QUOTE.test(next) !== QUOTE.test(line)) return at;
  }
  return at;
}

function isOrdered(line) {
  return /^\s*\d/.test(line);
}

function block(source, depth) {
  const lines = source.split("\n");
  const fence = FENCE.exec(lines[0]);
  if (fence) return code(lines, fence);
  const heading = HEADING.exec(lines[0]);
  if (heading) return element(`h${Math.min(6, heading[1].length + 2)}`, {}, ...inline(heading[2]));
  if (RULE.test(lines[0])) return element("hr");
  if (depth < MOST_DEPTH && ITEM.test(lines[0])) return items(lines, depth);
  if (depth < MOST_DEPTH && QUOTE.test(lines[0])) {
    const inner = lines.map((line) => QUOTE.exec(line)?.[1] ?? line).join("\n");
    return element("blockquote", {}, ...split(inner).map((each) => block(each, depth + 1)));
  }
  if (lines.length > 1 && lines[0].includes("|") && TABLE_RULE.test(lines[1])) return table(lines);
  return element("p", {}, ...inline(source));
}

function code(lines, fence) {
  const isClosed = lines.length > 1 && lines.at(-1).trim().startsWith(fence[1]);
  const text = lines.slice(1, isClosed ? -1 : undefined).join("\n");
  const copy = element("button", { type: "button", class: "copy-code", "aria-label": "Copy this code" }, "Copy");
  const head = element("div", { class: "code-head" }, element("span", {}, fence[2] || "code"), copy);
  return element("div", { class: "code" }, head, element("pre", { tabindex: "0" }, element("code", {}, text)));
}

function items(lines, depth) {
  const first = ITEM.exec(lines[0]);
  const indent = first[1].length;
  const groups = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent + 1) groups.push([item[3]]);
    else groups.at(-1).push(line.replace(/^\s{1,4}/, ""));
  }
  const isNumbered = isOrdered(lines[0]);
  const start = isNumbered ? Number.parseInt(first[2], 10) : 1;
  return element(isNumbered ? "ol" : "ul", { start: start === 1 ? null : start }, ...groups.map((group) => item(group, depth)));
}

function item(lines, depth) {
  const blocks = split(lines.join("\n"));
  const nodes = blocks.map((each) => block(each, depth + 1));
  // An item of one line, or with a list below, is no paragraph.
  if (nodes[0]?.tagName === "P") nodes.splice(0, 1, ...nodes[0].childNodes);
  return element("li", {}, ...nodes);
}

function table(lines) {
  const [head, , ...rows] = lines.map(cells);
  const row = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, {}, ...inline(text))));
  const body = rows.map((texts) => row("td", texts));
  return element("div", { class: "table", tabindex: "0" }, element("table", {}, element("thead", {}, row("th", head)), element("tbody", {}, ...body)));
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
}

const INLINE = [
  { pattern: /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/, make: (found) => element("code", {}, found[2].trim() || found[2]) },
  { pattern: /!?\[([^\]\n]*)\]\(\s*<?(https?:\/\/[^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/, make: (found) => link(found[2], found[1] || found[2]) },
  { pattern: /https?:\/\/[^\s<>"'`)\]]*[^\s<>"'`)\].,;:!?]/, make: (found) => link(found[0], found[0]) },
  { pattern: /\*\*(?=\S)([\s\S]*?\S)\*\*/, make: (found) => element("strong", {}, ...inline(found[1])) },
  { pattern: /(?<![\w_])__(?=\S)([\s\S]*?\S)__(?![\w_])/, make: (found) => element("strong", {}, ...inline(found[1])) },
  { pattern: /\*(?=[^\s*])([^*\n]*[^\s*])\*/, make: (found) => element("em", {}, ...inline(found[1])) },
  { pattern: /(?<![\w_])_(?=[^\s_])([^_\n]*[^\s_])_(?![\w_])/, make: (found) => element("em", {}, ...inline(found[1])) },
  { pattern: /~~(?=\S)([\s\S]*?\S)~~/, make: (found) => element("del", {}, ...inline(found[1])) },
  { pattern: /\\([\\`*_{}[\]()#+.!|>~-])/, make: (found) => found[1] },
  { pattern: / {2,}\n|\n/, make: () => element("br") },
];

/** The nodes of one run of text. */
function inline(text) {
  const nodes = [];
  const upcoming = INLINE.map((rule) => ({ rule, found: rule.pattern.exec(text) }));
  let at = 0;
  for (;;) {
    let next = null;
    for (const each of upcoming) {
      if (each.found && each.found.index < at) each.found = after(each.rule.pattern, text, at);
      if (each.found && (next === null || each.found.index < next.found.index)) next = each;
    }
    if (next === null) break;
    const { rule, found } = next;
    if (found.index > at) nodes.push(text.slice(at, found.index));
    nodes.push(rule.make(found));
    at = found.index + found[0].length;
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

function after(pattern, text, at) {
  const sticky = new RegExp(pattern.source, "g");
  sticky.lastIndex = at;
  return sticky.exec(text);
}

function link(href, text) {
  return element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, text);
}
