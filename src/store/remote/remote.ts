// The remote backend contract: blobs and reductions that other machines see too. Everything that comes from one is verified
// against its name before it is used.
import type { ObjectName } from '../../ir/name.ts';
import type { PackHints } from './packs/packs.ts';
import type { Reduction } from '../store.ts';

/** Where a worker finds the backend; travels in requests and holds no secret. */
export type RemoteAddress =
  | {
      readonly kind: 's3';
      readonly bucket: string;
      /** Versioned prefix of all keys, without a trailing slash. */
      readonly prefix: string;
      readonly region: string;
      /** Absent: AWS itself. */
      readonly endpoint?: string;
    }
  | { readonly kind: 'redis'; readonly url: string; readonly prefix: string };

export type RemoteErrorReason =
  | 'throttled'
  | 'connection-lost'
  | 'timeout'
  | 'no-credentials'
  | 'denied'
  | 'no-such-bucket'
  | 'missing-blob'
  | 'digest-mismatch'
  | 'read-only'
  | 'aborted'
  | 'invoke-error';

/** A remote call that failed for good, after its retries. `detail` names the action and the resource. */
export class RemoteError extends Error {
  readonly reason: RemoteErrorReason;
  constructor(reason: RemoteErrorReason, detail: string, options?: { readonly cause?: unknown }) {
    super(detail, options);
    this.name = 'RemoteError';
    this.reason = reason;
  }
}

/** What was moved and what it took; all counts since the start. */
export interface RemoteCounters {
  putCount: number;
  getCount: number;
  listCount: number;
  retryCount: number;
  sentBytes: number;
  receivedBytes: number;
}

/** Bytes in memory, or a file of ours to be streamed. */
export type BlobSource = Uint8Array | { readonly absPath: string };

export interface RemoteOptions {
  /** When it fires, the call rejects with `aborted`. */
  readonly signal?: AbortSignal;
}

/** How a backend is to be used, whatever its kind. */
export interface RemoteUse {
  /**
   * For those who may only read: `put` and `putAll` reject with `read-only` when a blob is not there already;
   * `putReduction` does nothing, since nobody waits for it.
   */
  readonly readOnly?: boolean;
  /**
   * False where writers are not trusted: `reduction` then always answers undefined. Blobs need no trust, their names prove
   * them; a reduction is a claim. Default true.
   */
  readonly trustReductions?: boolean;
}

/** All methods reject with RemoteError only, but for getFile, which also knows the file system's errors. */
export interface RemoteStore {
  readonly address: RemoteAddress;
  readonly counters: Readonly<RemoteCounters>;
  /** Known to be there: listed once, put or read by this process. Never asks the service per name. */
  known(name: ObjectName): boolean;
  /** Learns what is there with one listing; later calls return at once. */
  prepare(options?: RemoteOptions): Promise<void>;
  /** Stores one blob under its name. Known ones are not sent again. @throws RemoteError `digest-mismatch` when the source is not it. */
  put(name: ObjectName, source: BlobSource, options?: RemoteOptions): Promise<void>;
  /**
   * Stores many; bounded in parallel, small ones packed into few requests. A source is asked for when its turn comes, and only
   * when its blob is not known; undefined passes it over. Rejects with the first error, after what was under way has ended.
   * What went into packs is found by those who `prepare` afterwards or get hints, by nobody else: a worker that sends no
   * hints back stores its outputs with `put`.
   */
  putAll(
    blobs: Iterable<readonly [ObjectName, () => BlobSource | undefined]>,
    options?: RemoteOptions,
  ): Promise<void>;
  /** Verified bytes. @throws RemoteError `missing-blob`, `digest-mismatch`. */
  get(name: ObjectName, options?: RemoteOptions): Promise<Buffer>;
  /** Streams a verified blob into a new file (mode 0444), which appears when it is complete; nothing is left on an error. */
  getFile(name: ObjectName, absPath: string, options?: RemoteOptions): Promise<void>;
  /**
   * A blob turned out lost or damaged: forget that it is there, so that it is put again. What is left of it is removed in the
   * background where that is allowed, lest the conditional puts of others take it for the blob. `get` and `getFile` do this
   * themselves with what they find damaged.
   */
  forget(name: ObjectName): void;
  /** Somebody else (a worker) says it has stored this blob, by itself. */
  noteStored(name: ObjectName): void;
  /** Where those of `names` lie that are in packs, for a process that has listed nothing; empty when none are. */
  hints(names: Iterable<ObjectName>): PackHints;
  /** Takes over hints of another process. They cost nothing when they are wrong: a blob that is not there is looked for under its own name. */
  learn(hints: PackHints): void;
  /**
   * undefined when there is none, it is damaged, it is not to be trusted, or (after `prepare`) one of its outputs is not
   * known to be there.
   */
  reduction(thunk: ObjectName, options?: RemoteOptions): Promise<Reduction | undefined>;
  /** Its outputs must have been stored before. */
  putReduction(reduction: Reduction, options?: RemoteOptions): Promise<void>;
  close(): Promise<void>;
}
