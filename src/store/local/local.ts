// The local store: blobs and reductions as files below one directory.
//
//   cas/H/NAME            a blob, H: the first hex digit of its hash; mode 0444
//   reductions/H/NAME     what a thunk became (reductions.ts)
//   tmp/                  files being written; each process uses names of its own
//
// Writes go to tmp/ and are renamed into place, so a killed process leaves no half blob. Nothing is fsynced: after a
// power cut a blob may be empty or short; every read checks length and hash, so such a blob counts as missing.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { nameThunk, nameValue, type ObjectName, parseRef, sizeOf } from '../../ir/name.ts';
import { decodeReduction, encodeReduction } from '../reductions.ts';
import { tryStat, tryStatNs } from '../../base/stat.ts';
import { Vouched } from './vouched.ts';
import type { Reduction, Store } from '../store.ts';

const HASH_CHUNK_BYTES = 1024 * 1024;
/** Files from here on (some milliseconds of hashing) are not read in one go where others wait. */
export const LARGE_BYTES_MIN = 4 * 1024 * 1024;
/** One for all: neither hashing nor a look at a blob yields, and a fresh megabyte a file is what garbage collection would be busy with. */
const hashChunk = Buffer.allocUnsafeSlow(HASH_CHUNK_BYTES);

/** What a file begins with, at the front of `room`; undefined when it cannot be read. */
function readInto(path: string, room: Buffer, sizeMax: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    let size = 0;
    while (size < sizeMax) {
      const n = readSync(fd, room, size, sizeMax - size, null);
      if (n === 0) break;
      size += n;
    }
    return room.subarray(0, size);
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** SHA-256 and length of a file, read in chunks. @throws the file system's error. */
export function hashFile(absPath: string): ObjectName {
  const fd = openSync(absPath, 'r');
  try {
    const hash = createHash('sha256');
    let size = 0;
    for (;;) {
      const n = readSync(fd, hashChunk, 0, hashChunk.length, null);
      if (n === 0) break;
      hash.update(hashChunk.subarray(0, n));
      size += n;
    }
    return `V${hash.digest('hex')}-${size}` as ObjectName;
  } finally {
    closeSync(fd);
  }
}

/** As hashFile, with a turn for others after every chunk. */
export async function hashFileSoon(absPath: string): Promise<ObjectName> {
  const file = await open(absPath, 'r');
  try {
    const chunk = Buffer.allocUnsafeSlow(HASH_CHUNK_BYTES);
    const hash = createHash('sha256');
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      hash.update(chunk.subarray(0, bytesRead));
      size += bytesRead;
    }
    return `V${hash.digest('hex')}-${size}` as ObjectName;
  } finally {
    await file.close();
  }
}

export class LocalStore implements Store {
  readonly directory: string;
  readonly #vouched = new Vouched();
  readonly #madeDirs = new Set<string>();
  #serial = 0;

  constructor(directory: string) {
    this.directory = directory;
    for (const sub of ['cas', 'reductions', 'tmp'])
      mkdirSync(join(directory, sub), { recursive: true, mode: 0o700 });
  }

  /** A path in tmp/ nobody else uses. */
  temporary(): string {
    return join(this.directory, 'tmp', `${process.pid}-${this.#serial++}`);
  }

