// Blobs and reductions in Redis, for clusters that have one.
//
// Keys, below the address's prefix (which ends in the version of this layout):
//   PREFIX:cas:NAME          a blob up to CHUNK_BYTES; of larger ones "gg-chunks 1 COUNT", written last
//   PREFIX:cas:NAME:INDEX    pieces of CHUNK_BYTES
//   PREFIX:reductions:NAME   what a thunk became (reductions.ts)
//
// Commands are pipelined, so small blobs need no packs. A server that evicts, or a time to live, makes blobs go missing one by
// one; that is what `missing-blob` is for.
import { type ObjectName, parseRef, sizeOf } from '../../../ir/name.ts';
import { inOrder, mismatch, readPieces, readSource, writeVerified } from '../blob-files.ts';
import { Budget } from '../gate.ts';
import { fingerprint, nameLike, type PackHints } from '../packs/packs.ts';
import { type RedisAddress, RedisWire, type RedisWireOptions } from './redis-wire.ts';
import { decodeReduction, encodeReduction, REDUCTION_BYTES_MAX } from '../../reductions.ts';
import {
  type BlobSource,
  type RemoteCounters,
  RemoteError,
  type RemoteOptions,
  type RemoteStore,
  type RemoteUse,
} from '../remote.ts';
import type { Reduction } from '../../store.ts';
import { Whereabouts } from '../whereabouts.ts';

export interface RedisStoreOptions extends RedisWireOptions, RemoteUse {
  /** Blobs and reductions nobody read or wrote for so long go away. Absent: they stay. */
  readonly ttlSeconds?: number;
}

/** One command's payload; while it is carried out nobody else is served. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const CHUNKS_AHEAD_MAX = 4;
const PUTS_AHEAD_MAX = 64;
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;
const CHUNKS_HEAD = 'gg-chunks 1 ';
/** With the number of chunks. */
const CHUNKS_HEAD_BYTES_MAX = 64;

export class RedisStore implements RemoteStore {
  readonly address: RedisAddress;
  readonly #wire: RedisWire;
  readonly #options: RedisStoreOptions;
  readonly #blobs = new Whereabouts();
  readonly #puts = new Map<ObjectName, Promise<void>>();
  /** Removals of damaged values under way. */
  readonly #removals = new Map<ObjectName, Promise<void>>();
  readonly #memory = new Budget(MEMORY_BYTES_MAX);
  #reduced: Set<number> | undefined;
  #prepared: Promise<void> | undefined;

  constructor(address: RedisAddress, options: RedisStoreOptions = {}) {
    this.address = address;
    this.#options = options;
    this.#wire = new RedisWire(address, options);
  }

  get counters(): Readonly<RemoteCounters> {
    return this.#wire.counters;
  }

