// Packs: many small blobs in one object, because a header costs a request otherwise.
//
// Format (version 1):
//   head   "gg-pack 1 COUNT INDEXBYTES BODYBYTES\n"
//   index  COUNT lines "NAME\n": the blobs in the order of their bytes; a name holds its blob's length
//   body   the blobs' bytes, nothing between them
// A pack is called "P" + SHA-256 of head and index + "-" + length of the whole object: names fix contents, so equal packs
// have equal names. Head and index are stored once more as an object of their own, so that an index can be learnt without
// its pack; its hash is in its name. The body carries no checksum: every blob is checked against its own name.
// Many indexes one after the other are a merged index, called "M" + SHA-256 - length; each tells its own length and its pack.
//
// Nothing in an index is believed further than "look there": a wrong place yields bytes of another hash, which is a miss.
import { createHash } from 'node:crypto';
import { nameThunk, nameValue, type ObjectName, parseRef, sizeOf } from '../../../ir/name.ts';

/** Blobs above this are worth a request of their own: 256 KB take longer to send than a request to start. */
export const PACK_BLOB_BYTES_MAX = 256 * 1024;
/** A pack fits a worker's memory many times over and is read in a twentieth of a second. */
export const PACK_BYTES_MAX = 4 * 1024 * 1024;
export const PACK_BLOBS_MAX = 2000;
/** A pack takes two requests (itself and its index); fewer blobs than this take no more by themselves. */
export const PACK_BLOBS_MIN = 3;
/** COUNT lines of at most 84 bytes and the head; what is longer is not an index. */
export const INDEX_BYTES_MAX = PACK_BLOBS_MAX * 84 + 64;

export type PackName = string & { readonly __packName: unique symbol };

/** Where a blob lies: its bytes begin at `offset` of the pack's object. */
export interface PackPlace {
  readonly pack: PackName;
  readonly offset: number;
}

/** Pack -> first 13 hex digits of a blob's hash -> offset. Travels in requests; see RemoteStore.hints. */
export type PackHints = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface Pack {
  readonly name: PackName;
  /** Head and index. */
  readonly index: Buffer;
  readonly body: readonly Uint8Array[];
}

const PACK_NAME = /^P([0-9a-f]{64})-([1-9][0-9]{0,15})$/;

export function isPackName(text: string): text is PackName {
  return PACK_NAME.test(text);
}

/** Length in bytes of the pack's object. */
export function packSize(name: PackName): number {
  return Number(name.slice(name.indexOf('-') + 1));
}

/** The bytes' name, of the same type as `like`. */
export function nameLike(like: ObjectName, bytes: Uint8Array): ObjectName {
  return like.startsWith('T') ? nameThunk(bytes) : nameValue(bytes);
}

/**
 * 52 bits of a name's hash as a number: sets of them take a third of the memory of sets of names. Two names with the same
 * fingerprint look as if both were known; a fetch of the wrong one is noticed by its hash and counts as a miss.
 */
export function fingerprint(name: string): number {
  return Number.parseInt(name.slice(1, 14), 16);
}

export function makePack(blobs: readonly (readonly [ObjectName, Uint8Array])[]): Pack {
  const lines = Buffer.from(blobs.map(([name]) => `${name}\n`).join(''));
  const bodyBytes = blobs.reduce((sum, [, bytes]) => sum + bytes.byteLength, 0);
  const index = Buffer.concat([
    Buffer.from(`gg-pack 1 ${blobs.length} ${lines.length} ${bodyBytes}\n`),
    lines,
  ]);
  const hash = createHash('sha256').update(index).digest('hex');
  return {
    name: `P${hash}-${index.length + bodyBytes}` as PackName,
    index,
    body: blobs.map(([, bytes]) => bytes),
  };
}

/** A pack's index, taken apart. */
export interface PackIndex {
  readonly pack: PackName;
  readonly places: readonly (readonly [ObjectName, PackPlace])[];
  /** The bytes it was read from. */
  readonly bytes: Buffer;
}

const HEAD = /^gg-pack 1 (\d{1,4}) (\d{1,9}) (\d{1,15})$/;
const HEAD_BYTES_MAX = 64;

/** The index that begins at `start`, whatever follows it; undefined when there is none. */
function readIndexAt(bytes: Buffer, start: number): PackIndex | undefined {
  const lineEnd = bytes.subarray(start, start + HEAD_BYTES_MAX).indexOf(0x0a);
  const head = HEAD.exec(bytes.toString('latin1', start, start + Math.max(0, lineEnd)));
  if (!head) return undefined;
  const end = start + lineEnd + 1 + Number(head[2]);
  const index = bytes.subarray(start, end);
  if (end > bytes.length || index.length > INDEX_BYTES_MAX) return undefined;
  const names = index.toString('latin1', lineEnd + 1).split('\n');
  if (names.pop() !== '' || names.length !== Number(head[1])) return undefined;
  const sizeBytes = index.length + Number(head[3]);
  const pack = `P${createHash('sha256').update(index).digest('hex')}-${sizeBytes}` as PackName;
  let offset = index.length;
  const places: (readonly [ObjectName, PackPlace])[] = [];
  for (const name of names) {
    const ref = parseRef(name);
    if (!ref || ref.tag !== undefined) return undefined;
    places.push([name as ObjectName, { pack, offset }]);
    offset += sizeOf(name);
  }
  return offset === sizeBytes ? { pack, places, bytes: index } : undefined;
}

/** @returns undefined when the bytes are not the index of this pack and nothing else. */
export function readIndex(bytes: Buffer, pack: PackName): PackIndex | undefined {
  const index = readIndexAt(bytes, 0);
  return index?.pack === pack && index.bytes.length === bytes.length ? index : undefined;
}

export type MergedName = string & { readonly __mergedName: unique symbol };

export function isMergedName(text: string): text is MergedName {
  return /^M[0-9a-f]{64}-(?:0|[1-9][0-9]{0,15})$/.test(text);
}

export function mergedNameOf(bytes: Uint8Array): MergedName {
  return `M${createHash('sha256').update(bytes).digest('hex')}-${bytes.byteLength}` as MergedName;
}

/** @returns the indexes, or none when the bytes are not those of the name. */
export function readMerged(bytes: Buffer, name: MergedName): readonly PackIndex[] {
  if (mergedNameOf(bytes) !== name) return [];
  const indexes: PackIndex[] = [];
  for (let at = 0; at < bytes.length; ) {
    const index = readIndexAt(bytes, at);
    if (!index) return [];
    indexes.push(index);
    at += index.bytes.length;
  }
  return indexes;
}

/** Blobs that wait to be packed. */
export class PackBuilder {
  #blobs: (readonly [ObjectName, Uint8Array])[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#blobs.length === 0;
  }

  /** @returns true when the next blob of the largest size might no longer fit. */
  add(name: ObjectName, bytes: Uint8Array): boolean {
    this.#blobs.push([name, bytes]);
    this.#bytes += bytes.byteLength;
    return this.#bytes > PACK_BYTES_MAX - PACK_BLOB_BYTES_MAX || this.#blobs.length >= PACK_BLOBS_MAX;
  }

  take(): readonly (readonly [ObjectName, Uint8Array])[] {
    const blobs = this.#blobs;
    this.#blobs = [];
    this.#bytes = 0;
    return blobs;
  }
}
