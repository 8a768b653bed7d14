// What a client sends a worker and what comes back. JSON; both sides refuse what they do not know.
import type { ObjectName } from '../ir/name.ts';
import type { PackHints } from '../store/remote/packs/packs.ts';
import type { RemoteAddress } from '../store/remote/remote.ts';

export const WORKER_PROTOCOL = 2;

/** One thunk of a chain. */
export interface WorkItem {
  readonly name: ObjectName;
  /** Canonical bytes (ir/thunk.ts) as text; their hash must be `name`. Inputs are values, or outputs of items before. */
  readonly thunk: string;
  /** Absolute path of the tool within the toolchain. */
  readonly realTool: string;
  /** Absolute; where the tool believes to be. */
  readonly cwd: string;
  readonly pwd: string;
  readonly searchPath: string;
  /** The manifest of its tool where that is not the request's: ranlib after ar. */
  readonly toolchain?: ObjectName;
  /** Nobody but later items needs its outputs: they are kept here, or stored for others and not sent, unless the chain ends early. */
  readonly internal?: 'kept' | 'stored';
  /** Names it may turn out to have, with its inputs all values, whose results are at hand: then the chain ends before it. */
  readonly known?: readonly ObjectName[];
}

export interface WorkRequest {
  readonly protocol: typeof WORKER_PROTOCOL;
  /** For logs and for pairing a late answer with its twin. */
  readonly id: string;
  /** Value name of the toolchain's manifest (toolchain/manifest.ts). */
  readonly toolchain: ObjectName;
  readonly remote: RemoteAddress;
  /**
   * Where inputs lie that are in packs (RemoteStore.hints of them all); the worker hands it to RemoteStore.learn before it
   * fetches, and asks for all it lacks at once, so that neighbours in a pack come in one request. Absent: none are in packs.
   */
  readonly packs?: PackHints;
  /** In order; each may use outputs of those before it. */
  readonly items: readonly WorkItem[];
  /** Small blobs that travel with the request instead of through the backend: name -> base64. */
  readonly inline: Readonly<Record<string, string>>;
  /** Outputs up to this size come back inline, as long as the whole answer fits. */
  readonly inlineBytesMax: number;
  /** Milliseconds a tool may run. */
  readonly timeoutMs: number;
}

export interface WorkOutput {
  readonly tag: string;
  readonly name: ObjectName;
  /** base64; absent when it went to the backend or is withheld. */
  readonly inline?: string;
  /** Of an internal item: the bytes are not for the client. */
  readonly withheld?: true;
}

export interface WorkTimings {
  /** Milliseconds spent fetching inputs, laying out the root, running, hashing and storing. */
  readonly fetchMs: number;
  readonly layoutMs: number;
  readonly runMs: number;
  readonly storeMs: number;
  /** User + system milliseconds of the tool. */
  readonly cpuMs: number;
  /** Largest resident set of one of the tool's processes. */
  readonly memoryMaxBytes?: number;
}

export interface WorkDone {
  readonly kind: 'done';
  readonly name: ObjectName;
  readonly exitCode: number;
  /** base64 */
  readonly stdout: string;
  readonly stderr: string;
  readonly outputs: readonly WorkOutput[];
  /**
   * Names the tool looked up in vain (absolute, original paths) that the thunk does not list as absent and that lie outside
   * the toolchain. When one of them is a file where the thunk was made, the result is not to be used. Directories do not
   * count: one without inputs in it is not there on a worker.
   */
  readonly undeclaredMisses: readonly string[];
  readonly timings: WorkTimings;
}

export type WorkFailedReason =
  | 'signal'
  | 'timeout'
  | 'start-failed'
  | 'missing-blob'
  | 'digest-mismatch'
  | 'output-missing'
  | 'fetch-inputs-failed'
  | 'upload-outputs-failed'
  /** It needs a file that the request's part of the toolchain lacks. */
  | 'toolchain-part'
  | 'refused';

export interface WorkFailed {
  readonly kind: 'failed';
  readonly name: ObjectName;
  readonly reason: WorkFailedReason;
  /** One line; names the file, blob or path it is about. */
  readonly detail: string;
}

export interface WorkResponse {
  readonly protocol: typeof WORKER_PROTOCOL;
  readonly id: string;
  /** One per item, in order; it ends with the first that failed or exited other than 0, or before one that is known. */
  readonly results: readonly (WorkDone | WorkFailed)[];
  /** This worker's: which it is, how many requests it has served, what its cache holds. */
  readonly worker: {
    readonly instance: string;
    readonly served: number;
    readonly cacheBytes: number;
    readonly warmBlobs: number;
    readonly fetchedBlobs: number;
    readonly fetchedBytes: number;
    readonly memoryMaxBytes: number;
  };
}

/** A message too large for the way it travels: the blob holds it as JSON. Takes the place of a request or a response. */
export interface StoredMessage {
  readonly protocol: typeof WORKER_PROTOCOL;
  readonly stored: ObjectName;
  readonly remote: RemoteAddress;
}
