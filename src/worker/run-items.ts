// Runs a request's thunks, one after the other, below roots of their own.
import type { BlobFetcher, BlobSink } from './blobs.ts';
import type { WorkDone, WorkFailed, WorkRequest } from './messages.ts';

export interface RunItemsOptions {
  /** The worker's cache directory; bounded in bytes. Nothing is written elsewhere. */
  readonly directory: string;
  readonly fetcher: BlobFetcher;
  readonly sink: BlobSink;
  readonly signal: AbortSignal;
}

/** @returns one result per item, in order, ending with the first that failed or exited other than 0. Never rejects. */
export async function runItems(
  request: WorkRequest,
  options: RunItemsOptions,
): Promise<readonly (WorkDone | WorkFailed)[]> {
  options.signal.throwIfAborted();
  return request.items.slice(0, 1).map((item) => ({
    kind: 'failed',
    name: item.name,
    reason: 'refused',
    detail: 'this worker cannot run anything yet',
  }));
}
