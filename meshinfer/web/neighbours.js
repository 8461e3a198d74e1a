// Whose page could be opened instead of this one. Touches nothing.

/** Members that answer, and whose API a browser here can reach: on this machine only if the browser is. */
export function neighboursOf(mesh, here, location) {
  const members = mesh?.members ?? [];
  return members.filter(({ api, peer, status }) => {
    if (!api || api === location.origin || peer === here || status !== "alive") return false;
    return !isLoopback(new URL(api).hostname) || isLoopback(location.hostname);
  });
}

function isLoopback(host) {
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}