  #key(kind: 'cas' | 'reductions', name: string): string {
    return `${this.address.prefix}:${kind}:${name}`;
  }

  /** Read-only users must not even touch a time to live. */
  get #readTtl(): number | undefined {
    return this.#options.readOnly ? undefined : this.#options.ttlSeconds;
  }

  known(name: ObjectName): boolean {
    return this.#blobs.known(name);
  }

  prepare(options: RemoteOptions = {}): Promise<void> {
    this.#prepared ??= this.#list(options.signal).catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  async #list(signal: AbortSignal | undefined): Promise<void> {
    const [blobs, reductions] = [this.#key('cas', ''), this.#key('reductions', '')];
    const reduced = new Set<number>();
    await this.#wire.scan(
      `${this.address.prefix}:`,
      (key) => {
        const kind = [blobs, reductions].find((k) => key.startsWith(k));
        if (kind === undefined || !parseRef(key.slice(kind.length))) return;
        if (kind === blobs) this.#blobs.noteSingle(key.slice(kind.length));
        else reduced.add(fingerprint(key.slice(kind.length)));
      },
      signal,
    );
    this.#reduced = reduced;
  }

  put(name: ObjectName, source: BlobSource, options: RemoteOptions = {}): Promise<void> {
    if (this.known(name)) return Promise.resolve();
    const under = this.#puts.get(name);
    if (under) return under;
    const promise = this.#putNew(name, source, options.signal).finally(() => this.#puts.delete(name));
    this.#puts.set(name, promise);
    return promise;
  }

  async #putNew(name: ObjectName, source: BlobSource, signal: AbortSignal | undefined): Promise<void> {
    if (this.#options.readOnly)
      throw new RemoteError('read-only', `${this.address.url} is used read-only; ${name} is not in it`);
    // A removal that came late would take the new value with it.
    await this.#removals.get(name);
    const options = {
      ifAbsent: !this.#blobs.isForgotten(name),
      ttlSeconds: this.#options.ttlSeconds,
      signal,
    };
    const sizeBytes = sizeOf(name);
    const inChunks = sizeBytes > CHUNK_BYTES;
    await this.#memory.run(inChunks ? CHUNKS_AHEAD_MAX * CHUNK_BYTES : sizeBytes, async () => {
      if (inChunks) await this.#putChunks(name, source, options);
      else await this.#wire.set(this.#key('cas', name), await readSource(name, source), options);
    });
    this.#blobs.noteStored(name);
  }

  async #putChunks(
    name: ObjectName,
    source: BlobSource,
    options: {
      readonly ifAbsent: boolean;
      readonly ttlSeconds: number | undefined;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void> {
    const key = this.#key('cas', name);
    const count = Math.ceil(sizeOf(name) / CHUNK_BYTES);
    let index = 0;
    // Pieces are not written conditionally: those of a name are always the same, and one may have been evicted.
    for await (const piece of readPieces(name, source, CHUNK_BYTES))
      await this.#wire.set(`${key}:${index++}`, piece, { ...options, ifAbsent: false });
    await this.#wire.set(key, Buffer.from(`${CHUNKS_HEAD}${count}`), options);
  }

  async putAll(
    blobs: Iterable<readonly [ObjectName, () => BlobSource | undefined]>,
    options: RemoteOptions = {},
  ): Promise<void> {
    const under = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    for (const [name, open] of blobs) {
      if (failure) break;
      if (this.known(name)) continue;
      let work = this.#puts.get(name);
      if (!work) {
        const source = open();
        if (source === undefined) continue;
        work = this.put(name, source, options);
      }
      const watched = work
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => under.delete(watched));
      under.add(watched);
      while (under.size >= PUTS_AHEAD_MAX) await Promise.race(under);
    }
    await Promise.all(under);
    if (failure) throw failure.error;
  }

  async get(name: ObjectName, options: RemoteOptions = {}): Promise<Buffer> {
    return this.#found(name, async () => {
      const pieces: Buffer[] = [];
      for await (const piece of this.#pieces(name, options.signal)) pieces.push(piece);
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      if (nameLike(name, bytes) !== name) throw mismatch(name, this.#key('cas', name));
      return bytes;
    });
  }

  async getFile(name: ObjectName, absPath: string, options: RemoteOptions = {}): Promise<void> {
    await this.#memory.run(Math.min(sizeOf(name), CHUNKS_AHEAD_MAX * CHUNK_BYTES), () =>
      this.#found(name, () => writeVerified(name, absPath, this.#pieces(name, options.signal))),
    );
  }

  /** Notes what a read found. */
  async #found<T>(name: ObjectName, read: () => Promise<T>): Promise<T> {
    try {
      const result = await read();
      this.#blobs.noteSingle(name);
      return result;
    } catch (error) {
      if (
        error instanceof RemoteError &&
        (error.reason === 'missing-blob' || error.reason === 'digest-mismatch')
      ) {
        this.forget(name);
        await this.#removals.get(name);
      }
      throw error;
    }
  }

  /** Unverified bytes in order. @throws RemoteError `missing-blob`. */
  async *#pieces(name: ObjectName, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const key = this.#key('cas', name);
    const read = async (k: string, sizeMax: number): Promise<Buffer> => {
      const bytes = await this.#wire.get(k, { sizeMax, ttlSeconds: this.#readTtl, signal });
      if (!bytes) throw new RemoteError('missing-blob', `${k} is not in ${this.address.url}`);
      return bytes;
    };
    const sizeBytes = sizeOf(name);
    const count = Math.ceil(sizeBytes / CHUNK_BYTES);
    const first = await read(key, sizeBytes <= CHUNK_BYTES ? sizeBytes : CHUNKS_HEAD_BYTES_MAX);
    if (sizeBytes <= CHUNK_BYTES) {
      yield first;
      return;
    }
    if (first.toString('latin1') !== `${CHUNKS_HEAD}${count}`) throw mismatch(name, key);
    yield* inOrder(count, CHUNKS_AHEAD_MAX, (i) =>
      read(`${key}:${i}`, Math.min(CHUNK_BYTES, sizeBytes - i * CHUNK_BYTES)),
    );
  }

  forget(name: ObjectName): void {
    this.#blobs.forget(name);
    if (this.#options.readOnly || this.#removals.has(name)) return;
    const removal = this.#wire
      .delete(this.#key('cas', name))
      .catch((error: unknown) => {
        // Those who may not remove values still overwrite with their own put.
        if (!(error instanceof RemoteError)) throw error;
      })
      .finally(() => this.#removals.delete(name));
    this.#removals.set(name, removal);
  }

  noteStored(name: ObjectName): void {
    this.#blobs.noteStored(name);
  }

  hints(): PackHints {
    return {};
  }

  learn(): void {}

  async reduction(thunk: ObjectName, options: RemoteOptions = {}): Promise<Reduction | undefined> {
    if (this.#options.trustReductions === false) return undefined;
    if (this.#reduced && !this.#reduced.has(fingerprint(thunk))) return undefined;
    const bytes = await this.#wire
      .get(this.#key('reductions', thunk), {
        sizeMax: REDUCTION_BYTES_MAX,
        ttlSeconds: this.#readTtl,
        signal: options.signal,
      })
      .catch((error: unknown) => {
        if (error instanceof RemoteError && error.reason === 'digest-mismatch') return undefined;
        throw error;
      });
    const reduction = bytes && decodeReduction(bytes, thunk);
    if (!reduction) this.#reduced?.delete(fingerprint(thunk));
    return reduction && this.#reduced && !reduction.outputs.every((o) => this.known(o.name))
      ? undefined
      : reduction;
  }

  async putReduction(reduction: Reduction, options: RemoteOptions = {}): Promise<void> {
    if (this.#options.readOnly) return;
    const bytes = encodeReduction(reduction);
    if (bytes.length > REDUCTION_BYTES_MAX) return;
    await this.#wire.set(this.#key('reductions', reduction.thunk), bytes, {
      ifAbsent: false,
      ttlSeconds: this.#options.ttlSeconds,
      signal: options.signal,
    });
    this.#reduced?.add(fingerprint(reduction.thunk));
  }

  async close(): Promise<void> {
    await Promise.all(this.#removals.values());
    await this.#wire.close();
  }
}
