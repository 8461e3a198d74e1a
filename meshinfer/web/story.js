// What happened between two pictures of the mesh, in sentences. Touches nothing.

import { layers, list } from "./words.js";

/** Sentences, the earliest first: {text, tone, isRing}; tone is "", "good" or "bad", isRing tells of a new ring. before: null at first. */
export function happened(before, after) {
  if (before === null) return after.models.flatMap(asFound);
  return [...comings(before, after), ...after.models.flatMap((model) => changes(before, after, model)), ...unloaded(before, after)];
}

/** Who takes what in a new ring, against an old one: "shelf left, desk takes 0–29". present: ids of all members. */
export function reshaped(old, ring, present) {
  const was = new Map(old.map((stage) => [stage.peer, stage]));
  const now = new Set(ring.map((stage) => stage.peer));
  const gone = old.filter((stage) => !now.has(stage.peer));
  const left = gone.filter((stage) => !present.has(stage.peer)).map(named);
  const freed = gone.filter((stage) => present.has(stage.peer)).map(named);
  const takes = ring
    .filter((stage) => !isSame(was.get(stage.peer), stage))
    .map((stage) => `${named(stage)} takes ${layers(...stage.layers)}`);
  const parts = [
    left.length ? `${list(left)} left` : "",
    freed.length ? `${list(freed)} ${freed.length > 1 ? "hold" : "holds"} no layers now` : "",
    takes.length > 4 ? `layers over ${ring.length} peers` : takes.join(", "),
  ];
  return parts.filter(Boolean).join(", ") || "the same layers as before";
}

function asFound(model) {
  if (model.state !== "live") return [{ text: `${model.model} has no ring: ${model.reason}`, tone: "" }];
  const ring = model.ring.map((stage) => `${named(stage)} ${layers(...stage.layers)}`).join(" → ");
  return [{ text: `epoch ${model.plan.epoch}: ${ring}`, tone: "good" }];
}

function comings(before, after) {
  const was = new Map(before.members.map((member) => [member.peer, member]));
  const now = new Map(after.members.map((member) => [member.peer, member]));
  const told = [];
  for (const member of after.members) {
    const old = was.get(member.peer);
    if (!old) told.push({ text: `${member.name} joined`, tone: "good" });
    else if (old.status === "alive" && member.status === "suspect")
      told.push({ text: `${member.name} does not answer`, tone: "bad" });
    else if (old.status === "suspect" && member.status === "alive")
      told.push({ text: `${member.name} answers again`, tone: "good" });
    if (old && (member.drain ?? "") !== (old.drain ?? ""))
      told.push({ text: `${member.name} is ${member.drain ?? "no longer drained"}`, tone: "" });
    if (member.fault && member.fault !== old?.fault)
      told.push({ text: `${member.name} holds no layers: ${member.fault}`, tone: "bad" });
  }
  for (const member of before.members)
    if (!now.has(member.peer)) told.push({ text: `${member.name} left`, tone: "bad" });
  return told;
}

/** What became of a model. */
function changes(before, after, model) {
  const old = before.models.find((each) => each.model === model.model);
  const prefix = after.models.length > 1 ? `${model.model}, ` : "";
  const isNewPlan = model.plan !== null && !model.isPast && model.plan.digest !== old?.plan?.digest;
  if (isNewPlan) {
    const present = new Set(after.members.map((member) => member.peer));
    const text = `${prefix}epoch ${model.plan.epoch}: ${reshaped(old?.ring ?? [], model.ring, present)}`;
    return [{ text, tone: model.state === "live" ? "good" : "", isRing: true }];
  }
  if (model.state === "live" && old?.state !== "live") return [live(prefix, model)];
  if (model.state !== "live" && (old === undefined || old.state === "live"))
    return [{ text: `${model.model} has no ring: ${model.reason}`, tone: "" }];
  return [];
}

function live(prefix, model) {
  return { text: `${prefix}epoch ${model.plan.epoch} serves`, tone: "good" };
}

function unloaded(before, after) {
  const now = new Set(after.models.map((model) => model.model));
  return before.models.filter((model) => !now.has(model.model)).map((model) => ({ text: `${model.model} is unloaded`, tone: "" }));
}

function named(stage) {
  return stage.name || stage.peer.slice(0, 6);
}

function isSame(old, stage) {
  return old !== undefined && old.layers[0] === stage.layers[0] && old.layers[1] === stage.layers[1];
}
