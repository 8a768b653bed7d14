// The store contract: blobs under their names, and what thunks became.
import type { ObjectName } from '../ir/name.ts';
import type { Origin, Signature } from './provenance.ts';

/** The record thunk -> outputs. Format: see reductions.ts. */
export interface Reduction {
  readonly thunk: ObjectName;
  readonly outputs: readonly { readonly tag: string; readonly name: ObjectName }[];
  /** Always 0: failures are not remembered. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** What the run cost, for time-left estimates. */
  readonly wallMs: number;
  /** Undefined: the record does not say. */
  readonly origin?: Origin | undefined;
  /** Of a record in a shared store. */
  readonly signature?: Signature | undefined;
}

export interface Store {
  has(name: ObjectName): boolean;
  /** Stores bytes under their name; does nothing when they are there. */
  put(bytes: Uint8Array, type: 'V' | 'T'): ObjectName;
  /** Moves (same file system) or copies a finished file in. The file is gone afterwards. */
  putFile(absPath: string): ObjectName;
  /** Verified bytes. @returns undefined when missing; a blob whose bytes do not fit its name is removed and counts as missing. */
  get(name: ObjectName): Buffer | undefined;
  /** As `get`, without bytes of their own: they are the next caller's when `use` returns. */
  read<T>(name: ObjectName, use: (bytes: Buffer) => T): T | undefined;
  /** Path of the blob's file, verified whenever it is another file than the one verified last; undefined when missing. Readers must not write to it. */
  path(name: ObjectName): string | undefined;
  /** `names`: also one whose outputs are not here. */
  reduction(thunk: ObjectName, wants?: 'names'): Reduction | undefined;
  putReduction(reduction: Reduction): void;
}
