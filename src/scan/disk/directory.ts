// A directory as a scan saw it: its listing, and which of its names anybody asked for.
import { type FSWatcher, realpathSync } from 'node:fs';
import { RESTORED_EPOCH } from './epoch.ts';
import type { FileEntry } from './file-entry.ts';

/** A directory as the next server needs to know it. */
export interface SeenDirectory {
  readonly exists: boolean;
  readonly unlistable: boolean;
  readonly dev: number;
  readonly ino: number;
  readonly birthtimeMs: number;
  /** Names asked for that were there, and that were not. */
  readonly there: readonly string[];
  readonly absent: readonly string[];
}
const PRECOMPILED = '.gch';

/** @returns the header that a precompiled one is of. */
function precompiledOf(name: string): string {
  return name.slice(0, -PRECOMPILED.length);
}
/** A directory's listing; of a path that is no directory it is empty. */
export class Directory {
  readonly path: string;
  epoch = -1;
  /** As FileEntry's. */
  collection = 0;
  row = -1;
  dev = -1;
  ino = -1;
  /** Inode numbers come back; together with this they do not. */
  birthtimeMs = 0;
  exists = false;
  /** Goes up when another directory stands there, or none, or a name that was ever asked for appeared or vanished. */
  changes = 0;
  /** It exists and cannot be listed. */
  unlistable = false;
  local = true;
  names: Set<string> = new Set();
  readonly files = new Map<string, FileEntry>();
  /** Names ever asked for, found or not; with each goes its precompiled header's. */
  readonly asked = new Set<string>();
  readonly children = new Map<string, Directory>();
  watcher: FSWatcher | undefined;
  /** Not below the roots of watches; holds for this directory, not for another that comes to stand here. */
  unwatchable = false;
  /** It would be watched if there were watches left. */
  unwatched = false;
  /** Names a watch reported since the last look; `all` when there were too many. */
  readonly changed = new Set<string>();
  changedAll = true;
  mtimeMs = 0;
  ctimeMs = 0;
  listedAtMs = 0;
  #real: string | undefined;

  constructor(path: string) {
    this.path = path;
  }

  realPath(name: string): string {
    this.#real ??= realpathSync.native(this.path);
    return this.#real === '/' ? `/${name}` : `${this.#real}/${name}`;
  }

  wasAsked(name: string): boolean {
    return this.asked.has(name) || (name.endsWith(PRECOMPILED) && this.asked.has(precompiledOf(name)));
  }

  /** @returns whether a name that was asked for stands in one of the listings, this one's and an earlier one's, only. */
  askedDiffers(before: ReadonlySet<string>): boolean {
    const { names, asked } = this;
    for (const name of asked) if (before.has(name) !== names.has(name)) return true;
    for (const name of names)
      if (name.endsWith(PRECOMPILED) && !before.has(name) && asked.has(precompiledOf(name))) return true;
    for (const name of before)
      if (name.endsWith(PRECOMPILED) && !names.has(name) && asked.has(precompiledOf(name))) return true;
    return false;
  }

  /** What the next server needs to know. */
  seen(): SeenDirectory {
    const { exists, unlistable, dev, ino, birthtimeMs, names, asked } = this;
    const there: string[] = [];
    const absent: string[] = [];
    for (const name of asked) (names.has(name) ? there : absent).push(name);
    for (const name of names)
      if (name.endsWith(PRECOMPILED) && !asked.has(name) && asked.has(precompiledOf(name))) there.push(name);
    return { exists, unlistable, dev, ino, birthtimeMs, there, absent };
  }

  /** What an earlier server saw; to be looked at before it is believed. */
  restore(seen: SeenDirectory): void {
    this.epoch = RESTORED_EPOCH;
    this.exists = seen.exists;
    this.unlistable = seen.unlistable;
    this.dev = seen.dev;
    this.ino = seen.ino;
    this.birthtimeMs = seen.birthtimeMs;
    this.names = new Set(seen.there);
    for (const name of seen.there) this.asked.add(name);
    for (const name of seen.absent) this.asked.add(name);
  }

  forgetRealPath(): void {
    this.#real = undefined;
  }
}
