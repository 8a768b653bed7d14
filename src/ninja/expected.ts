// Which compiler calls ninja is going to make, as far as that is certain before it starts: commands that need no shell, of
// statements that are out of date and read nothing that is still to be made.
import { responseFileOf } from './evaluate.ts';
import { type Edge, isPhony, type Node } from './graph.ts';
import type { Manifest } from './manifest.ts';
import { plainWords } from './words.ts';

/** Modification time in ns; undefined for a missing file. Paths as in the manifest. */
export type MtimeOf = (path: string) => bigint | undefined;

/** Calls planned ahead at most. */
const CALLS_MAX = 50_000;

export interface Expected {
  /** argv each, in the manifest's order. */
  readonly calls: readonly (readonly string[])[];
}

/** @param targets of the command line. Errors: NinjaError. */
export function expectedCalls(manifest: Manifest, targets: readonly string[], mtimeOf: MtimeOf): Expected {
  const calls: string[][] = [];
  if (manifestIsOld(manifest, mtimeOf)) return { calls };
  const ready = new Map<Node, boolean>();
  for (const edge of manifest.edgesFor(manifest.targetsFor(targets))) {
    if (calls.length >= CALLS_MAX) break;
    if (isPhony(edge) || edge.dyndep !== undefined || edge.pool.name === 'console') continue;
    if (!edge.inputs.every((input) => isSource(input, mtimeOf, ready)) || !isOld(edge, mtimeOf)) continue;
    if (responseFileOf(edge) !== undefined) continue;
    const words = plainWords(manifest.command(edge));
    if (words?.includes('-c')) calls.push(words);
  }
  return { calls };
}

/** ninja makes build.ninja itself first, and everything may be another after it. */
function manifestIsOld(manifest: Manifest, mtimeOf: MtimeOf): boolean {
  return manifest.files.some((file) => {
    const edge = manifest.nodeByPath.get(file)?.inEdge;
    return edge !== undefined && !isPhony(edge) && isOld(edge, mtimeOf);
  });
}

/** It is there, and no statement makes it; a phony name is what it stands for. */
function isSource(node: Node, mtimeOf: MtimeOf, known: Map<Node, boolean>): boolean {
  const before = known.get(node);
  if (before !== undefined) return before;
  // A cycle counts as not ready.
  known.set(node, false);
  const edge = node.inEdge;
  const result =
    edge === undefined
      ? mtimeOf(node.path) !== undefined
      : isPhony(edge) && edge.inputs.every((input) => isSource(input, mtimeOf, known));
  known.set(node, result);
  return result;
}

/** By times alone; headers and changed command lines are for ninja to see. */
function isOld(edge: Edge, mtimeOf: MtimeOf): boolean {
  let newest = 0n;
  for (const input of edge.inputs.slice(0, edge.inputs.length - edge.orderOnlyInputCount)) {
    const time = mtimeOf(input.path);
    if (time !== undefined && time > newest) newest = time;
  }
  return edge.outputs.some((output) => {
    const time = mtimeOf(output.path);
    return time === undefined || time < newest;
  });
}
