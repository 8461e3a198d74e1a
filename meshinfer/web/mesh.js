// What GET /mesh says, seen for one model: its ring, the hops, who stands beside it. Touches nothing.

import { layers, list, speed, watts } from "./words.js";

const STATES = {
  past: "waits",
  idle: "joins",
  watch: "looks on",
  prepare: "loads its layers",
  ready: "is ready",
  active: "serves",
  drain: "hands over",
};

const HOLDING = new Set(["ready", "active", "drain", "past"]);

/**
 * A picture in which models that have no ring now keep their last one, of the picture before: between two rings,
 * what was lost is seen in the place that it had. Such models are marked `isPast`.
 */
export function withPast(before, after) {
  const models = after.models.map((model) => {
    const old = before?.models.find((each) => each.model === model.model && each.fingerprint === model.fingerprint);
    if (model.plan !== null || !old?.ring.length) return model;
    const ring = old.ring.map((stage) => ({ ...stage, phase: "past" }));
    return { ...model, plan: old.plan, ring, isPast: true };
  });
  return { ...after, models };
}

/**
 * The ring of a model, for drawing; null where the mesh runs no such model.
 *
 * here: id or API of the peer that this page is from. Each stage has its layers [first, end), state in words,
 * share of its layers that is loaded (0 to 1), and memory used by all models of its peer.
 */
export function ringOf(mesh, name, here) {
  const model = mesh.models.find((each) => each.model === name);
  if (!model) return null;
  const members = new Map(mesh.members.map((member) => [member.peer, member]));
  const stages = model.ring.map((stage) => seen(stage, members.get(stage.peer), mesh, here));
  return {
    model: name,
    isLive: model.state === "live",
    isPast: model.isPast ?? false,
    reason: model.reason ?? "",
    epoch: model.plan?.epoch ?? null,
    layerCount: model.plan?.layer_count ?? 0,
    tokenUs: model.token_us ?? 0,
    stages,
    hops: stages.map((stage, at) => hop(stage, stages[(at + 1) % stages.length], members)),
  };
}

/** The members that hold no layers of this model's ring. */
export function besideOf(mesh, name, here) {
  const ring = mesh.models.find((each) => each.model === name)?.ring ?? [];
  const inside = new Set(ring.map((stage) => stage.peer));
  return mesh.members
    .filter((member) => !inside.has(member.peer))
    .map((member) => ({ ...common(member, mesh, here), state: idleState(member) }));
}

/** Bytes of a peer's memory that the stages of all models take. */
export function usedBytes(mesh, peer) {
  const stages = mesh.models.flatMap((model) => model.ring).filter((stage) => stage.peer === peer);
  return stages.reduce((sum, stage) => sum + (stage.need_bytes ?? 0), 0);
}

/** What stands between a ring and its next token, in a few words; empty when nothing does. */
export function obstacle(ring) {
  if (ring === null) return "the model is not loaded";
  const gone = ring.stages.filter((stage) => stage.isGone).map((stage) => stage.name);
  const silent = ring.stages.filter((stage) => stage.isSilent).map((stage) => stage.name);
  const loading = ring.stages.filter((stage) => stage.phase === "prepare" && !stage.isGone);
  if (gone.length) return `${list(gone)} left`;
  if (silent.length) return `${list(silent)} ${silent.length > 1 ? "do" : "does"} not answer`;
  if (ring.isLive) return "";
  if (loading.length && !ring.isPast) return list(loading.map((stage) => `${stage.name} loads ${layers(stage.first, stage.end)}`));
  return ring.reason || "there is no ring yet";
}

/** The same for whoever has room to read on: with the reason that the mesh gives. */
export function explanation(ring) {
  const short = obstacle(ring);
  return ring?.isPast && ring.reason && ring.reason !== short ? `${short}: ${ring.reason}` : short;
}

function seen(stage, member, mesh, here) {
  const [first, end] = stage.layers;
  const isLoaded = HOLDING.has(stage.phase);
  const place = { peer: stage.peer, first, end, phase: stage.phase };
  if (!member) {
    const unseen = { isGone: true, isSilent: false, isHere: false, usedBytes: 0, budgetBytes: 0 };
    const name = stage.name || stage.peer.slice(0, 6);
    return { ...place, ...unseen, name, state: "left", loaded: 0, tokensPerS: 0, watts: 0, answers: 0, activity: "" };
  }
  const shown = common(member, mesh, here);
  // Why it drains is a longer story, which its label tells when asked.
  const drain = member.drain?.split(":")[0];
  const state = shown.isSilent ? "does not answer" : (drain ?? STATES[stage.phase] ?? stage.phase);
  return { ...place, ...shown, isGone: false, state, loaded: isLoaded ? 1 : progress(shown.activity) };
}

function common(member, mesh, here) {
  return {
    peer: member.peer,
    name: member.name,
    isHere: member.peer === here || (member.api !== null && member.api === here),
    isSilent: member.status === "suspect",
    usedBytes: usedBytes(mesh, member.peer),
    budgetBytes: member.memory_bytes,
    tokensPerS: member.load?.tokens_per_s ?? 0,
    answers: member.load?.answers ?? 0,
    activity: member.activity ?? "",
    watts: member.watts ?? 0,
    about: about(member),
  };
}

function about(member) {
  const disk = member.on_disk.map((model) => model.name);
  return [
    `${member.name}, release ${member.release}`,
    member.addresses.join(", "),
    member.watts ? `takes ${watts(member.watts)}` : "",
    member.joules_per_token ? `${speed(member.joules_per_token)} J of each token` : "",
    member.rdma ? `RDMA ${member.rdma}` : "",
    disk.length ? `on its disk: ${disk.join(", ")}` : "",
    member.drain ?? "",
    member.fault ?? "",
    member.barred ?? "",
  ].filter(Boolean).join("\n");
}

function idleState(member) {
  if (member.status === "suspect") return "does not answer";
  if (member.fault) return member.fault;
  return member.drain ?? member.activity ?? "holds no layers";
}

/** How far an activity such as "layers 3, 40 %" is, from 0 to 1. */
function progress(activity) {
  const found = /(\d+) %$/.exec(activity);
  return found ? Number(found[1]) / 100 : 0;
}

/** The way from one stage to the next, as the one measured it, or else the other. */
function hop(from, to, members) {
  const link = way(members.get(from.peer), to.peer) ?? way(members.get(to.peer), from.peer);
  const measured = link ? (link.bytes_per_s ?? (link.mb_s ? link.mb_s * 1e6 : 0)) : 0;
  // By what it goes only its beginning knows: the other end may be another kind of port.
  const by = carrier(way(members.get(from.peer), to.peer));
  return { from: from.peer, to: to.peer, rttUs: link?.rtt_us ?? 0, bytesPerS: measured, isUp: link?.is_up ?? true, by };
}

/** What carries a link, as Thunderbolt 5 en7, jaccl; empty where nothing tells. */
function carrier(link) {
  const port = [link?.kind, link?.interface].filter(Boolean).join(" ");
  return [port, link?.fabric].filter(Boolean).join(", ");
}

function way(member, peer) {
  return member?.links.find((link) => link.peer === peer);
}
