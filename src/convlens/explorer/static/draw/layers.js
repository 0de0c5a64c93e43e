// Where the nodes of a network go: below each other in the order of the data, branches side by side.

export const GAP = 168; // between the middles of two branches

/** nodes in order of execution, edges [from, to] -> Map id -> {rank, x}; x counts lanes around 0. */
export function layered(nodes, edges) {
  const before = new Map(nodes.map((node) => [node.id, []]));
  const after = new Map(nodes.map((node) => [node.id, []]));
  for (const [from, to] of edges) {
    before.get(to).push(from);
    after.get(from).push(to);
  }
  const places = new Map();
  for (const node of nodes) {
    const ranks = before.get(node.id).map((id) => places.get(id)?.rank ?? 0);
    places.set(node.id, { rank: ranks.length ? Math.max(...ranks) + 1 : 0, x: 0 });
  }
  const ranks = [];
  for (const [id, place] of places) (ranks[place.rank] ??= []).push(id);
  for (const row of ranks.slice(1)) {
    for (const id of row) places.get(id).x = wish(id, before, after, places);
    separate(row.map((id) => places.get(id)));
  }
  return places;
}

/** Below the middle of what it reads; the branches of a fork spread around it. */
function wish(id, before, after, places) {
  const sources = before.get(id).map((source) => places.get(source));
  const middle = sources.reduce((sum, place) => sum + place.x, 0) / Math.max(1, sources.length);
  if (before.get(id).length !== 1) return middle;
  const rank = places.get(id).rank;
  const branches = after.get(before.get(id)[0]).filter((other) => before.get(other).length === 1 && places.get(other).rank === rank);
  return middle + branches.indexOf(id) - (branches.length - 1) / 2;
}

function separate(row) {
  const sorted = [...row].sort((a, b) => a.x - b.x);
  const middle = row.reduce((sum, place) => sum + place.x, 0) / row.length;
  for (let index = 1; index < sorted.length; index += 1) sorted[index].x = Math.max(sorted[index].x, sorted[index - 1].x + 1);
  const shift = middle - row.reduce((sum, place) => sum + place.x, 0) / row.length;
  for (const place of row) place.x += shift;
}
