// A worker: answers requests, one at a time, from the first to the end of its process. Blobs it has fetched stay in its
// directory for the next request.
import { nameValue, type ObjectName } from '../../ir/name.ts';
import { type RemoteAddress, RemoteError, type RemoteStore } from '../../store/remote/remote.ts';
import type { CacheCounters } from '../blobs/blob-cache.ts';
import { BlobError, type BlobFetcher, type BlobSink } from '../blobs/blobs.ts';
import {
  type StoredMessage,
  WORKER_PROTOCOL,
  type WorkDone,
  type WorkFailed,
  type WorkRequest,
  type WorkResponse,
} from '../messages.ts';
import { type ReadRequest, RefusedError, readRequest } from '../read-message.ts';
import type { RunItemsOptions } from '../run/run-items.ts';

/** Kept of an invocation's time for hashing, storing and answering. */
const ANSWER_MS = 2000;
/** Of the 6 MB a response may have. */
const RESPONSE_BYTES_MAX = 5.5 * 1024 * 1024;
/** Outputs that come with the answer, as base64 (run-items.ts bounds them). */
const INLINE_BYTES_MAX = 3 * 1024 * 1024;

export interface WorkerOptions {
  readonly directory: string;
  /** Tells this process from its siblings. */
  readonly instance: string;
  readonly openRemote: (address: RemoteAddress) => Promise<RemoteStore>;
  readonly runItems: (
    request: WorkRequest,
    options: RunItemsOptions,
  ) => Promise<readonly (WorkDone | WorkFailed)[]>;
  /** What the cache in `directory` holds and has counted. */
  readonly cache: () => { readonly bytes: number; readonly counters: Readonly<CacheCounters> };
}

export class Worker {
  readonly #o: WorkerOptions;
  readonly #remotes = new Map<string, Promise<RemoteStore>>();
  #served = 0;

  constructor(options: WorkerOptions) {
    this.#o = options;
  }

  #remote(address: RemoteAddress): Promise<RemoteStore> {
    const key = JSON.stringify(address);
    let remote = this.#remotes.get(key);
    if (!remote) {
      remote = this.#o.openRemote(address);
      this.#remotes.set(key, remote);
      remote.catch(() => this.#remotes.delete(key));
    }
    return remote;
  }

