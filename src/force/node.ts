// One thunk on its way to values: its states and the only function that changes them.
import type { OutputValue, RunDone, RunFailed } from '../engine/engine.ts';
import type { Placement } from '../ir/placement.ts';
import type { ObjectName } from '../ir/name.ts';
import type { Thunk } from '../ir/thunk.ts';
import type { Via } from '../store/provenance.ts';
import type { Reduction } from '../store/store.ts';
import { unreachable } from '../base/unreachable.ts';

export type NodeState =
  /** needs other thunks first */
  'waiting' | 'ready' | 'running' | 'done' | 'failed' | 'cancelled';

export type NodeEvent = 'inputs-ready' | 'start' | 'reduced' | 'fail' | 'cancel' | 'again';

/** @throws when the step makes no sense: a bug. */
export function transition(state: NodeState, event: NodeEvent): NodeState {
  switch (event) {
    case 'inputs-ready':
      if (state === 'waiting') return 'ready';
      break;
    case 'start':
      if (state === 'ready') return 'running';
      break;
    case 'reduced':
      if (state === 'running' || state === 'waiting') return 'done';
      break;
    case 'fail':
      if (state === 'running' || state === 'waiting') return 'failed';
      break;
    case 'cancel':
      if (state === 'waiting' || state === 'ready' || state === 'running') return 'cancelled';
      break;
    case 'again':
      if (state === 'running') return 'ready';
      break;
    default:
      unreachable(event);
  }
  throw new Error(`a thunk cannot go from ${state} by ${event}`);
}

export type Failure =
  | { readonly kind: 'tool'; readonly run: RunDone }
  | { readonly kind: 'engine'; readonly run: RunFailed }
  | { readonly kind: 'dependency'; readonly on: ObjectName };

/** Where outputs are known by name only. */
export type ChainState =
  /** nobody has asked for it yet, so it does not run */
  | 'parked'
  /** done; who wants the bytes runs it again */
  | 'hollow'
  /** somebody wants its outputs who was not there when it ran in a chain: it runs without one */
  | 'unchained';

export interface MemoFound extends Reduction {
  /** It ran in one go with the one before it: CPU milliseconds. */
  readonly aheadCpuMs?: number;
}

/** The nodes of builds that take the same from others; what one of them knows the others may use. */
export interface Peers {
  readonly believes: (via: readonly Via[]) => boolean;
  readonly nodes: Map<ObjectName, ForceNode>;
  /** Nodes whose reduced form is being run by another node. */
  readonly running: Map<ObjectName, ForceNode[]>;
}

export interface ForceNode {
  readonly name: ObjectName;
  state: NodeState;
  /** Kept for a bounded number of nodes; read from the store again when the node starts. */
  thunk: Thunk | undefined;
  /** The thunks it needs, each once; empty when it is at its end. */
  deps: readonly ObjectName[];
  placement: Placement | undefined;
  /** How long it is expected to take, in any unit; the longest ready one goes first. 0: nothing is known. */
  weight: number;
  /** Dependencies not yet done. */
  missing: number;
  dependents: ForceNode[] | undefined;
  /** Sessions that asked for it; who hears of it. Shared between nodes: replaced, never changed. */
  owners: ReadonlySet<string>;
  /** Somebody waits in the middle of a build. */
  urgent: boolean;
  /** Its values; one or two, so a list is shorter than a map. */
  outputs: readonly OutputValue[] | undefined;
  /** For sessions that ask later: what the tool printed. */
  stdout: Buffer;
  stderr: Buffer;
  wallMs: number;
  failure: Failure | undefined;
  waiters: ((node: ForceNode) => void)[] | undefined;
  tries: number;
  /** The host is writing its artifacts back. */
  settling: Promise<void> | undefined;
  /** Found when it was loaded, or come along with the one before it; used up when it is ready. */
  memo: MemoFound | undefined;
  chain: ChainState | undefined;
  loadError: string | undefined;
  /** The shared stores by which its values came, or what they were made of. */
  via: readonly Via[];
  readonly peers: Peers;
  /** It came to its values without a run. */
  memoHit: boolean | undefined;
}

/** What one output of a node became; undefined while nothing is known of it. */
export function outputOf(node: ForceNode | undefined, tag: string | undefined): ObjectName | undefined {
  return node?.outputs?.find((output) => output.tag === tag)?.name;
}
