// The blobs of a Remote Execution server: each is asked for and sent once, in batches, whoever wants it; nothing that comes back is believed
// before its bytes have the digest.
import { createHash, randomUUID } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { type CallOptions, type Channel, CODE, ReapiError } from './channel.ts';
import {
  BatchReadBlobsRequestSchema,
  BatchUpdateBlobsRequest_RequestSchema,
  BatchUpdateBlobsRequestSchema,
  ContentAddressableStorage,
  type Digest,
  DigestSchema,
  FindMissingBlobsRequestSchema,
} from './generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import {
  ByteStream,
  ReadRequestSchema,
  type WriteRequest,
  WriteRequestSchema,
} from './generated/google/bytestream/bytestream_pb.ts';

/** SHA-256 in hex and the length in bytes. */
export interface BlobId {
  readonly hash: string;
  readonly sizeBytes: number;
}

/** Bytes in memory, or a file that is read when its turn comes. */
export type BlobBytes = Uint8Array | { readonly absPath: string };

export interface Blob {
  readonly id: BlobId;
  /** undefined: the bytes are nowhere any more. */
  readonly source: () => BlobBytes | undefined;
}

export const blobId = (bytes: Uint8Array): BlobId => ({
  hash: createHash('sha256').update(bytes).digest('hex'),
  sizeBytes: bytes.byteLength,
});

export const digestOf = ({ hash, sizeBytes }: BlobId): Digest =>
  create(DigestSchema, { hash, sizeBytes: BigInt(sizeBytes) });

export const idOf = (digest: Digest | undefined): BlobId => ({
  hash: digest?.hash ?? '',
  sizeBytes: Number(digest?.sizeBytes ?? 0n),
});

/** An input's bytes are gone here, or are others than its name says: the caller's business, no fault of the network. */
export class LostBlobError extends Error {
  override readonly name = 'LostBlobError';
}

/** Questions of calls at about the same time become one. */
const GATHER_MS = 3;
/** Digests in one question: 75 bytes each, and servers refuse messages over 4 MB. */
const ASKED_MAX = 20_000;
/** Bytes of blobs in one message, whatever a server announces: limits are of messages and some announce none. */
const BATCH_BYTES_MAX = 3 * 1024 * 1024;
/** Entries in one batch; each has a digest of some 75 bytes beside its data. */
const BATCH_BLOBS_MAX = 5000;
/** Larger ones go by themselves in a stream. */
const ALONE_BYTES = 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;
/** Requests that carry data, at one time. */
const TRANSFERS_MAX = 8;
const CALL_MS_MAX = 60_000;
/** A stream of a gigabyte over a slow line. */
const STREAM_MS_MAX = 900_000;
const TRIES_MAX = 5;
const BACKOFF_BASE_MS = 100;
const BACKOFF_MS_MAX = 5000;
/** Digests known to be there; about 150 bytes each in memory. */
const KNOWN_MAX = 1_000_000;
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const TRANSIENT: ReadonlySet<number> = new Set([
  CODE.unavailable,
  CODE.resourceExhausted,
  CODE.deadlineExceeded,
  CODE.aborted,
  CODE.unknown,
]);

export const isTransient = (error: unknown): boolean =>
  error instanceof ReapiError && TRANSIENT.has(error.code);

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
export const backoffMs = (failures: number): number =>
  Math.random() * Math.min(BACKOFF_MS_MAX, BACKOFF_BASE_MS * 2 ** failures);

interface Wait {
  readonly blob: Blob;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface CasOptions {
  readonly channel: Channel;
  readonly instance: string;
}

export class Cas {
  readonly #channel: Channel;
  readonly #instance: string;
  /** By hash: settled once the blob is there. */
  readonly #known = new Map<string, Promise<void>>();
  #gathered: Wait[] = [];
  #transfers = 0;
  readonly #line: (() => void)[] = [];
  readonly counters = {
    asked: 0,
    questions: 0,
    uploadedBlobs: 0,
    uploadedBytes: 0,
    readBytes: 0,
    retries: 0,
  };

  constructor(options: CasOptions) {
    this.#channel = options.channel;
    this.#instance = options.instance;
  }

