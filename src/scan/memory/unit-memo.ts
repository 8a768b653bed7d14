// Whole units remembered, as long as nothing they depend on changed: no file they read, no name they looked for. Units have
// nearly all of that in common: it stands in tables, and a unit is lists of numbers.
import { createHash } from 'node:crypto';
import type { Directory } from '../disk/directory.ts';
import type { FileEntry } from '../disk/file-entry.ts';
import { packNumbers, unpackNumbers } from './number-list.ts';
import type { ScanFound, ScanRequest } from '../scanner.ts';
import { absentOf, type Search, type Way } from '../walk/search.ts';
import type { Tree } from '../disk/tree.ts';
import type { Unit } from '../walk/unit.ts';

/** Units remembered; the oldest go first. */
export const MEMO_MAX = 20_000;
/** Rows of a table; beyond it all units are forgotten. */
const ROWS_MAX = 2_000_000;

export interface Memo {
  readonly files: Int32Array;
  readonly directories: Int32Array;
  /** All versions of the files and all changes of the directories: these only ever grow, so the sum tells of each. */
  readonly state: number;
  /** Packed: what is listed, in order; twice the number of its path, and one more for a system header. */
  readonly listed: Uint8Array;
  /** Packed: its searches. */
  readonly ways: Uint8Array;
  readonly extra: readonly string[];
  readonly usesTime: boolean;
}

/** Things by number, which each bears itself: looking it up in a map costs more, in a large heap, than all the rest. */
class Rows<T extends { row: number }> {
  readonly rows: T[] = [];

  number(thing: T): number {
    // The number may be of another table.
    if (this.rows[thing.row] !== thing) thing.row = this.rows.push(thing) - 1;
    return thing.row;
  }
}

/** Texts by number; each has one. */
class Texts {
  readonly rows: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(row: string): number {
    let number = this.#numbers.get(row);
    if (number === undefined) {
      number = this.rows.push(row) - 1;
      this.#numbers.set(row, number);
    }
    return number;
  }
}

export class UnitMemo {
  readonly #tree: Tree;
  readonly #byKey = new Map<string, Memo>();
  #files = new Rows<FileEntry>();
  #directories = new Rows<Directory>();
  #paths = new Texts();
  #ways = new Rows<Way>();
  #collections = 0;
  #news = false;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** @returns the result for a key if it still holds. */
  get(key: string): ScanFound | undefined {
    const memo = this.#byKey.get(key);
    return memo && this.#stateOf(memo) === memo.state ? this.#foundOf(memo) : undefined;
  }

