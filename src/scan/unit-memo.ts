// Whole units remembered, as long as nothing they depend on changed: no file they read, no name they looked for.
import type { ScanFound, ScanRequest } from './scanner.ts';
import type { Entry, Search } from './search.ts';
import type { Directory, FileEntry, Tree } from './tree.ts';
import type { Unit } from './unit.ts';

/** Units remembered; the oldest go first. */
const MEMO_MAX = 20_000;

interface Memo {
  readonly result: ScanFound;
  readonly shape: number;
  readonly search: Search;
  readonly files: readonly FileEntry[];
  readonly versions: Int32Array;
  readonly directories: readonly Directory[];
}

export class UnitMemo {
  readonly #tree: Tree;
  readonly #byKey = new Map<string, Memo>();
  #collections = 0;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** @returns the result for a key if it still holds. */
  get(key: string): ScanFound | undefined {
    const memo = this.#byKey.get(key);
    return memo && this.#holds(memo) ? memo.result : undefined;
  }

  #holds(memo: Memo): boolean {
    const tree = this.#tree;
    if (memo.shape !== tree.shape || !memo.search.isCurrent()) return false;
    for (const directory of memo.directories) if (directory.epoch !== tree.epoch) tree.validate(directory);
    if (memo.shape !== tree.shape) return false;
    const { files, versions } = memo;
    for (let i = 0; i < files.length; i++) {
      const file = files[i]!;
      if (file.epoch !== tree.epoch) tree.validateFile(file);
      if (file.version !== versions[i]) return false;
    }
    return memo.shape === tree.shape;
  }

  set(key: string, result: ScanFound, unit: Unit, search: Search): void {
    const collection = ++this.#collections;
    const files: FileEntry[] = [];
    const directories: Directory[] = [];
    const add = <T extends FileEntry | Directory>(list: T[], entry: T): void => {
      if (entry.collection === collection) return;
      entry.collection = collection;
      list.push(entry);
    };
    for (const entry of unit.searches) {
      if (entry.final.file) add<FileEntry>(files, entry.final.file);
      for (let at: Entry | undefined = entry; at; at = at.rest) {
        for (const file of at.skipped) add<FileEntry>(files, file);
        for (const directory of at.directories) add<Directory>(directories, directory);
      }
    }
    this.#byKey.delete(key);
    this.#byKey.set(key, {
      result,
      shape: this.#tree.shape,
      search,
      files,
      versions: Int32Array.from(files, (file) => file.version),
      directories,
    });
    if (this.#byKey.size > MEMO_MAX) this.#byKey.delete(this.#byKey.keys().next().value as string);
  }
}

/** All that a unit is asked with. */
export function memoKey(request: ScanRequest): string {
  return JSON.stringify([
    request.driver,
    request.toolchain,
    request.flags,
    request.language,
    request.source,
    request.cwd,
    [...request.env],
  ]);
}
