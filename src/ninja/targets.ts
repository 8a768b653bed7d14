// Names on ninja's command line become nodes, and nodes the statements that have to run for them.

import { encodeBytes } from './bytes.ts';
import { canonicalize } from './canonicalize.ts';
import { NinjaError } from './error.ts';
import { type Edge, type Graph, isPhony, mayBePhonyCycle, type Node } from './graph.ts';

export interface TargetOptions {
  /**
   * For `file^` when the manifest knows no user of the file: ninja then asks its dependency log for the first output
   * that has it among its dependencies.
   */
  readonly firstReverseDependency?: (path: string) => string | undefined;
}

/** The outputs nobody uses, in the order of the manifest. Errors: `graph` when everything is used (a cycle). */
export function rootNodes(graph: Graph): readonly Node[] {
  const roots: Node[] = [];
  for (const edge of graph.edges) {
    for (const output of edge.outputs) if (output.outEdges.length === 0) roots.push(output);
  }
  if (roots.length === 0 && graph.edges.length > 0) {
    throw new NinjaError('graph', 'could not determine root nodes of build graph');
  }
  return roots;
}

/** What ninja builds for these arguments; without any the defaults, or else the roots. Errors: `usage`, `graph`. */
export function targetsFor(
  graph: Graph,
  args: readonly string[],
  options: TargetOptions = {},
): readonly Node[] {
  if (args.length > 0) return args.map((arg) => targetFor(graph, arg, options));
  return graph.defaults.length > 0 ? graph.defaults : rootNodes(graph);
}

function targetFor(graph: Graph, arg: string, options: TargetOptions): Node {
  if (arg === '') throw new NinjaError('usage', 'empty path');
  const canonical = canonicalize(arg);
  const wantsUser = canonical.endsWith('^');
  const path = wantsUser ? canonical.slice(0, -1) : canonical;
  const node = graph.nodeByPath.get(path);
  if (node === undefined) throw new NinjaError('usage', `unknown target '${path}'${hint(graph, path)}`);
  if (!wantsUser) return node;
  const user = node.outEdges[0];
  if (user !== undefined) return user.outputs[0]!;
  const logged = options.firstReverseDependency?.(path);
  if (logged === undefined) throw new NinjaError('usage', `'${path}' has no out edge`);
  return graph.node(logged);
}

function hint(graph: Graph, path: string): string {
  if (path === 'clean') return ", did you mean 'ninja -t clean'?";
  if (path === 'help') return ", did you mean 'ninja -h'?";
  const wanted = encodeBytes(path);
  let nearest: Node | undefined;
  let nearestDistance = EDIT_DISTANCE_MAX + 1;
  for (const node of graph.nodeByPath.values()) {
    const distance = editDistance(encodeBytes(node.path), wanted);
    if (distance < nearestDistance) {
      nearest = node;
      nearestDistance = distance;
    }
  }
  return nearest === undefined ? '' : `, did you mean '${nearest.path}'?`;
}

/** Names further apart than this many changed bytes are no suggestion. */
const EDIT_DISTANCE_MAX = 3;

/** Levenshtein distance; anything above EDIT_DISTANCE_MAX comes back as EDIT_DISTANCE_MAX + 1. */
function editDistance(a: Buffer, b: Buffer): number {
  if (Math.abs(a.length - b.length) > EDIT_DISTANCE_MAX) return EDIT_DISTANCE_MAX + 1;
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let y = 1; y <= a.length; y++) {
    const row = [y];
    let best = y;
    for (let x = 1; x <= b.length; x++) {
      const replaced = above[x - 1]! + (a[y - 1] === b[x - 1] ? 0 : 1);
      const distance = Math.min(replaced, row[x - 1]! + 1, above[x]! + 1);
      row.push(distance);
      best = Math.min(best, distance);
    }
    if (best > EDIT_DISTANCE_MAX) return EDIT_DISTANCE_MAX + 1;
    above = row;
  }
  return above[b.length]!;
}

interface Visit {
  readonly node: Node;
  readonly edge: Edge;
  readonly needs: readonly Node[];
  next: number;
}

/**
 * Every statement needed for the targets, phony ones included, each after what it needs; validations of any of them
 * follow. The order is that of `ninja -t commands`. Errors: `graph` on a dependency cycle.
 */
export function edgesFor(targets: readonly Node[]): readonly Edge[] {
  const edges: Edge[] = [];
  const state = new Map<Edge, 'open' | 'done'>();
  const queue = [...targets];
  for (let i = 0; i < queue.length; i++) {
    const stack: Visit[] = [];
    enter(queue[i]!, stack, state);
    while (stack.length > 0) {
      const visit = stack.at(-1)!;
      const need = visit.needs[visit.next++];
      if (need !== undefined) {
        enter(need, stack, state);
        continue;
      }
      stack.pop();
      state.set(visit.edge, 'done');
      edges.push(visit.edge);
      for (const validation of visit.edge.validations) queue.push(validation);
    }
  }
  return edges;
}

function enter(node: Node, stack: Visit[], state: Map<Edge, 'open' | 'done'>): void {
  const edge = node.inEdge;
  if (edge === undefined) return;
  const seen = state.get(edge);
  if (seen === 'done') return;
  if (seen === 'open') throw cycleError(node, edge, stack);
  state.set(edge, 'open');
  const needs = edge.dyndep?.dyndepPending ? [edge.dyndep, ...edge.inputs] : edge.inputs;
  stack.push({ node, edge, needs, next: 0 });
}

/** As ninja words it: the cycle begins and ends with the node that closed it. */
function cycleError(node: Node, edge: Edge, stack: readonly Visit[]): NinjaError {
  const start = stack.findIndex((visit) => visit.edge === edge);
  const paths = stack.slice(start).map((visit) => visit.node.path);
  paths[0] = node.path;
  const hint = paths.length === 1 && mayBePhonyCycle(edge) ? ' [-w phonycycle=err]' : '';
  return new NinjaError('graph', `dependency cycle: ${[...paths, node.path].join(' -> ')}${hint}`);
}

/**
 * The files a user means by the targets: what real statements make, reached through phony ones only, with all outputs
 * of such a statement; sources are left out. Validations count, since they are built as well. No duplicates.
 */
export function finalOutputs(targets: readonly Node[]): readonly Node[] {
  const finals = new Set<Node>();
  const seen = new Set<Node>();
  const collect = (roots: readonly Node[]): void => {
    // A stack that is filled backwards keeps the manifest's order.
    const stack = [...roots].reverse();
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (seen.has(node)) continue;
      seen.add(node);
      const edge = node.inEdge;
      if (edge === undefined) continue;
      if (!isPhony(edge)) for (const output of edge.outputs) finals.add(output);
      else for (let i = edge.inputs.length - 1; i >= 0; i--) stack.push(edge.inputs[i]!);
    }
  };
  collect(targets);
  for (const edge of edgesFor(targets)) collect(edge.validations);
  return [...finals];
}
