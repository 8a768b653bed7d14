// Where a worker's blobs come from and go to. Behind it: the remote store in the cloud, a directory in tests.
import type { ObjectName } from '../../ir/name.ts';

export type BlobErrorReason = 'missing-blob' | 'digest-mismatch' | 'connection-lost';

/** A blob that could not be had or kept. `detail` names it. */
export class BlobError extends Error {
  override readonly name = 'BlobError';
  readonly reason: BlobErrorReason;
  constructor(reason: BlobErrorReason, detail: string, options?: { readonly cause?: unknown }) {
    super(detail, options);
    this.reason = reason;
  }
}

export interface BlobFetcher {
  /** Writes the blob into a new file at `absPath`, verified against its name. @throws with `reason` as BlobErrorReason */
  fetch(name: ObjectName, absPath: string): Promise<void>;
  /** Bytes that travel for it; without this, those of the blob. */
  travelBytes?(name: ObjectName): number;
}

export interface BlobSink {
  /** Keeps the bytes of the file under this name; the file stays where it is and is not changed meanwhile. */
  put(name: ObjectName, absPath: string): Promise<void>;
}
