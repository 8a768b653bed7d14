// Remembered units in the form the next server finds them in, and back.
//
// Form: one line of JSON (Head), then the packed lists of all units, in the order and of the lengths that the head says.
// Directories and files come back as things last seen long ago: a unit is believed only after all it depends on was looked
// at, in the same way as in the server that remembered it.

import type { SeenDirectory } from '../disk/directory.ts';
import type { FileEntry, Identity } from '../disk/file-entry.ts';
import { packNumbers, unpackNumbers } from './number-list.ts';
import type { Place, Way } from '../walk/search.ts';
import type { Tree } from '../disk/tree.ts';
import type { Memo, UnitMemo } from './unit-memo.ts';

const KINDS = ['file', 'directory', 'other', 'gone'] as const;

/** Number of the directory, name, index into KINDS, and of a file all that tells it from another. */
type FileRow = readonly [number, string, number, ...number[]];
/** Key, whether it uses the time, files besides, and the bytes of each packed list. */
type UnitRow = readonly [string, 0 | 1, readonly string[], number, number, number, number];

interface Head {
  readonly directories: readonly (readonly [string, SeenDirectory])[];
  readonly files: readonly FileRow[];
  readonly paths: readonly string[];
  readonly names: readonly string[];
  /** What was not there: twice the number of a path's name, or one more than that of a place's. */
  readonly absents: readonly (readonly number[])[];
  /** The name, the one it went on as (-1: none), what was not there. */
  readonly ways: readonly (readonly number[])[];
  readonly units: readonly UnitRow[];
}

/** Gives new numbers to what is used, in the order of use. */
class Renumbering<T> {
  readonly used: T[] = [];
  readonly #rows: readonly T[];
  readonly #numbers: Int32Array;

  constructor(rows: readonly T[]) {
    this.#rows = rows;
    this.#numbers = new Int32Array(rows.length).fill(-1);
  }

  of(old: number): number {
    let number = this.#numbers[old]!;
    if (number < 0) {
      number = this.used.push(this.#rows[old]!) - 1;
      this.#numbers[old] = number;
    }
    return number;
  }
}

function fileRow(file: FileEntry, directory: number): FileRow {
  const { dev, ino, sizeBytes, mtimeMs, ctimeMs } = file.identity ?? ({} as Partial<Identity>);
  const identity = dev === undefined ? [] : [dev, ino!, sizeBytes!, mtimeMs!, ctimeMs!];
  return [directory, file.name, KINDS.indexOf(file.kind), ...identity];
}

/** Ways in an order in which each comes behind the one it went on as. */
class WayWriter {
  readonly rows: number[][] = [];
  readonly names: string[] = [];
  readonly absents: number[][] = [];
  readonly #numbers = new Map<Way, number>();
  readonly #absentNumbers = new Map<string, number>();
  readonly #nameNumbers = new Map<string, number>();

  number(way: Way): number {
    let number = this.#numbers.get(way);
    if (number === undefined) {
      const rest = way.rest ? this.number(way.rest) : -1;
      const absent = way.absent.map((place) =>
        typeof place === 'string' ? 2 * this.#name(place) : 2 * this.#name(place.spelled) + 1,
      );
      number = this.rows.push([this.#name(way.name), rest, this.#absent(absent)]) - 1;
      this.#numbers.set(way, number);
    }
    return number;
  }

  /** Many searches pass over the same places. */
  #absent(absent: number[]): number {
    const key = absent.join();
    let number = this.#absentNumbers.get(key);
    if (number === undefined) {
      number = this.absents.push(absent) - 1;
      this.#absentNumbers.set(key, number);
    }
    return number;
  }

  #name(path: string): number {
    let number = this.#nameNumbers.get(path);
    if (number === undefined) {
      number = this.names.push(path) - 1;
      this.#nameNumbers.set(path, number);
    }
    return number;
  }
}

/** @param unitsMax of these only the youngest are written. */
export function writeUnits(memo: UnitMemo, unitsMax: number): Buffer {
  const dump = memo.dump();
  const files = new Renumbering(dump.files);
  const directories = new Renumbering(dump.directories);
  const directoryNumbers = new Map(dump.directories.map((directory, number) => [directory, number]));
  const paths = new Renumbering(dump.paths);
  const ways = new WayWriter();
  const wayNumbers = new Int32Array(dump.ways.length).fill(-1);
  const wayNumber = (old: number): number => {
    if (wayNumbers[old]! < 0) wayNumbers[old] = ways.number(dump.ways[old]!);
    return wayNumbers[old]!;
  };
  const packed: Uint8Array[] = [];
  const units = dump.units.slice(Math.max(0, dump.units.length - unitsMax)).map(([key, unit]): UnitRow => {
    const lists = [
      packNumbers(unit.files.map((number) => files.of(number))),
      packNumbers(unit.directories.map((number) => directories.of(number))),
      packNumbers(unpackNumbers(unit.listed).map((number) => 2 * paths.of(number >> 1) + (number & 1))),
      packNumbers(unpackNumbers(unit.ways).map(wayNumber)),
    ] as const;
    packed.push(...lists);
    const [a, b, c, d] = lists;
    return [key, unit.usesTime ? 1 : 0, unit.extra, a.length, b.length, c.length, d.length];
  });
  // A file's directory is one that was looked into.
  const rows = files.used.map((file) =>
    fileRow(file, directories.of(directoryNumbers.get(file.directory) ?? -1)),
  );
  const head: Head = {
    directories: directories.used.map((directory) => [directory.path, directory.seen()]),
    files: rows,
    paths: paths.used,
    names: ways.names,
    absents: ways.absents,
    ways: ways.rows,
    units,
  };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...packed]);
}

/** @throws anything, for what writeUnits did not write. */
export function readUnits(body: Buffer, tree: Tree, memo: UnitMemo): void {
  const end = body.indexOf(10);
  const head = JSON.parse(body.toString('utf8', 0, end)) as Head;
  const directories = head.directories.map(([path, seen]) => tree.restoreDirectory(path, seen));
  const files = head.files.map(([directory, name, kind, dev, ino, sizeBytes, mtimeMs, ctimeMs]) => {
    const identity =
      dev === undefined
        ? undefined
        : { dev, ino: ino!, sizeBytes: sizeBytes!, mtimeMs: mtimeMs!, ctimeMs: ctimeMs! };
    return tree.restoreFile(directories[directory]!, name, { kind: KINDS[kind]!, identity });
  });
  const ways: Way[] = [];
  const places = head.names.map((spelled): Place => ({ spelled }));
  const absents = head.absents.map((numbers) =>
    numbers.map((number) => (number & 1 ? places : head.names)[number >> 1]!),
  );
  for (const [name, rest, absent] of head.ways)
    ways.push({ name: head.names[name!]!, rest: ways[rest!], absent: absents[absent!]!, row: -1 });
  let at = end + 1;
  const next = (bytes: number): Uint8Array => {
    at += bytes;
    return body.subarray(at - bytes, at);
  };
  const units = head.units.map(([key, usesTime, extra, a, b, c, d]): [string, Omit<Memo, 'state'>] => [
    key,
    {
      files: Int32Array.from(unpackNumbers(next(a))),
      directories: Int32Array.from(unpackNumbers(next(b))),
      listed: next(c),
      ways: next(d),
      extra,
      usesTime: usesTime === 1,
    },
  ]);
  memo.restore(units, { files, directories, paths: head.paths, ways });
}
