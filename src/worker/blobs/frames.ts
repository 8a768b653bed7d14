// Blobs that travel compressed: a zstd frame is a blob of its own, and what comes out of it must have the hash it is named by.
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { type ObjectName, sizeOf } from '../../ir/name.ts';
import { BlobError, type BlobFetcher } from './blobs.ts';

/** Node has it since 22.15; elsewhere the client is asked for the whole toolchain, which travels as it is. */
export const CAN_UNPACK = typeof zlib.createZstdDecompress === 'function';

export class FrameFetcher implements BlobFetcher {
  readonly #inner: BlobFetcher;
  readonly #frames: ReadonlyMap<ObjectName, ObjectName>;

  constructor(inner: BlobFetcher, frames: readonly (readonly [name: ObjectName, frame: ObjectName])[]) {
    this.#inner = inner;
    this.#frames = new Map(frames);
  }

  travelBytes(name: ObjectName): number {
    return sizeOf(this.#frames.get(name) ?? name);
  }

  /** The caller compares the hash. */
  async fetch(name: ObjectName, absPath: string): Promise<void> {
    const frame = this.#frames.get(name);
    if (frame === undefined) return this.#inner.fetch(name, absPath);
    const packed = `${absPath}.zst`;
    try {
      await this.#inner.fetch(frame, packed);
      await unpack(packed, absPath, name, frame);
    } finally {
      rmSync(packed, { force: true });
    }
  }
}

/** Streams; stops as soon as more comes out than the name says. */
async function unpack(from: string, to: string, name: ObjectName, frame: ObjectName): Promise<void> {
  let room = sizeOf(name);
  const limit = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      room -= chunk.length;
      if (room < 0) done(new RangeError('more bytes than the name says'));
      else done(null, chunk);
    },
  });
  try {
    await pipeline(
      createReadStream(from),
      zlib.createZstdDecompress(),
      limit,
      createWriteStream(to, { flags: 'wx' }),
    );
  } catch (error) {
    throw new BlobError('digest-mismatch', `${frame}, the frame of ${name}: ${(error as Error).message}`);
  }
}
