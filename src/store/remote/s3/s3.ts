// Blobs and reductions in an S3 bucket, or in anything that speaks S3.
//
// Keys, below the address's prefix (which ends in the version of this layout):
//   cas/NAME           a blob
//   packs/PACK         many small blobs (packs.ts)
//   indexes/PACK       head and index of a pack; indexes/MERGED of many
//   reductions/NAME    what a thunk became (reductions.ts)
//
// Blobs are put under the condition that nothing is there; who finds something there has nothing left to do. After a blob
// turned out damaged or lost it is put without the condition, by itself, and that object wins over any pack. A damaged object
// is removed as well, where that is allowed: it would make the puts of those who do not know believe they have been served.
import { createHash } from 'node:crypto';
import { type ObjectName, parseRef, sizeOf } from '../../../ir/name.ts';
import { inOrder, mismatch, readSource, writeVerified } from '../blob-files.ts';
import { Budget } from '../gate.ts';
import { PackReads } from '../packs/pack-reads.ts';
import { type NamedBlob, Packer } from '../packs/packer.ts';
import {
  fingerprint,
  makePack,
  nameLike,
  PACK_BLOB_BYTES_MAX,
  PACK_BLOBS_MIN,
  PACK_BYTES_MAX,
  type PackHints,
  type PackPlace,
  readIndex,
} from '../packs/packs.ts';
import { decodeReduction, encodeReduction, REDUCTION_BYTES_MAX } from '../../reductions.ts';
import {
  type BlobSource,
  type RemoteCounters,
  RemoteError,
  type RemoteOptions,
  type RemoteStore,
  type RemoteUse,
} from '../remote.ts';
import { abortable } from '../retry.ts';
import { S3Indexes } from './s3-indexes.ts';
import { listNames } from './s3-listing.ts';
import { PART_BYTES, PARTS_AHEAD_MAX, putParts } from './s3-parts.ts';
import { type S3Address, S3Wire, type S3WireOptions } from './s3-wire.ts';
import type { Reduction } from '../../store.ts';
import { Whereabouts } from '../whereabouts.ts';

export type S3StoreOptions = S3WireOptions & RemoteUse;

