// How many answers go round a ring, and how fast, of what all peers tell. Touches nothing.

/**
 * {answers, tokensPerS, turnUs}; tokensPerS is 0 while nobody can tell.
 *
 * ring: of `ringOf`, or null. here: id of this peer, or its API. mine: how many requests for the ring's model
 * are open at this peer. own: the answer that this page reads, or null.
 */
export function flowOf({ mesh, work, ring, here, mine, own }) {
  const loads = mesh.members
    .filter((member) => member.peer !== here && member.api !== here)
    .map((member) => member.load ?? { answers: 0, tokens_per_s: 0 });
  const answersHere = Math.max(mine, own ? 1 : 0);
  const answers = answersHere + sum(loads.map((load) => load.answers));
  const speedHere = answersHere ? Math.max(own?.perSecond ?? 0, work?.answer_tokens_per_s ?? 0) : 0;
  const tokensPerS = answers ? speedHere + sum(loads.map((load) => load.tokens_per_s)) : 0;
  return { answers: ring?.stages.length ? answers : 0, tokensPerS, turnUs: work?.turn_us || ring?.tokenUs || 0 };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
