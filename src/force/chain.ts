// Thunks that only feed each other, for engines that run such in one go: each link's one dependent, when nothing else is missing there.
// A follower's result is kept with its node and used when its turn comes as always, so that memo, owners and order know nothing of chains.
import type { Follower, FollowerDone, RunDone } from '../engine/engine.ts';
import type { Placement } from '../ir/placement.ts';
import { Made } from '../engine/followers.ts';
import { reduceInputs } from '../ir/graph.ts';
import { baseName, isThunk, isValue, type ObjectName, type ObjectRef, outputRef, tagOf } from '../ir/name.ts';
import { encodeThunk, type Thunk } from '../ir/thunk.ts';
import { NO_VIA, thisMaker } from '../store/provenance.ts';
import type { Reduction } from '../store/store.ts';
import type { ForceNode } from './node.ts';

/** In one chain. Longer ones would keep a machine from which others wait for the first results. */
const CHAIN_THUNKS_MAX = 4;

export interface ChainLink {
  readonly node: ForceNode;
  readonly follower: Follower;
}

export interface ChainParts {
  /** Those who pay for the first thunk want this one too. */
  readonly isPaid: (node: ForceNode) => boolean;
  readonly isWanted: (first: ForceNode) => boolean;
  /** undefined: it cannot be read. */
  readonly thunkOf: (node: ForceNode) => Thunk | undefined;
  readonly placementOf: (thunk: ObjectName) => Placement | undefined;
  readonly valueOf: (ref: ObjectRef) => ObjectName | undefined;
  /** The thunk that made what this one makes when it was last made. */
  readonly before: (thunk: ObjectName) => Thunk | undefined;
  /** Also one whose outputs are not here. */
  readonly named: (thunk: ObjectName) => Reduction | undefined;
}

/** The one node that waits for it and for nothing else. */
export function soleDependent(node: ForceNode): ForceNode | undefined {
  const waiting = node.dependents?.filter((d) => d.state === 'waiting');
  return waiting?.length === 1 && waiting[0]!.missing === 1 ? waiting[0] : undefined;
}

/** @param name of `first` with all inputs values. */
export function chainOf(first: ForceNode, name: ObjectName, parts: ChainParts): ChainLink[] {
  const links: ChainLink[] = [];
  if (first.chain === 'unchained') return links;
  let last = first;
  let lastName = name;
  while (links.length + 1 < CHAIN_THUNKS_MAX) {
    const node = soleDependent(last);
    // Somebody stands still until the last one is there, and not for this one.
    if (!node || node.memo || (last.urgent && !node.urgent) || !parts.isPaid(node)) break;
    const placement = parts.placementOf(node.name);
    const full = parts.thunkOf(node);
    const thunk = full && halfReduced(full, last.name, lastName, parts);
    if (!placement || !thunk) break;
    const follower: Follower = {
      name: encodeThunk(thunk).name,
      thunk,
      placement,
      known: knownOf(node, thunk, parts),
      alone: last === first && !parts.isWanted(first),
    };
    links.push({ node, follower });
    last = node;
    lastName = follower.name;
  }
  return links;
}

/** What the last one makes goes by the name that one has now; everything else is a value. */
function halfReduced(
  full: Thunk,
  last: ObjectName,
  lastName: ObjectName,
  parts: ChainParts,
): Thunk | undefined {
  let whole = true;
  const thunk = reduceInputs(full, (ref) => {
    if (baseName(ref) === last) return outputRef(lastName, tagOf(ref)!) as string as ObjectName;
    const value = parts.valueOf(ref);
    whole &&= value !== undefined;
    return value ?? lastName;
  });
  return whole ? thunk : undefined;
}

/** Its name should the one before make what it made the last time, if the result of that is at hand. */
function knownOf(node: ForceNode, thunk: Thunk, parts: ChainParts): ObjectName[] {
  const before = parts.before(node.name);
  if (!before) return [];
  const inputs = thunk.inputs.map((input) => {
    if (!isThunk(input.name)) return input;
    const was = before.inputs.find((i) => i.path === input.path)?.name;
    const value =
      was === undefined || isValue(was)
        ? was
        : parts.named(baseName(was))?.outputs.find((o) => o.tag === tagOf(was))?.name;
    return { path: input.path, name: value };
  });
  if (inputs.some((i) => i.name === undefined)) return [];
  const { name } = encodeThunk({ ...thunk, inputs: inputs as Thunk['inputs'] });
  return parts.named(name) ? [name] : [];
}

/** @param engine where it ran, unless the run says that somebody else ran it. */
export function reductionOf(thunk: ObjectName, run: RunDone, engine: string): Reduction {
  const { outputs, stdout, stderr, wallMs } = run;
  const origin = run.origin ?? { maker: thisMaker(), engine, via: NO_VIA };
  return { thunk, outputs, exitCode: 0, stdout, stderr, wallMs, origin };
}

/**
 * Gives each follower's node its result, if it is that of the thunk the node stands for by now.
 * @param name of the first thunk, as the followers know it.
 * @returns how many were taken.
 */
export function takeFollowers(
  links: readonly ChainLink[],
  name: ObjectName,
  run: RunDone,
  take: (node: ForceNode, reduced: ObjectName, run: RunDone) => void,
): number {
  const also: readonly FollowerDone[] = run.also ?? [];
  if (also.length === 0) return 0;
  const made = new Made(name, run.outputs);
  for (const [i, done] of also.entries()) {
    const link = links[i];
    if (!link || done.run.exitCode !== 0) return i;
    const reduced = made.nameOf(link.follower);
    if (reduced === undefined || reduced !== done.name) return i;
    take(link.node, reduced, done.run);
    made.note(link.follower.name, done.run.outputs);
  }
  return also.length;
}
