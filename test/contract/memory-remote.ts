// The remote store contract in memory: several stores share one service, as several machines share a bucket.
import type { ObjectName } from '../../src/ir/name.ts';
import { mismatch, readSource, writeVerified } from '../../src/store/remote/blob-files.ts';
import { nameLike, type PackHints } from '../../src/store/remote/packs/packs.ts';
import { decodeReduction, encodeReduction } from '../../src/store/reductions.ts';
import {
  type BlobSource,
  type RemoteAddress,
  type RemoteCounters,
  RemoteError,
  type RemoteOptions,
  type RemoteStore,
  type RemoteUse,
} from '../../src/store/remote/remote.ts';
import type { Reduction } from '../../src/store/store.ts';

export class MemoryService {
  readonly blobs = new Map<string, Buffer>();
  readonly reductions = new Map<string, Buffer>();
}

export class MemoryRemote implements RemoteStore {
  readonly address: RemoteAddress = { kind: 's3', bucket: 'memory', prefix: 'v1', region: 'nowhere' };
  readonly counters: RemoteCounters = {
    putCount: 0,
    getCount: 0,
    listCount: 0,
    retryCount: 0,
    sentBytes: 0,
    receivedBytes: 0,
  };
  readonly #service: MemoryService;
  readonly #use: RemoteUse;
  readonly #known = new Set<string>();
  #prepared = false;

  constructor(service: MemoryService, use: RemoteUse = {}) {
    this.#service = service;
    this.#use = use;
  }

  known(name: ObjectName): boolean {
    return this.#known.has(name);
  }

  async prepare(): Promise<void> {
    if (this.#prepared) return;
    this.#prepared = true;
    this.counters.listCount++;
    for (const name of this.#service.blobs.keys()) this.#known.add(name);
  }

  async put(name: ObjectName, source: BlobSource, options: RemoteOptions = {}): Promise<void> {
    if (options.signal?.aborted) throw new RemoteError('aborted', name);
    if (this.#known.has(name)) return;
    if (this.#use.readOnly) throw new RemoteError('read-only', name);
    const bytes = Buffer.from(await readSource(name, source));
    if (this.#known.has(name)) return;
    this.counters.putCount++;
    this.counters.sentBytes += bytes.length;
    this.#service.blobs.set(name, bytes);
    this.#known.add(name);
  }

  async putAll(
    blobs: Iterable<readonly [ObjectName, () => BlobSource | undefined]>,
    options: RemoteOptions = {},
  ): Promise<void> {
    for (const [name, open] of blobs) {
      const source = this.#known.has(name) ? undefined : open();
      if (source !== undefined) await this.put(name, source, options);
    }
  }

  async get(name: ObjectName, options: RemoteOptions = {}): Promise<Buffer> {
    if (options.signal?.aborted) throw new RemoteError('aborted', name);
    this.counters.getCount++;
    const bytes = this.#service.blobs.get(name);
    if (bytes && nameLike(name, bytes) === name) {
      this.counters.receivedBytes += bytes.length;
      this.#known.add(name);
      return Buffer.from(bytes);
    }
    this.forget(name);
    throw bytes ? mismatch(name, 'memory') : new RemoteError('missing-blob', name);
  }

  async getFile(name: ObjectName, absPath: string, options?: RemoteOptions): Promise<void> {
    await writeVerified(name, absPath, [await this.get(name, options)]);
  }

  forget(name: ObjectName): void {
    this.#known.delete(name);
  }

  noteStored(name: ObjectName): void {
    this.#known.add(name);
  }

  hints(): PackHints {
    return {};
  }

  learn(): void {}

  async reduction(thunk: ObjectName): Promise<Reduction | undefined> {
    if (this.#use.trustReductions === false) return undefined;
    const bytes = this.#service.reductions.get(thunk);
    const reduction = bytes && decodeReduction(bytes, thunk);
    return reduction && this.#prepared && !reduction.outputs.every((o) => this.known(o.name))
      ? undefined
      : reduction;
  }

  async putReduction(reduction: Reduction): Promise<void> {
    if (!this.#use.readOnly) this.#service.reductions.set(reduction.thunk, encodeReduction(reduction));
  }

  async close(): Promise<void> {}
}
