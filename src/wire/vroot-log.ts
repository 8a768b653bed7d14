// The log of a virtual root (wrappers/vroot.c, `struct log`): a file of fixed size that all processes of a run map and write
// to without system calls.
//
// Head, 64 bytes, u64 little-endian: used bytes behind the head, size of the file, CPU microseconds, largest resident set in
// kilobytes, random sources opened. Then notes: kind (one byte), absolute name below the root, NUL.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const HEAD_BYTES = 64;
/** The heaviest units look up some 10,000 names of 100 bytes; the file is sparse. */
const LOG_BYTES = 8 * 1024 * 1024;

export interface VrootLog {
  /** More was noted than fits. */
  readonly overflown: boolean;
  readonly cpuMs: number;
  readonly rssMaxBytes: number;
  /** Opened for reading; looked up in vain; opened for writing, made or renamed to. Each once, as spelled. */
  readonly hits: ReadonlySet<string>;
  readonly misses: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
  /** Static programs that were not started. */
  readonly statics: ReadonlySet<string>;
  /** The time of day was asked for. */
  readonly askedTime: boolean;
}

export function createLog(path: string): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeBigUInt64LE(BigInt(LOG_BYTES), 8);
    writeSync(fd, head, 0, HEAD_BYTES, 0);
    writeSync(fd, Buffer.alloc(1), 0, 1, LOG_BYTES - 1);
  } finally {
    closeSync(fd);
  }
}

/** What is in a log's file. @throws the file system's errors */
export function readLog(path: string): VrootLog {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    readSync(fd, head, 0, HEAD_BYTES, 0);
    const length = Math.min(Number(head.readBigUInt64LE(0)), LOG_BYTES - HEAD_BYTES);
    const notes = Buffer.alloc(length);
    readSync(fd, notes, 0, length, HEAD_BYTES);
    return parseLog(Buffer.concat([head, notes]));
  } finally {
    closeSync(fd);
  }
}

/** A log's head and its notes. @throws RangeError when it is too short to be one */
export function parseLog(bytes: Buffer): VrootLog {
  if (bytes.length < HEAD_BYTES) throw new RangeError(`a log of ${bytes.length} bytes`);
  const sets: Record<string, Set<string>> = {};
  for (const kind of 'HMWXT') sets[kind] = new Set();
  for (const note of bytes.toString('utf8', HEAD_BYTES).split('\0'))
    if (note !== '') sets[note[0]!]?.add(note.slice(1));
  return {
    overflown: Number(bytes.readBigUInt64LE(0)) > LOG_BYTES - HEAD_BYTES,
    cpuMs: Number(bytes.readBigUInt64LE(16)) / 1000,
    rssMaxBytes: Number(bytes.readBigUInt64LE(24)) * 1024,
    hits: sets['H']!,
    misses: sets['M']!,
    writes: sets['W']!,
    statics: sets['X']!,
    askedTime: sets['T']!.size > 0,
  };
}
