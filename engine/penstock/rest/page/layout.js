// Where the vertices of a job graph go: layers from left to right, few crossings, short edges. Pure.
//
// Sugiyama's steps: longest paths give layers; edges over several layers get a stand-in in each layer between; orders are
// improved by sweeps over the layers' medians; then each layer takes the heights nearest to its neighbours' that its order allows.

const SWEEPS = 12;
const STRAIGHTENING = 8;
const STAND_IN_HEIGHT = 10;

/**
 * `ids` and `edges` ({source, target}) in, in any order; gives `places` (id -> {x, y, layer, order}, the upper left corner),
 * `routes` (per edge, its points from right of source to left of target), and the size of it all.
 */
export function layout(ids, edges, size) {
  const known = new Set(ids);
  const given = edges.map((edge, index) => ({ ...edge, index }));
  const forward = withoutCycles(ids, given.filter(({ source, target }) => known.has(source) && known.has(target) && source !== target));
  const nodes = new Map(ids.map((id) => [id, node(id, size.height)]));
  assignLayers(nodes, forward);
  const chains = standIns(nodes, forward);
  const layers = ordered(nodes);
  straighten(layers, size);
  return placed(ids, given, nodes, chains, layers, size);
}

function node(id, height) {
  return { id, height, layer: 0, order: 0, centre: 0, before: [], after: [] };
}

/** Edges that lead back are drawn, but do not count for the order. */
function withoutCycles(ids, edges) {
  const out = Map.groupBy(edges, (edge) => edge.source);
  const state = new Map();
  const kept = [];
  for (const start of ids) {
    if (state.has(start)) continue;
    const stack = [[start, 0]];
    state.set(start, "open");
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = out.get(top[0])?.[top[1]++];
      if (!edge) {
        state.set(top[0], "done");
        stack.pop();
      } else if (state.get(edge.target) !== "open") {
        kept.push(edge);
        if (!state.has(edge.target)) {
          state.set(edge.target, "open");
          stack.push([edge.target, 0]);
        }
      }
    }
  }
  return kept;
}

function assignLayers(nodes, edges) {
  const entering = new Map([...nodes.keys()].map((id) => [id, 0]));
  for (const { target } of edges) entering.set(target, entering.get(target) + 1);
  const out = Map.groupBy(edges, (edge) => edge.source);
  const ready = [...nodes.keys()].filter((id) => entering.get(id) === 0);
  const sources = new Set(ready);
  for (const id of ready) {
    for (const { target } of out.get(id) ?? []) {
      nodes.get(target).layer = Math.max(nodes.get(target).layer, nodes.get(id).layer + 1);
      entering.set(target, entering.get(target) - 1);
      if (entering.get(target) === 0) ready.push(target);
    }
  }
  // A source stands beside what reads it, however late that is.
  for (const id of sources) {
    const readers = (out.get(id) ?? []).map(({ target }) => nodes.get(target).layer);
    if (readers.length) nodes.get(id).layer = Math.min(...readers) - 1;
  }
}

/** Per edge, the nodes that it passes; stand-ins are added to `nodes`. */
function standIns(nodes, edges) {
  const chains = new Map();
  for (const edge of edges) {
    const [source, target] = [nodes.get(edge.source), nodes.get(edge.target)];
    const chain = [source];
    for (let layer = source.layer + 1; layer < target.layer; layer += 1) {
      const between = node(`${edge.index}/${layer}`, STAND_IN_HEIGHT);
      between.layer = layer;
      between.standsIn = true;
      nodes.set(between.id, between);
      chain.push(between);
    }
    chain.push(target);
    for (let at = 1; at < chain.length; at += 1) {
      chain[at - 1].after.push(chain[at]);
      chain[at].before.push(chain[at - 1]);
    }
    chains.set(edge.index, chain);
  }
  return chains;
}

function ordered(nodes) {
  const layers = [];
  for (const each of nodes.values()) (layers[each.layer] ??= []).push(each);
  for (let at = 0; at < layers.length; at += 1) layers[at] ??= [];
  layers.forEach(number);
  let best = layers.map((layer) => [...layer]);
  let fewest = crossings(layers);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep += 1) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers.slice(1) : layers.slice(0, -1).reverse()) {
      for (const each of layer) each.wish = median(down ? each.before : each.after) ?? each.order;
      layer.sort((one, other) => one.wish - other.wish || one.order - other.order);
      number(layer);
    }
    const found = crossings(layers);
    if (found < fewest) [fewest, best] = [found, layers.map((layer) => [...layer])];
  }
  best.forEach(number);
  return best;
}

