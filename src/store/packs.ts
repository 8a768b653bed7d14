// Packs: many small blobs in one object, because a header costs a request otherwise.
//
// Format (version 1):
//   head   "gg-pack 1 COUNT INDEXBYTES BODYBYTES\n"
//   index  COUNT lines "NAME\n": the blobs in the order of their bytes; a name holds its blob's length
//   body   the blobs' bytes, nothing between them
// A pack is called "P" + SHA-256 of head and index + "-" + length of the whole object: names fix contents, so equal packs
// have equal names. Head and index are stored once more as an object of their own, so that an index can be learnt without
// its pack; its hash is in its name. The body carries no checksum: every blob is checked against its own name.
//
// Nothing in an index is believed further than "look there": a wrong place yields bytes of another hash, which is a miss.
import { createHash } from 'node:crypto';
import { nameThunk, nameValue, type ObjectName, parseRef, sizeOf } from '../ir/name.ts';

/** Blobs above this are worth a request of their own: 256 KB take longer to send than a request to start. */
export const PACK_BLOB_BYTES_MAX = 256 * 1024;
/** A pack fits a worker's memory many times over and is read in a twentieth of a second. */
export const PACK_BYTES_MAX = 4 * 1024 * 1024;
export const PACK_BLOBS_MAX = 2000;
/** A pack takes two requests (itself and its index); fewer blobs than this take no more by themselves. */
export const PACK_BLOBS_MIN = 3;
/** COUNT lines of at most 84 bytes and the head; what is longer is not an index. */
const INDEX_BYTES_MAX = PACK_BLOBS_MAX * 84 + 64;

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

/** @returns the blobs and their places, or undefined when the bytes are not the index of this pack. */
export function readIndex(bytes: Buffer, pack: PackName): (readonly [ObjectName, PackPlace])[] | undefined {
  if (bytes.length > INDEX_BYTES_MAX) return undefined;
  if (createHash('sha256').update(bytes).digest('hex') !== pack.slice(1, 65)) return undefined;
  const lineEnd = bytes.indexOf(0x0a);
  const head = /^gg-pack 1 (\d{1,4}) (\d{1,9}) (\d{1,15})$/.exec(
    bytes.toString('latin1', 0, Math.max(0, lineEnd)),
  );
  if (!head) return undefined;
  const names = bytes.toString('latin1', lineEnd + 1).split('\n');
  if (names.pop() !== '' || names.length !== Number(head[1])) return undefined;
  let offset = bytes.length;
  const places: (readonly [ObjectName, PackPlace])[] = [];
  for (const name of names) {
    const ref = parseRef(name);
    if (!ref || ref.tag !== undefined) return undefined;
    places.push([name as ObjectName, { pack, offset }]);
    offset += sizeOf(name);
  }
  return offset === packSize(pack) && offset - bytes.length === Number(head[3]) ? places : undefined;
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
