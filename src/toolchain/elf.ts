// What the dynamic loader reads of a program or library: its interpreter, the libraries it needs, where they are searched.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export interface LoaderView {
  /** The dynamic loader it names; undefined for libraries and static programs. */
  readonly interpreter: string | undefined;
  /** Has a dynamic section at all. */
  readonly dynamic: boolean;
  /** The name by which others need it. */
  readonly soname: string | undefined;
  readonly needed: readonly string[];
  /** DT_RUNPATH, searched behind the library path, and DT_RPATH without it, searched before. */
  readonly runpath: readonly string[];
  readonly rpath: readonly string[];
}

const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3 } as const;
const DT = { NULL: 0n, NEEDED: 1n, STRTAB: 5n, STRSZ: 10n, SONAME: 14n, RPATH: 15n, RUNPATH: 29n } as const;
/** Real ones have a few dozen headers, some kilobytes of dynamic section and up to some megabytes of dynamic strings. */
const HEADERS_MAX = 256;
const DYNAMIC_BYTES_MAX = 1 << 20;
const STRINGS_BYTES_MAX = 64 << 20;

interface Part {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly size: number;
}

/** Any ELF file, of whatever word size. @throws the file system's error. */
export function looksLikeElf(absPath: string): boolean {
  const fd = openSync(absPath, 'r');
  try {
    const magic = Buffer.alloc(4);
    return readSync(fd, magic, 0, 4, 0) === 4 && magic.readUInt32BE(0) === 0x7f454c46;
  } finally {
    closeSync(fd);
  }
}

/** @returns undefined when the file is no 64-bit little-endian ELF file. @throws the file system's error. */
export function loaderView(absPath: string): LoaderView | undefined {
  const fd = openSync(absPath, 'r');
  try {
    const size = fstatSync(fd).size;
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - at)));
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, at));
    };
    const head = read(0, 64);
    if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2 || head[5] !== 1)
      return undefined;
    return view(head, read);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  } finally {
    closeSync(fd);
  }
}

function view(head: Buffer, read: (at: number, length: number) => Buffer): LoaderView {
  const parts: Part[] = [];
  const entrySize = head.readUInt16LE(54);
  const count = Math.min(head.readUInt16LE(56), HEADERS_MAX);
  const table = read(Number(head.readBigUInt64LE(32)), entrySize * count);
  for (let i = 0; i < count; i++) {
    const at = i * entrySize;
    parts.push({
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: table.readBigUInt64LE(at + 16),
      size: Number(table.readBigUInt64LE(at + 32)),
    });
  }
  const text = (bytes: Buffer, from = 0): string => {
    const end = bytes.indexOf(0, from);
    return bytes.toString('utf8', from, end < 0 ? bytes.length : end);
  };
  const interp = parts.find((p) => p.type === PT.INTERP);
  const interpreter = interp ? text(read(interp.offset, interp.size)) : undefined;
  const dynamic = parts.find((p) => p.type === PT.DYNAMIC);
  if (!dynamic) return { interpreter, dynamic: false, soname: undefined, needed: [], runpath: [], rpath: [] };
  const bytes = read(dynamic.offset, Math.min(dynamic.size, DYNAMIC_BYTES_MAX));
  const entries: [tag: bigint, value: bigint][] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = bytes.readBigUInt64LE(at);
    if (tag === DT.NULL) break;
    entries.push([tag, bytes.readBigUInt64LE(at + 8)]);
  }
  const one = (tag: bigint): bigint => entries.find(([t]) => t === tag)?.[1] ?? 0n;
  const address = one(DT.STRTAB);
  const load = parts.find(
    (p) => p.type === PT.LOAD && address >= p.address && address < p.address + BigInt(p.size),
  );
  const strings = load
    ? read(Number(address - load.address) + load.offset, Math.min(Number(one(DT.STRSZ)), STRINGS_BYTES_MAX))
    : Buffer.alloc(0);
  const all = (tag: bigint): string[] =>
    entries.filter(([t]) => t === tag).map(([, at]) => text(strings, Number(at)));
  const runpath = all(DT.RUNPATH).flatMap((p) => p.split(':'));
  const rpath = runpath.length > 0 ? [] : all(DT.RPATH).flatMap((p) => p.split(':'));
  return { interpreter, dynamic: true, soname: all(DT.SONAME)[0], needed: all(DT.NEEDED), runpath, rpath };
}
