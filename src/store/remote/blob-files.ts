// Blobs on their way between files and a backend: read in pieces, checked against their names.
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { type ObjectName, sizeOf } from '../../ir/name.ts';
import { nameLike } from './packs/packs.ts';
import { type BlobSource, RemoteError } from './remote.ts';

let serial = 0;

export function mismatch(name: ObjectName, where: string): RemoteError {
  return new RemoteError('digest-mismatch', `${where} does not hold the bytes of ${name}`);
}

/** @throws RemoteError `digest-mismatch` when the source changed since it was named, or cannot be read. */
export async function readSource(name: ObjectName, source: BlobSource): Promise<Uint8Array> {
  if (source instanceof Uint8Array) {
    if (nameLike(name, source) !== name) throw mismatch(name, 'the buffer');
    return source;
  }
  const bytes = await readFile(source.absPath).catch((cause: unknown) => {
    throw new RemoteError('digest-mismatch', `${source.absPath} cannot be read`, { cause });
  });
  if (nameLike(name, bytes) !== name) throw mismatch(name, source.absPath);
  return bytes;
}

/** Pieces of a source in order, all of `pieceBytes` but the last. @throws RemoteError as readSource, at the end. */
export async function* readPieces(
  name: ObjectName,
  source: BlobSource,
  pieceBytes: number,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const sizeBytes = sizeOf(name);
  const where = source instanceof Uint8Array ? 'the buffer' : source.absPath;
  let file: FileHandle | undefined;
  try {
    if (!(source instanceof Uint8Array)) {
      file = await open(source.absPath, 'r');
      if ((await file.stat()).size !== sizeBytes) throw mismatch(name, where);
    } else if (source.byteLength !== sizeBytes) throw mismatch(name, where);
    for (let at = 0; at < sizeBytes; at += pieceBytes) {
      const length = Math.min(pieceBytes, sizeBytes - at);
      const piece =
        source instanceof Uint8Array
          ? Buffer.from(source.buffer, source.byteOffset + at, length)
          : await readExactly(file!, at, length, name, where);
      hash.update(piece);
      yield piece;
    }
    if (hash.digest('hex') !== name.slice(1, 65)) throw mismatch(name, where);
  } catch (error) {
    if (error instanceof RemoteError) throw error;
    throw new RemoteError('digest-mismatch', `${where} cannot be read`, { cause: error });
  } finally {
    await file?.close();
  }
}

async function readExactly(
  file: FileHandle,
  position: number,
  length: number,
  name: ObjectName,
  where: string,
): Promise<Buffer> {
  const piece = Buffer.allocUnsafe(length);
  for (let got = 0; got < length; ) {
    const { bytesRead } = await file.read(piece, got, length - got, position + got);
    if (bytesRead === 0) throw mismatch(name, where);
    got += bytesRead;
  }
  return piece;
}

/**
 * Writes pieces beside `absPath` and moves them there once they are found to be the blob.
 * @throws RemoteError `digest-mismatch`; what the pieces throw; the file system's error.
 */
export async function writeVerified(
  name: ObjectName,
  absPath: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<number> {
  const temporary = `${absPath}.${process.pid}-${serial++}.part`;
  let written = 0;
  try {
    const file = await open(temporary, 'wx', 0o444);
    try {
      const hash = createHash('sha256');
      for await (const piece of pieces) {
        hash.update(piece);
        await file.writeFile(piece);
        written += piece.byteLength;
      }
      if (written !== sizeOf(name) || hash.digest('hex') !== name.slice(1, 65))
        throw mismatch(name, 'what was received');
    } finally {
      await file.close();
    }
    await rename(temporary, absPath);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return written;
}

/**
 * Runs `fetch` for every index below `count`, at most `aheadMax` at a time, and yields the results in order.
 * The first failure ends it; fetches already under way are waited for, so that none goes on unobserved.
 */
export async function* inOrder<T>(
  count: number,
  aheadMax: number,
  fetch: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const under: Promise<T>[] = [];
  let next = 0;
  const start = (): void => {
    const promise = fetch(next++);
    promise.catch(() => {});
    under.push(promise);
  };
  try {
    while (next < count && under.length < aheadMax) start();
    while (under.length > 0) {
      const value = await under[0]!;
      under.shift();
      if (next < count) start();
      yield value;
    }
  } finally {
    await Promise.allSettled(under);
  }
}