  #file(kind: 'cas' | 'reductions', name: ObjectName): string {
    return join(this.directory, kind, name.slice(1, 2), name);
  }

  #makeRoom(kind: 'cas' | 'reductions', name: ObjectName): string {
    const dir = join(this.directory, kind, name.slice(1, 2));
    if (!this.#madeDirs.has(dir)) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      this.#madeDirs.add(dir);
    }
    return join(dir, name);
  }

  has(name: ObjectName): boolean {
    const stat = tryStat(this.#file('cas', name));
    return stat !== undefined && stat.size === sizeOf(name);
  }

  put(bytes: Uint8Array, type: 'V' | 'T'): ObjectName {
    const name = type === 'V' ? nameValue(bytes) : nameThunk(bytes);
    if (!this.has(name)) this.#write(this.#makeRoom('cas', name), bytes);
    return name;
  }

  #write(path: string, bytes: Uint8Array): void {
    const temporary = this.temporary();
    try {
      writeFileSync(temporary, bytes, { mode: 0o444 });
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  putFile(absPath: string): ObjectName {
    const name = hashFile(absPath);
    if (this.has(name)) {
      rmSync(absPath, { force: true });
      return name;
    }
    const path = this.#makeRoom('cas', name);
    chmodSync(absPath, 0o444);
    try {
      // Through another name of the file, what made it could still change it.
      if (statSync(absPath).nlink > 1) throw Object.assign(new Error('has other names'), { code: 'EXDEV' });
      renameSync(absPath, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      const temporary = this.temporary();
      copyFileSync(absPath, temporary, constants.COPYFILE_FICLONE);
      renameSync(temporary, path);
      rmSync(absPath, { force: true });
    }
    return name;
  }

  /** Copies a user's file in under a name computed before. @returns false when its bytes no longer fit that name. */
  putCopy(absPath: string, name: ObjectName): boolean {
    if (this.has(name)) return true;
    const bytes = readFileSync(absPath);
    if (nameValue(bytes) !== name) return false;
    this.#write(this.#makeRoom('cas', name), bytes);
    return true;
  }

  /** As putCopy; large files are copied and compared with turns for others between. */
  async putCopySoon(absPath: string, name: ObjectName): Promise<boolean> {
    if (sizeOf(name) < LARGE_BYTES_MIN) return this.putCopy(absPath, name);
    if (this.has(name)) return true;
    const temporary = this.temporary();
    try {
      await copyFile(absPath, temporary);
      if ((await hashFileSoon(temporary)) !== name) return false;
      chmodSync(temporary, 0o444);
      renameSync(temporary, this.#makeRoom('cas', name));
      return true;
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  read<T>(name: ObjectName, use: (bytes: Buffer) => T): T | undefined {
    const size = sizeOf(name);
    // One byte more: a file that has grown is not its name's.
    const bytes =
      size < hashChunk.length ? readInto(this.#file('cas', name), hashChunk, size + 1) : undefined;
    const isWhole = bytes?.length === size;
    if (isWhole && (name.startsWith('T') ? nameThunk(bytes) : nameValue(bytes)) === name) return use(bytes);
    const owned = this.get(name);
    return owned === undefined ? undefined : use(owned);
  }

  get(name: ObjectName): Buffer | undefined {
    const path = this.#file('cas', name);
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return undefined;
    }
    const actual = parseRef(name)?.type === 'T' ? nameThunk(bytes) : nameValue(bytes);
    if (actual === name) return bytes;
    rmSync(path, { force: true });
    return undefined;
  }

  path(name: ObjectName): string | undefined {
    const path = this.#file('cas', name);
    const stat = tryStatNs(path);
    if (!stat) return undefined;
    if (this.#vouched.holds(name, stat)) return path;
    if (hashFile(path).slice(1) === name.slice(1)) {
      this.#vouched.add(name, stat);
      return path;
    }
    rmSync(path, { force: true });
    return undefined;
  }

  reduction(thunk: ObjectName, wants?: 'names'): Reduction | undefined {
    const path = this.#file('reductions', thunk);
    let text: Buffer;
    try {
      // Most thunks have none: an exception costs ten times what a look costs.
      if (tryStat(path) === undefined) return undefined;
      text = readFileSync(path);
    } catch {
      return undefined;
    }
    const reduction = decodeReduction(text, thunk);
    if (!reduction) {
      rmSync(path, { force: true });
      return undefined;
    }
    return wants === 'names' || reduction.outputs.every((o) => this.path(o.name) !== undefined)
      ? reduction
      : undefined;
  }

  putReduction(reduction: Reduction): void {
    this.#write(this.#makeRoom('reductions', reduction.thunk), encodeReduction(reduction));
  }
}