function number(layer) {
  layer.forEach((each, order) => (each.order = order));
}

function median(neighbours) {
  if (!neighbours.length) return null;
  const orders = neighbours.map(({ order }) => order).sort((one, other) => one - other);
  const middle = orders.length >> 1;
  return orders.length % 2 ? orders[middle] : (orders[middle - 1] + orders[middle]) / 2;
}

/** Counted with a Fenwick tree over the orders of the right layer. */
function crossings(layers) {
  let found = 0;
  for (const layer of layers) {
    const pairs = layer.flatMap((each) => each.after.map((next) => [each.order, next.order]));
    pairs.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    const size = Math.max(0, ...pairs.map(([, right]) => right)) + 1;
    const tree = new Array(size + 1).fill(0);
    pairs.forEach(([, right], seen) => {
      let upTo = 0;
      for (let at = right + 1; at > 0; at -= at & -at) upTo += tree[at];
      found += seen - upTo;
      for (let at = right + 1; at <= size; at += at & -at) tree[at] += 1;
    });
  }
  return found;
}

function straighten(layers, size) {
  for (const layer of layers) {
    let top = 0;
    for (const each of layer) {
      each.centre = top + each.height / 2;
      top += each.height + size.gapY;
    }
  }
  for (let pass = 0; pass < STRAIGHTENING; pass += 1) {
    const right = pass % 2 === 0;
    for (const layer of right ? layers : [...layers].reverse()) {
      settle(layer, layer.map((each) => mean(right ? each.before : each.after) ?? mean(right ? each.after : each.before) ?? each.centre), size.gapY);
    }
  }
}

function mean(neighbours) {
  return neighbours.length ? neighbours.reduce((sum, { centre }) => sum + centre, 0) / neighbours.length : null;
}

/** The centres nearest to the wishes that keep order and distance: isotonic regression, by pooling what collides. */
function settle(layer, wishes, gap) {
  const offsets = [];
  layer.forEach((each, at) => offsets.push(at ? offsets[at - 1] + layer[at - 1].height / 2 + gap + each.height / 2 : 0));
  const pools = [];
  wishes.forEach((wish, at) => {
    let pool = { sum: wish - offsets[at], size: 1 };
    while (pools.length && pools.at(-1).sum / pools.at(-1).size > pool.sum / pool.size) {
      const last = pools.pop();
      pool = { sum: pool.sum + last.sum, size: pool.size + last.size };
    }
    pools.push(pool);
  });
  let at = 0;
  for (const { sum, size } of pools) {
    for (let end = at + size; at < end; at += 1) layer[at].centre = sum / size + offsets[at];
  }
}

function placed(ids, edges, nodes, chains, layers, size) {
  const all = layers.flat();
  const top = Math.min(...all.map(({ centre, height }) => centre - height / 2), Infinity);
  const bottom = Math.max(...all.map(({ centre, height }) => centre + height / 2), -Infinity);
  const step = size.width + size.gapX;
  const places = new Map();
  for (const id of ids) {
    const { layer, order, centre } = nodes.get(id);
    places.set(id, { x: layer * step, y: centre - size.height / 2 - top, layer, order });
  }
  const through = (each) => {
    const [left, y] = [each.layer * step, each.centre - top];
    return each.standsIn ? [{ x: left, y }, { x: left + size.width, y }] : [{ x: left, y }];
  };
  const routes = edges.filter(({ source, target }) => places.has(source) && places.has(target)).map((edge) => {
    const [first, last] = [places.get(edge.source), places.get(edge.target)];
    const start = { x: first.x + size.width, y: first.y + size.height / 2 };
    const end = { x: last.x, y: last.y + size.height / 2 };
    return { edge, points: [start, ...(chains.get(edge.index)?.slice(1, -1) ?? []).flatMap(through), end] };
  });
  return {
    places,
    routes,
    width: Math.max(0, layers.length * step - size.gapX),
    height: all.length ? bottom - top : 0,
  };
}
