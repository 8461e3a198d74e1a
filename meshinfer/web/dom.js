// Makes nodes: text is always text, never markup.

/** An element with attributes (null and false leave one out, true is empty) and children (nodes or strings). */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for what stands in an SVG. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** The element with this id; the page is broken without it. */
export function byId(id) {
  return document.getElementById(id);
}

/** Set text only where it differs, so that a selection in it, and who reads it aloud, are left in peace. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