  /** Resolves when the server has all of them. @throws ReapiError, LostBlobError */
  async provide(blobs: Iterable<Blob>): Promise<void> {
    const waits = new Set<Promise<void>>();
    for (const blob of blobs) {
      const { hash } = blob.id;
      if (hash === EMPTY_HASH) continue;
      let there = this.#known.get(hash);
      if (!there) {
        there = new Promise((resolve, reject) => {
          if (this.#gathered.length === 0) setTimeout(() => this.#flush(), GATHER_MS);
          this.#gathered.push({ blob, resolve, reject });
        });
        if (this.#known.size >= KNOWN_MAX) this.#known.clear();
        this.#known.set(hash, there);
        there.catch(() => this.#known.delete(hash));
      }
      waits.add(there);
    }
    await Promise.all(waits);
  }

  /** The server turned out not to have them. */
  forget(ids: Iterable<BlobId>): void {
    for (const { hash } of ids) this.#known.delete(hash);
  }

  noteStored(id: BlobId): void {
    this.#known.set(id.hash, Promise.resolve());
  }

  #flush(): void {
    const all = this.#gathered;
    this.#gathered = [];
    for (let at = 0; at < all.length; at += ASKED_MAX) void this.#settle(all.slice(at, at + ASKED_MAX));
  }

  async #settle(waits: readonly Wait[]): Promise<void> {
    try {
      const missing = await this.#missing(waits.map((w) => w.blob.id));
      const batches: Wait[][] = [];
      let room = 0;
      for (const wait of waits) {
        if (!missing.has(wait.blob.id.hash)) {
          wait.resolve();
          continue;
        }
        const { sizeBytes } = wait.blob.id;
        if (sizeBytes > ALONE_BYTES) {
          void this.#inTurn(() => this.#writeAlone(wait.blob)).then(wait.resolve, wait.reject);
          continue;
        }
        const last = batches.at(-1);
        if (last && sizeBytes <= room && last.length < BATCH_BLOBS_MAX) {
          last.push(wait);
          room -= sizeBytes;
        } else {
          batches.push([wait]);
          room = BATCH_BYTES_MAX - sizeBytes;
        }
      }
      for (const batch of batches)
        void this.#inTurn(() => this.#writeBatch(batch)).catch((error: unknown) => {
          for (const wait of batch) wait.reject(error);
        });
    } catch (error) {
      for (const wait of waits) wait.reject(error);
    }
  }

  async #missing(ids: readonly BlobId[]): Promise<Set<string>> {
    this.counters.asked += ids.length;
    this.counters.questions++;
    const request = create(FindMissingBlobsRequestSchema, {
      instanceName: this.#instance,
      blobDigests: ids.map(digestOf),
    });
    const answer = await this.#retried((options) =>
      this.#channel.unary(ContentAddressableStorage.method.findMissingBlobs, request, options),
    );
    return new Set(answer.missingBlobDigests.map((d) => d.hash));
  }

  async #writeBatch(waits: readonly Wait[]): Promise<void> {
    const loaded: { readonly wait: Wait; readonly bytes: Uint8Array }[] = [];
    for (const wait of waits) {
      try {
        loaded.push({ wait, bytes: await load(wait.blob) });
      } catch (error) {
        wait.reject(error);
      }
    }
    if (loaded.length === 0) return;
    const request = create(BatchUpdateBlobsRequestSchema, {
      instanceName: this.#instance,
      requests: loaded.map(({ wait, bytes }) =>
        create(BatchUpdateBlobsRequest_RequestSchema, { digest: digestOf(wait.blob.id), data: bytes }),
      ),
    });
    const answer = await this.#retried((options) =>
      this.#channel.unary(ContentAddressableStorage.method.batchUpdateBlobs, request, options),
    );
    const refused = new Map(
      answer.responses.map((r) => [r.digest?.hash, r.status?.code ? r.status : undefined] as const),
    );
    for (const { wait, bytes } of loaded) {
      const status = refused.get(wait.blob.id.hash);
      if (status) {
        wait.reject(new ReapiError(status.code, `${wait.blob.id.hash}: ${status.message}`));
        continue;
      }
      this.counters.uploadedBlobs++;
      this.counters.uploadedBytes += bytes.length;
      wait.resolve();
    }
  }

  async #writeAlone(blob: Blob): Promise<void> {
    const { hash, sizeBytes } = blob.id;
    await this.#retried(async (options) => {
      const resourceName = `${this.#prefix()}uploads/${randomUUID()}/blobs/${hash}/${sizeBytes}`;
      const { committedSize } = await this.#channel.send(
        ByteStream.method.write,
        pieces(blob, resourceName),
        options,
      );
      // A server that had it already may say so before it has seen all of it.
      if (committedSize !== BigInt(sizeBytes) && committedSize !== -1n)
        throw new ReapiError(CODE.aborted, `${hash}: ${committedSize} of ${sizeBytes} bytes were taken`);
    }, STREAM_MS_MAX);
    this.counters.uploadedBlobs++;
    this.counters.uploadedBytes += sizeBytes;
  }

  /**
   * Verified bytes, in the order asked for; `undefined` for what the server does not have, or has with other bytes.
   * @throws ReapiError
   */
  async read(ids: readonly BlobId[]): Promise<(Buffer | undefined)[]> {
    const found = new Map<string, Buffer>([[EMPTY_HASH, Buffer.alloc(0)]]);
    const batches: BlobId[][] = [];
    const alone: BlobId[] = [];
    let room = 0;
    for (const id of new Map(ids.map((one) => [one.hash, one])).values()) {
      if (id.hash === EMPTY_HASH) continue;
      const last = batches.at(-1);
      if (id.sizeBytes > ALONE_BYTES) alone.push(id);
      else if (last && id.sizeBytes <= room && last.length < BATCH_BLOBS_MAX) {
        last.push(id);
        room -= id.sizeBytes;
      } else {
        batches.push([id]);
        room = BATCH_BYTES_MAX - id.sizeBytes;
      }
    }
    const keep = (id: BlobId, bytes: Uint8Array | undefined): void => {
      if (bytes === undefined || bytes.length !== id.sizeBytes || blobId(bytes).hash !== id.hash) return;
      this.counters.readBytes += bytes.length;
      found.set(id.hash, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    };
    await Promise.all([
      ...batches.map((batch) => this.#inTurn(() => this.#readBatch(batch, keep))),
      ...alone.map((id) => this.#inTurn(async () => keep(id, await this.#readAlone(id)))),
    ]);
    return ids.map((id) => found.get(id.hash));
  }

  async #readBatch(
    ids: readonly BlobId[],
    keep: (id: BlobId, bytes: Uint8Array | undefined) => void,
  ): Promise<void> {
    const request = create(BatchReadBlobsRequestSchema, {
      instanceName: this.#instance,
      digests: ids.map(digestOf),
    });
    const answer = await this.#retried((options) =>
      this.#channel.unary(ContentAddressableStorage.method.batchReadBlobs, request, options),
    );
    const byHash = new Map(ids.map((id) => [id.hash, id]));
    for (const { digest, data, status } of answer.responses) {
      const id = byHash.get(digest?.hash ?? '');
      if (id && !status?.code) keep(id, data);
    }
  }

  /** undefined: not there, or more of it than its name says. */
  #readAlone({ hash, sizeBytes }: BlobId): Promise<Buffer | undefined> {
    const request = create(ReadRequestSchema, {
      resourceName: `${this.#prefix()}blobs/${hash}/${sizeBytes}`,
    });
    return this.#retried(async (options) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      try {
        for await (const { data } of this.#channel.stream(ByteStream.method.read, request, options)) {
          length += data.length;
          if (length > sizeBytes) return undefined;
          parts.push(data);
        }
      } catch (error) {
        if (error instanceof ReapiError && error.code === CODE.notFound) return undefined;
        throw error;
      }
      return Buffer.concat(parts);
    }, STREAM_MS_MAX);
  }

  #prefix(): string {
    return this.#instance === '' ? '' : `${this.#instance}/`;
  }

  async #retried<T>(call: (options: CallOptions) => Promise<T>, timeoutMs = CALL_MS_MAX): Promise<T> {
    for (let failures = 0; ; ) {
      try {
        return await call({ timeoutMs });
      } catch (error) {
        if (!isTransient(error) || ++failures >= TRIES_MAX) throw error;
        this.counters.retries++;
        await sleep(backoffMs(failures));
      }
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#transfers >= TRANSFERS_MAX) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#transfers++;
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#transfers--;
    }
  }
}

