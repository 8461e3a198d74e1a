// The page: what the peer says goes to the parts that show it, and what people choose goes back.

import { Banner } from "./banner.js";
import { showBeside } from "./beside.js";
import { Centre } from "./centre.js";
import { Chat } from "./chat.js";
import { byId, say } from "./dom.js";
import { Feed } from "./feed.js";
import { flowOf } from "./flow.js";
import { showUnderway, tell, underway } from "./happenings.js";
import { besideOf, explanation, obstacle, ringOf, withPast } from "./mesh.js";
import { Models } from "./models.js";
import { neighboursOf } from "./neighbours.js";
import { Pulse } from "./pulse.js";
import { Requests } from "./requests.js";
import { Ring } from "./ring.js";
import { happened } from "./story.js";
import { offerTheme } from "./theme.js";
import { offerViews } from "./views.js";
import { count } from "./words.js";

const seen = { mesh: null, work: null, isLost: false };
const requests = new Requests();
const pulse = new Pulse();
const dial = new Ring(byId("ring"), pulse);
const centre = new Centre(document.querySelector(".centre"));
const banner = new Banner(byId("banner"));
const models = new Models(show);
const chat = new Chat({ changed: showFlow, model: () => models.current });

offerTheme(byId("theme"));
offerViews([...document.querySelectorAll(".views button")]);
new Feed({
  mesh(told) {
    const mesh = withPast(seen.mesh, told);
    const sentences = happened(seen.mesh, mesh);
    tell(byId("story"), sentences);
    if (seen.mesh !== null) chat.answering?.carry(sentences.filter(({ isRing }) => isRing));
    Object.assign(seen, { mesh, isLost: false });
    banner.hide();
    show();
  },
  work(work) {
    const isFirst = seen.work?.peer !== work.peer;
    seen.work = work;
    if (isFirst) show(); // Now it is known which of the members this one is.
    else showDoing();
  },
  request(request) {
    requests.heard(request);
    showFlow();
  },
  lost(atMs, retry) {
    seen.isLost = true;
    requests.forget();
    banner.show(hereName(), atMs, retry, neighboursOf(seen.mesh, here(), location));
    showState();
    showFlow();
  },
}).follow();

function show() {
  if (seen.mesh === null) return;
  models.show(seen.mesh);
  say(byId("mesh-name"), seen.mesh.mesh);
  byId("open-mesh").hidden = !seen.mesh.is_open;
  const ring = current();
  dial.show(ring);
  showBeside(byId("beside"), besideOf(seen.mesh, models.current, here()));
  chat.answering?.obstruct(obstacle(ring));
  showState();
  showDoing();
}

/** The ring that is looked at, or null. */
function current() {
  return seen.mesh && ringOf(seen.mesh, models.current, here());
}

/** What moves from second to second: transfers, speed, the light on the ring. */
function showDoing() {
  if (seen.mesh !== null) showUnderway(byId("doing"), underway(seen.mesh, seen.work));
  showFlow();
}

function showFlow() {
  if (seen.mesh === null) return;
  const ring = current();
  const mine = requests.of(models.current).length;
  const flow = flowOf({ mesh: seen.mesh, work: seen.work, ring, here: here(), mine, own: chat.answering });
  const why = seen.mesh.models.length ? explanation(ring) : seen.mesh.reason;
  centre.show({ ring, why, ...flow });
  pulse.show(flow.answers, flow.turnUs, why !== "" || seen.isLost);
}

function showState() {
  const ring = current();
  const ringPeers = ring?.stages.length ?? 0;
  const peers = seen.mesh?.members.length ?? 0;
  const state = seen.isLost ? "lost" : ring?.isLive ? "live" : "waiting";
  const waiting = ringPeers ? `the ring re-forms, ${count(ringPeers, "peer")}` : `no ring yet, ${count(peers, "peer")}`;
  byId("state").dataset.state = state;
  say(byId("state-text"), { lost: "connection lost", live: `live, ${count(ringPeers, "peer")}`, waiting }[state]);
}

/** Who this page is from: its id once it has told, and its address until then. */
function here() {
  return seen.work?.peer ?? location.origin;
}

function hereName() {
  return seen.work?.name ?? seen.mesh?.members.find((member) => member.api === location.origin)?.name ?? "This peer";
}