/** Larger blobs go up in parts. */
const MULTIPART_ABOVE_BYTES = 16 * 1024 * 1024;
/** Larger blobs come down in ranges, each retried by itself. */
const RANGE_BYTES = 8 * 1024 * 1024;
const RANGES_AHEAD_MAX = 4;
/** A blob that came damaged is read once more: it may have been damaged on the way. */
const READS_MAX = 2;
/** Blobs and packs of one putAll under way at a time. */
const PUTS_AHEAD_MAX = 32;
/** Bytes of blobs being sent or received at a time, besides what callers hold. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

export class S3Store implements RemoteStore {
  readonly address: S3Address;
  readonly #wire: S3Wire;
  readonly #use: RemoteUse;
  readonly #blobs = new Whereabouts();
  readonly #puts = new Map<ObjectName, Promise<void>>();
  /** Removals of damaged objects under way. */
  readonly #removals = new Map<ObjectName, Promise<void>>();
  readonly #packReads: PackReads;
  readonly #packer = new Packer((blobs) => this.#sendSmall(blobs));
  readonly #memory = new Budget(MEMORY_BYTES_MAX);
  /** Fingerprints of thunks with a reduction; undefined before `prepare`. */
  #reduced: Set<number> | undefined;
  #prepared: Promise<void> | undefined;
  #merging: Promise<void> | undefined;

  constructor(address: S3Address, options: S3StoreOptions = {}) {
    this.address = address;
    this.#use = options;
    this.#wire = new S3Wire(address, options);
    this.#packReads = new PackReads((pack, start, end) =>
      this.#wire.get(this.#key('packs', pack), { sizeMax: end - start, range: [start, end] }),
    );
  }

  get counters(): Readonly<RemoteCounters> {
    return this.#wire.counters;
  }

  #key(kind: 'cas' | 'packs' | 'indexes' | 'reductions', name: string): string {
    return `${this.address.prefix}/${kind}/${name}`;
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
    const reduced = new Set<number>();
    const indexes: string[] = [];
    const noteBlob = (name: string): void => {
      if (parseRef(name)) this.#blobs.noteSingle(name);
    };
    const noteReduction = (name: string): void => {
      if (parseRef(name)) reduced.add(fingerprint(name));
    };
    await Promise.all([
      listNames(this.#wire, this.#key('cas', ''), ['T', 'V'], noteBlob, signal),
      listNames(this.#wire, this.#key('reductions', ''), ['T'], noteReduction, signal),
      listNames(this.#wire, this.#key('indexes', ''), ['M', 'P'], (name) => indexes.push(name), signal),
    ]);
    const afterwards = await new S3Indexes(this.#wire, this.#key('indexes', '')).learn(
      indexes,
      (name, place) => this.#blobs.notePacked(name, place),
      signal,
    );
    this.#reduced = reduced;
    if (afterwards && !this.#use.readOnly) this.#merging = afterwards();
  }

  /** @throws RemoteError `read-only`. */
  #mayPut(name: string): void {
    if (this.#use.readOnly)
      throw new RemoteError(
        'read-only',
        `s3://${this.address.bucket} is used read-only; ${name} is not in it`,
      );
  }

  put(name: ObjectName, source: BlobSource, options: RemoteOptions = {}): Promise<void> {
    if (this.known(name)) return Promise.resolve();
    const under = this.#puts.get(name);
    if (under) return under;
    const promise = this.#putSingle(name, source, options.signal).finally(() => this.#puts.delete(name));
    this.#puts.set(name, promise);
    return promise;
  }

  async #putSingle(name: ObjectName, source: BlobSource, signal: AbortSignal | undefined): Promise<void> {
    this.#mayPut(name);
    // A removal that came late would take the new object with it.
    await this.#removals.get(name);
    const ifAbsent = !this.#blobs.isForgotten(name);
    const key = this.#key('cas', name);
    const sizeBytes = sizeOf(name);
    const inParts = sizeBytes > MULTIPART_ABOVE_BYTES;
    await this.#memory.run(inParts ? PARTS_AHEAD_MAX * PART_BYTES : sizeBytes, async () => {
      if (inParts) await putParts(this.#wire, key, name, source, { ifAbsent, signal });
      else {
        const bytes = await readSource(name, source);
        await this.#wire.put(key, bytes, { sha256: name.slice(1, 65), ifAbsent, signal });
      }
    });
    this.#blobs.noteStored(name);
  }

  async putAll(
    blobs: Iterable<readonly [ObjectName, () => BlobSource | undefined]>,
    options: RemoteOptions = {},
  ): Promise<void> {
    const under = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    const watch = (work: Promise<void>): void => {
      if (under.has(work)) return;
      under.add(work);
      work
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => under.delete(work));
    };
    for (const [name, open] of blobs) {
      if (failure || options.signal?.aborted) break;
      if (this.known(name)) continue;
      const other = this.#puts.get(name);
      const source = other ? undefined : open();
      if (other) watch(other);
      else if (source !== undefined) {
        const byItself = sizeOf(name) > PACK_BLOB_BYTES_MAX || this.#blobs.isForgotten(name);
        if (byItself || this.#use.readOnly) watch(this.put(name, source, options));
        else {
          await this.#packer.ready();
          await this.#pack(name, source).then(
            ({ sent }) => watch(sent),
            (error: unknown) => {
              failure ??= { error };
            },
          );
        }
      }
      while (under.size >= PUTS_AHEAD_MAX) await Promise.race([...under].map((work) => work.catch(() => {})));
    }
    await abortable(Promise.allSettled(under), options.signal);
    if (failure) throw failure.error;
  }

  /** @returns once the bytes are read; `sent` is the same promise for all blobs of a pack. */
  #pack(name: ObjectName, source: BlobSource): Promise<{ readonly sent: Promise<void> }> {
    const reading = readSource(name, source).then((bytes) => ({ sent: this.#packer.add(name, bytes) }));
    const stored = reading.then(({ sent }) => sent).finally(() => this.#puts.delete(name));
    // Those who find it in #puts are told; so is the caller, by `sent`.
    stored.catch(() => {});
    this.#puts.set(name, stored);
    return reading;
  }

  async #sendSmall(blobs: readonly NamedBlob[]): Promise<void> {
    if (blobs.length >= PACK_BLOBS_MIN) await this.#memory.run(PACK_BYTES_MAX, () => this.#sendPack(blobs));
    else await Promise.all(blobs.map(([name, bytes]) => this.#putSingle(name, bytes, undefined)));
  }

  async #sendPack(blobs: readonly NamedBlob[]): Promise<void> {
    const pack = makePack(blobs);
    const bytes = Buffer.concat([pack.index, ...pack.body]);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    // Without a condition: a pack of the same name that is there may be the damaged one.
    await this.#wire.put(this.#key('packs', pack.name), bytes, { sha256, ifAbsent: false });
    await this.#wire.put(this.#key('indexes', pack.name), pack.index, {
      sha256: pack.name.slice(1, 65),
      ifAbsent: false,
    });
    for (const [name, place] of readIndex(pack.index, pack.name)!.places) this.#blobs.notePacked(name, place);
  }

  async get(name: ObjectName, options: RemoteOptions = {}): Promise<Buffer> {
    const { signal } = options;
    let failure: RemoteError | undefined;
    const place = this.#blobs.placeOf(name);
    if (place) {
      const found = await this.#getPacked(name, place, signal);
      if (!(found instanceof RemoteError)) return found;
      // Perhaps it is there by itself as well: put again by somebody who found the pack damaged.
      failure = found;
      this.#blobs.notInPack(name);
    }
    for (let reads = 1; ; reads++) {
      try {
        const pieces: Buffer[] = [];
        for await (const piece of this.#pieces(name, signal)) pieces.push(piece);
        const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
        if (nameLike(name, bytes) === name) {
          this.#blobs.noteSingle(name);
          return bytes;
        }
        throw mismatch(name, this.#where(name));
      } catch (error) {
        await this.#giveUpOrGoOn(name, error, reads, failure);
      }
    }
  }

  async getFile(name: ObjectName, absPath: string, options: RemoteOptions = {}): Promise<void> {
    if (sizeOf(name) <= RANGE_BYTES) {
      await this.#memory.run(sizeOf(name), async () => {
        await writeVerified(name, absPath, [await this.get(name, options)]);
      });
      return;
    }
    for (let reads = 1; ; reads++) {
      try {
        await this.#memory.run(RANGES_AHEAD_MAX * RANGE_BYTES, () =>
          writeVerified(name, absPath, this.#pieces(name, options.signal)),
        );
        this.#blobs.noteSingle(name);
        return;
      } catch (error) {
        await this.#giveUpOrGoOn(name, error, reads, undefined);
      }
    }
  }

  /** @throws the error unless it is damage that another read might mend; damage and loss are noted. */
  async #giveUpOrGoOn(
    name: ObjectName,
    error: unknown,
    reads: number,
    before: RemoteError | undefined,
  ): Promise<void> {
    if (!(error instanceof RemoteError)) throw error;
    if (error.reason === 'digest-mismatch' && reads < READS_MAX) return;
    if (error.reason === 'digest-mismatch') {
      this.forget(name);
      await this.#removals.get(name);
      throw error;
    }
    if (error.reason === 'missing-blob') {
      this.#blobs.forget(name);
      throw before ?? error;
    }
    throw error;
  }

  #where(name: ObjectName): string {
    return `s3://${this.address.bucket}/${this.#key('cas', name)}`;
  }

  /** The verified bytes, or the error when they are not there; other errors are thrown. */
  async #getPacked(
    name: ObjectName,
    place: PackPlace,
    signal: AbortSignal | undefined,
  ): Promise<Buffer | RemoteError> {
    const where = `s3://${this.address.bucket}/${this.#key('packs', place.pack)}`;
    for (let reads = 1; ; reads++) {
      try {
        const bytes = await abortable(this.#packReads.get(place, sizeOf(name)), signal);
        if (nameLike(name, bytes) === name) return bytes;
        if (reads >= READS_MAX) return mismatch(name, where);
      } catch (error) {
        if (error instanceof RangeError) return mismatch(name, where);
        if (error instanceof RemoteError && error.reason === 'missing-blob') return error;
        throw error;
      }
    }
  }

  /** The unverified bytes of an object of its own, in order. */
  #pieces(name: ObjectName, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const key = this.#key('cas', name);
    const sizeBytes = sizeOf(name);
    if (sizeBytes <= RANGE_BYTES)
      return inOrder(1, 1, () => this.#wire.get(key, { sizeMax: sizeBytes, signal }));
    return inOrder(Math.ceil(sizeBytes / RANGE_BYTES), RANGES_AHEAD_MAX, (i) => {
      const range = [i * RANGE_BYTES, Math.min(sizeBytes, (i + 1) * RANGE_BYTES)] as const;
      return this.#wire.get(key, { sizeMax: range[1] - range[0], range, signal });
    });
  }

  forget(name: ObjectName): void {
    this.#blobs.forget(name);
    if (this.#use.readOnly || this.#removals.has(name)) return;
    const removal = this.#wire
      .delete(this.#key('cas', name))
      .catch((error: unknown) => {
        // Those who may not remove objects still overwrite with their own put.
        if (!(error instanceof RemoteError)) throw error;
      })
      .finally(() => this.#removals.delete(name));
    this.#removals.set(name, removal);
  }

  noteStored(name: ObjectName): void {
    this.#blobs.noteStored(name);
  }

  hints(names: Iterable<ObjectName>): PackHints {
    return this.#blobs.hints(names);
  }

  learn(hints: PackHints): void {
    this.#blobs.learn(hints);
  }

  async reduction(thunk: ObjectName, options: RemoteOptions = {}): Promise<Reduction | undefined> {
    if (this.#use.trustReductions === false) return undefined;
    if (this.#reduced && !this.#reduced.has(fingerprint(thunk))) return undefined;
    const bytes = await this.#wire
      .get(this.#key('reductions', thunk), { sizeMax: REDUCTION_BYTES_MAX, signal: options.signal })
      .catch((error: unknown) => {
        if (error instanceof RemoteError && /^(?:missing-blob|digest-mismatch)$/.test(error.reason))
          return undefined;
        throw error;
      });
    const reduction = bytes && decodeReduction(bytes, thunk);
    if (!reduction) this.#reduced?.delete(fingerprint(thunk));
    return reduction && this.#reduced && !reduction.outputs.every((o) => this.known(o.name))
      ? undefined
      : reduction;
  }

  async putReduction(reduction: Reduction, options: RemoteOptions = {}): Promise<void> {
    if (this.#use.readOnly) return;
    const bytes = encodeReduction(reduction);
    if (bytes.length > REDUCTION_BYTES_MAX) return;
    // Without a condition: an older one may name outputs that are gone.
    await this.#wire.put(this.#key('reductions', reduction.thunk), bytes, {
      sha256: createHash('sha256').update(bytes).digest('hex'),
      ifAbsent: false,
      signal: options.signal,
    });
    this.#reduced?.add(fingerprint(reduction.thunk));
  }

  async close(): Promise<void> {
    await Promise.all([this.#merging, ...this.#removals.values()]);
    await this.#wire.close();
  }
}