  /** Looks at everything a unit depends on. */
  #stateOf({ files, directories }: Memo): number {
    const tree = this.#tree;
    const { epoch } = tree;
    let state = 0;
    for (let i = 0; i < directories.length; i++) {
      const directory = this.#directories.rows[directories[i]!]!;
      if (directory.epoch !== epoch) tree.validate(directory);
      state += directory.changes;
    }
    for (let i = 0; i < files.length; i++) {
      const file = this.#files.rows[files[i]!]!;
      if (file.epoch !== epoch) tree.validateFile(file);
      state += file.version;
    }
    return state;
  }

  #foundOf(memo: Memo): ScanFound {
    const files: string[] = [];
    const system: boolean[] = [];
    for (const number of unpackNumbers(memo.listed)) {
      files.push(this.#paths.rows[number >> 1]!);
      system.push((number & 1) === 1);
    }
    const ways = this.#ways.rows;
    let absent: readonly string[] | undefined;
    return {
      kind: 'found',
      files,
      system,
      extra: memo.extra,
      precompiledListed: true,
      get absent() {
        absent ??= absentOf(unpackNumbers(memo.ways).map((number) => ways[number]!));
        return absent;
      },
      usesTime: memo.usesTime,
    };
  }

  set(key: string, result: ScanFound, unit: Unit, search: Search): void {
    const collection = ++this.#collections;
    const files: number[] = [];
    const directories: number[] = [];
    let state = 0;
    const addFile = (file: FileEntry): void => {
      if (file.collection === collection) return;
      file.collection = collection;
      state += file.version;
      files.push(this.#files.number(file));
    };
    const addDirectory = (directory: Directory): void => {
      if (directory.collection === collection) return;
      directory.collection = collection;
      state += directory.changes;
      directories.push(this.#directories.number(directory));
    };
    for (const directory of search.directories()) addDirectory(directory);
    for (const entry of unit.searches) {
      if (entry.final.file) addFile(entry.final.file);
      for (let at: typeof entry | undefined = entry; at; at = at.rest) {
        for (const file of at.skipped) addFile(file);
        for (const directory of at.directories) addDirectory(directory);
      }
    }
    const listed = result.files.map((path, i) => 2 * this.#paths.number(path) + (result.system[i] ? 1 : 0));
    this.#add(key, {
      files: Int32Array.from(files),
      directories: Int32Array.from(directories),
      state,
      listed: packNumbers(listed),
      ways: packNumbers(unit.searches.map((entry) => this.#ways.number(entry))),
      extra: result.extra,
      usesTime: result.usesTime,
    });
    this.#news = true;
    const rows = [this.#files, this.#directories, this.#paths, this.#ways].map((table) => table.rows.length);
    if (Math.max(...rows) > ROWS_MAX) this.#forget();
  }

  #add(key: string, memo: Memo): void {
    this.#byKey.delete(key);
    this.#byKey.set(key, memo);
    if (this.#byKey.size > MEMO_MAX) this.#byKey.delete(this.#byKey.keys().next().value as string);
  }

  #forget(): void {
    this.#byKey.clear();
    this.#files = new Rows();
    this.#directories = new Rows();
    this.#paths = new Texts();
    this.#ways = new Rows();
  }

  /** Whether units were added since the last call. */
  takeNews(): boolean {
    const news = this.#news;
    this.#news = false;
    return news;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Units that held when they were looked at last, oldest first, and the tables their numbers count in. */
  dump(): {
    readonly units: (readonly [string, Memo])[];
    readonly files: readonly FileEntry[];
    readonly directories: readonly Directory[];
    readonly paths: readonly string[];
    readonly ways: readonly Way[];
  } {
    const files = this.#files.rows;
    const directories = this.#directories.rows;
    const units = [...this.#byKey].filter(([, memo]) => {
      let state = 0;
      for (const number of memo.directories) state += directories[number]!.changes;
      for (const number of memo.files) {
        const file = files[number]!;
        if (!file.storable) return false;
        state += file.version;
      }
      return state === memo.state;
    });
    return { units, files, directories, paths: this.#paths.rows, ways: this.#ways.rows };
  }

  /** Takes over what an earlier server remembered; to be called before anything is remembered here. */
  restore(
    units: Iterable<readonly [string, Omit<Memo, 'state'>]>,
    tables: {
      readonly files: readonly FileEntry[];
      readonly directories: readonly Directory[];
      readonly paths: readonly string[];
      readonly ways: readonly Way[];
    },
  ): void {
    for (const file of tables.files) this.#files.number(file);
    for (const directory of tables.directories) this.#directories.number(directory);
    for (const path of tables.paths) this.#paths.number(path);
    for (const way of tables.ways) this.#ways.number(way);
    for (const [key, memo] of units) {
      let state = 0;
      for (const number of memo.directories) state += this.#directories.rows[number]!.changes;
      for (const number of memo.files) state += this.#files.rows[number]!.version;
      this.#add(key, { ...memo, state });
    }
  }
}

/**
 * Stands for all that a unit is asked with.
 * @param directories the compiler's own.
 */
export function memoKey(request: ScanRequest, directories: readonly string[]): string {
  const all = JSON.stringify([
    request.driver,
    request.toolchain,
    request.flags,
    request.language,
    request.source,
    request.cwd,
    [...request.env],
    directories,
  ]);
  return createHash('sha256').update(all).digest('base64');
}