async function load({ id, source }: Blob): Promise<Uint8Array> {
  const from = source();
  if (from === undefined) throw new LostBlobError(id.hash);
  if (from instanceof Uint8Array) return from;
  let bytes: Buffer;
  try {
    bytes = await readFile(from.absPath);
  } catch {
    throw new LostBlobError(from.absPath);
  }
  if (bytes.length !== id.sizeBytes || blobId(bytes).hash !== id.hash) throw new LostBlobError(from.absPath);
  return bytes;
}

/** The blob in a stream's messages; checked on the way, for a file may change while it goes up. */
async function* pieces(blob: Blob, resourceName: string): AsyncGenerator<WriteRequest, void, undefined> {
  const { id, source } = blob;
  const from = source();
  if (from === undefined) throw new LostBlobError(id.hash);
  const hash = createHash('sha256');
  let offset = 0;
  const message = (data: Uint8Array): WriteRequest => {
    const request = create(WriteRequestSchema, {
      resourceName: offset === 0 ? resourceName : '',
      writeOffset: BigInt(offset),
      finishWrite: offset + data.length === id.sizeBytes,
      data,
    });
    offset += data.length;
    return request;
  };
  if (from instanceof Uint8Array) {
    while (offset < from.length) yield message(from.subarray(offset, offset + CHUNK_BYTES));
    return;
  }
  const file = await open(from.absPath, 'r').catch(() => {
    throw new LostBlobError(from.absPath);
  });
  try {
    while (offset < id.sizeBytes) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
      const data = buffer.subarray(0, bytesRead);
      hash.update(data);
      const last = offset + bytesRead >= id.sizeBytes;
      if (bytesRead === 0 || offset + bytesRead > id.sizeBytes || (last && hash.digest('hex') !== id.hash))
        throw new LostBlobError(from.absPath);
      yield message(data);
    }
  } finally {
    await file.close();
  }
}