  /** @param remainingMs what the service gives this invocation. Never rejects for what a request can cause. */
  async serve(event: unknown, remainingMs: number): Promise<WorkResponse | StoredMessage> {
    this.#served++;
    const deadline = AbortSignal.timeout(Math.max(1, Math.floor(remainingMs - ANSWER_MS)));
    let read: ReadRequest;
    try {
      read = readRequest(await this.#unwrapped(event));
    } catch (error) {
      const reason =
        error instanceof RefusedError
          ? 'refused'
          : error instanceof RemoteError
            ? remoteReason(error)
            : undefined;
      if (reason === undefined) throw error;
      return this.#response(idOf(event), [
        { kind: 'failed', name: firstName(event), reason, detail: (error as Error).message },
      ]);
    }
    const { request } = read;
    let remote: RemoteStore;
    try {
      remote = await this.#remote(request.remote);
    } catch (error) {
      return this.#response(request.id, [
        {
          kind: 'failed',
          name: request.items[0]!.name,
          reason: 'fetch-inputs-failed',
          detail: (error as Error).message,
        },
      ]);
    }
    if (request.packs) remote.learn(request.packs);
    const blobs = new RemoteBlobs(remote, deadline);
    const before = { ...this.#o.cache().counters };
    const results = await this.#o.runItems(
      {
        ...request,
        timeoutMs: Math.max(1, Math.min(request.timeoutMs, Math.floor(remainingMs - ANSWER_MS))),
      },
      { directory: this.#o.directory, fetcher: blobs, sink: blobs, signal: deadline },
    );
    const { counters } = this.#o.cache();
    const response = this.#response(request.id, results, {
      warmBlobs: counters.warmBlobs - before.warmBlobs,
      fetchedBlobs: counters.fetchedBlobs - before.fetchedBlobs,
      fetchedBytes: counters.fetchedBytes - before.fetchedBytes,
    });
    return this.#fitting(response, request.remote, remote);
  }

  async #unwrapped(event: unknown): Promise<unknown> {
    const message = event as Partial<StoredMessage> | null;
    if (typeof message !== 'object' || message === null || message.stored === undefined) return event;
    if (message.protocol !== WORKER_PROTOCOL || message.remote === undefined)
      throw new RefusedError(`a stored request of protocol ${String(message.protocol)}`);
    const remote = await this.#remote(message.remote);
    const bytes = await remote.get(message.stored);
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch {
      throw new RefusedError(`the stored request ${message.stored} is not JSON`);
    }
  }

  #response(
    id: string,
    results: WorkResponse['results'],
    moved = { warmBlobs: 0, fetchedBlobs: 0, fetchedBytes: 0 },
  ): WorkResponse {
    return {
      protocol: WORKER_PROTOCOL,
      id,
      results,
      worker: {
        instance: this.#o.instance,
        served: this.#served,
        cacheBytes: this.#o.cache().bytes,
        ...moved,
        memoryMaxBytes: process.resourceUsage().maxRSS * 1024,
      },
    };
  }

  async #fitting(
    response: WorkResponse,
    address: RemoteAddress,
    remote: RemoteStore,
  ): Promise<WorkResponse | StoredMessage> {
    const printed = response.results.reduce(
      (sum, r) =>
        sum + (r.kind === 'done' ? r.stdout.length + r.stderr.length + r.undeclaredMisses.length * 100 : 0),
      0,
    );
    // Inlined outputs are bounded by themselves; only what tools print can make an answer large.
    if (printed < RESPONSE_BYTES_MAX - INLINE_BYTES_MAX) return response;
    const bytes = Buffer.from(JSON.stringify(response));
    if (bytes.length < RESPONSE_BYTES_MAX) return response;
    const stored = nameValue(bytes);
    try {
      await remote.put(stored, bytes);
    } catch (error) {
      const last = response.results.at(-1)!;
      return this.#response(response.id, [
        {
          kind: 'failed',
          name: last.name,
          reason: 'upload-outputs-failed',
          detail: (error as Error).message,
        },
      ]);
    }
    return { protocol: WORKER_PROTOCOL, stored, remote: address };
  }
}

function remoteReason(error: RemoteError): 'missing-blob' | 'digest-mismatch' | 'fetch-inputs-failed' {
  if (error.reason === 'missing-blob' || error.reason === 'digest-mismatch') return error.reason;
  return 'fetch-inputs-failed';
}

const idOf = (event: unknown): string => {
  const id = (event as { id?: unknown } | null)?.id;
  return typeof id === 'string' ? id : '';
};

const firstName = (event: unknown): ObjectName => {
  const items = (event as { items?: unknown } | null)?.items;
  const name = Array.isArray(items) ? (items[0] as { name?: unknown } | null)?.name : undefined;
  return (typeof name === 'string' ? name : '') as ObjectName;
};

/** A request's way to its blobs: the remote store, with its errors in the worker's words. */
class RemoteBlobs implements BlobFetcher, BlobSink {
  readonly #remote: RemoteStore;
  readonly #signal: AbortSignal;

  constructor(remote: RemoteStore, signal: AbortSignal) {
    this.#remote = remote;
    this.#signal = signal;
  }

  async fetch(name: ObjectName, absPath: string): Promise<void> {
    await this.#call(name, () => this.#remote.getFile(name, absPath, { signal: this.#signal }));
  }

  async put(name: ObjectName, absPath: string): Promise<void> {
    await this.#call(name, () => this.#remote.put(name, { absPath }, { signal: this.#signal }));
  }

  async #call(name: ObjectName, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      const reason =
        error.reason === 'missing-blob' || error.reason === 'digest-mismatch'
          ? error.reason
          : 'connection-lost';
      throw new BlobError(reason, `${name}: ${error.message}`, { cause: error });
    }
  }
}
