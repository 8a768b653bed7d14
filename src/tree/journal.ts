// The journal of outstanding placeholders: what `gg force` must find again after anything was killed.
//
// Format (version 1): a file of lines "CHECK JSON\n", CHECK: first 16 hex digits of the JSON's SHA-256. A line that does
// not add up (torn by a kill or a full disk), or says what this version does not know, is passed over. Records:
//   {"t":"p","path","ref","project","sides"}  a placeholder for `ref` is about to be written at `path`
//   {"t":"d","path"}                  nothing of ours is at `path` any more
//   {"t":"m", as "p"}                 a placeholder is about to be moved to `path`; a "p" follows when it was
//   {"t":"n","path"}                  ... and it was not
//   {"t":"o","project","ms"}          placeholders are left below `project` since then
//   {"t":"c","project"}               ... and none is any more, nor an archive that a real ar made of some
//   {"t":"x","thunk","place"}         how to run a thunk here (engine.ts: Placement)
// The file is rewritten with what is still outstanding when the server starts and when it has grown.
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Placement } from '../ir/placement.ts';
import { baseName, type ObjectName, type ObjectRef, parseRef } from '../ir/name.ts';
import { tryStat } from '../base/stat.ts';
import { placeholderAt } from './placeholder-at.ts';

export interface Outstanding {
  readonly path: string;
  readonly ref: ObjectRef;
  /** Directory of the outermost build tool that made the call, or the call's own. */
  readonly project: string;
  /** Files that go with it if it fails: its depfile. */
  readonly sides: readonly string[];
  /** The preload library saw the call: it says where the placeholder is moved. */
  readonly watched?: boolean;
}

type JournalRecord =
  | ({ readonly t: 'p' } & Outstanding)
  | ({ readonly t: 'm' } & Outstanding)
  | { readonly t: 'd'; readonly path: string }
  | { readonly t: 'n'; readonly path: string }
  | { readonly t: 'o'; readonly project: string; readonly ms: number }
  | { readonly t: 'c'; readonly project: string }
  | { readonly t: 'x'; readonly thunk: ObjectName; readonly place: Placement };

/** File times lag behind the clock by a tick. */
const CLOCK_STEP_MS = 100;
/** Lines after which a journal with little outstanding is rewritten. */
const COMPACT_LINES = 20_000;
/** Placements kept beyond what outstanding placeholders need: those of calls under way have no placeholder yet. */
const RECENT_PLACES = 10_000;

export interface JournalOptions {
  /** Thunks that outstanding placeholders need; undefined: ask another time. Without it every placement stays. */
  readonly needed?: (outstanding: readonly Outstanding[]) => ReadonlySet<ObjectName> | undefined;
  /** Default RECENT_PLACES. */
  readonly recentPlaces?: number;
}

function encode(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${createHash('sha256').update(json).digest('hex').slice(0, 16)} ${json}\n`;
}

function decode(line: string): JournalRecord | undefined {
  const json = line.slice(17);
  if (line[16] !== ' ' || createHash('sha256').update(json).digest('hex').slice(0, 16) !== line.slice(0, 16))
    return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether this version knows what it says. A later one may have left other records and names of other forms. */
function isRecord(value: unknown): value is JournalRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  const text = (key: string): boolean => typeof record[key] === 'string';
  switch (record['t']) {
    case 'p':
    case 'm':
      return (
        text('path') &&
        text('project') &&
        text('ref') &&
        parseRef(record['ref'] as string)?.type === 'T' &&
        Array.isArray(record['sides']) &&
        record['sides'].every((side) => typeof side === 'string')
      );
    case 'd':
    case 'n':
      return text('path');
    case 'o':
      return text('project') && typeof record['ms'] === 'number';
    case 'c':
      return text('project');
    case 'x':
      return (
        text('thunk') &&
        parseRef(record['thunk'] as string)?.type === 'T' &&
        typeof record['place'] === 'object' &&
        record['place'] !== null
      );
    default:
      return false;
  }
}

function outstandingOf({ path, ref, project, sides, watched }: Outstanding): Outstanding {
  return watched ? { path, ref, project, sides, watched } : { path, ref, project, sides };
}

export class Journal {
  readonly #file: string;
  readonly #byPath = new Map<string, Outstanding>();
  /** Where moved placeholders may be by now. */
  readonly #arriving = new Map<string, Outstanding>();
  readonly #pathsByThunk = new Map<ObjectName, Set<string>>();
  readonly #places = new Map<ObjectName, Placement>();
  readonly #openSinceMs = new Map<string, number>();
  readonly #options: JournalOptions;
  #fd = -1;
  #lines = 0;
  /** Placements after the last look at which are needed. */
  #placesKept = 0;

  constructor(file: string, options: JournalOptions = {}) {
    this.#file = file;
    this.#options = options;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    let text = '';
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      // no journal yet
    }
    for (const line of text.split('\n')) {
      const record = line === '' ? undefined : decode(line);
      if (record) this.#apply(record);
    }
    for (const o of this.#arriving.values())
      if (placeholderAt(o.path) === o.ref) this.#apply({ t: 'p', ...o });
    this.#arriving.clear();
    // Nothing is under way yet.
    if (this.#byPath.size === 0) this.#places.clear();
    this.#compact();
  }

  #apply(record: JournalRecord): void {
    if (record.t === 'x') {
      this.#places.set(record.thunk, record.place);
      return;
    }
    if (record.t === 'o') {
      this.#openSinceMs.set(record.project, record.ms);
      return;
    }
    if (record.t === 'c') {
      this.#openSinceMs.delete(record.project);
      return;
    }
    if (record.t === 'm') {
      this.#arriving.set(record.path, outstandingOf(record));
      return;
    }
    if (record.t !== 'd') this.#arriving.delete(record.path);
    if (record.t === 'n') return;
    const before = this.#byPath.get(record.path);
    if (before) {
      const thunk = baseName(before.ref);
      const paths = this.#pathsByThunk.get(thunk);
      paths?.delete(record.path);
      if (paths?.size === 0) this.#pathsByThunk.delete(thunk);
      this.#byPath.delete(record.path);
    }
    if (record.t === 'd') return;
    this.#byPath.set(record.path, outstandingOf(record));
    const thunk = baseName(record.ref);
    const paths = this.#pathsByThunk.get(thunk);
    if (paths) paths.add(record.path);
    else this.#pathsByThunk.set(thunk, new Set([record.path]));
  }

  #append(record: JournalRecord): void {
    this.#apply(record);
    writeSync(this.#fd, encode(record));
    this.#lines++;
    if (this.#places.size > 2 * (this.#placesKept + this.#recentPlaces)) this.#dropPlaces();
    if (this.#lines > COMPACT_LINES && this.#lines > 8 * (this.#byPath.size + this.#places.size))
      this.#compact();
  }

  get #recentPlaces(): number {
    return this.#options.recentPlaces ?? RECENT_PLACES;
  }

  /** Forgets placements that no outstanding placeholder needs, but for the newest. */
  #dropPlaces(): void {
    const nothing = this.#byPath.size === 0 ? new Set<ObjectName>() : undefined;
    const needed = this.#options.needed ? this.#options.needed(this.outstanding()) : nothing;
    if (!needed) return;
    let old = this.#places.size - this.#recentPlaces;
    for (const name of this.#places.keys()) {
      if (old-- <= 0) break;
      if (!needed.has(name)) this.#places.delete(name);
    }
    this.#placesKept = this.#places.size;
  }

  /** Rewrites the file with what is outstanding, and with the placements of that. */
  #compact(): void {
    const lines: string[] = [];
    for (const [thunk, place] of this.#places) lines.push(encode({ t: 'x', thunk, place }));
    for (const o of this.#byPath.values()) lines.push(encode({ t: 'p', ...o }));
    for (const o of this.#arriving.values()) lines.push(encode({ t: 'm', ...o }));
    for (const [project, ms] of this.#openSinceMs)
      if (tryStat(project)?.isDirectory()) lines.push(encode({ t: 'o', project, ms }));
    const temporary = `${this.#file}.${process.pid}`;
    writeFileSync(temporary, lines.join(''), { mode: 0o600 });
    renameSync(temporary, this.#file);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = openSync(this.#file, 'a', 0o600);
    this.#lines = lines.length;
  }

  place(thunk: ObjectName, place: Placement): void {
    if (!this.#places.has(thunk)) this.#append({ t: 'x', thunk, place });
  }

  /** Placements remembered. */
  get places(): number {
    return this.#places.size;
  }

  placement(thunk: ObjectName): Placement | undefined {
    return this.#places.get(thunk);
  }

  /** To be called before the placeholder is written. */
  promise(outstanding: Outstanding): void {
    const { project } = outstanding;
    if (!this.#openSinceMs.has(project)) this.#append({ t: 'o', project, ms: Date.now() - CLOCK_STEP_MS });
    this.#append({ t: 'p', ...outstanding });
  }

  /** To be called before a placeholder is moved; `promise` follows when it was, else `notArrived`. */
  arriving(outstanding: Outstanding): void {
    this.#append({ t: 'm', ...outstanding });
  }

  notArrived(path: string): void {
    if (this.#arriving.has(path)) this.#append({ t: 'n', path });
  }

  /** Since when a project for which `concerns` holds may have placeholders, or archives of them; undefined: none has. */
  openSinceMs(concerns: (project: string) => boolean): number | undefined {
    const times = [...this.#openSinceMs].filter(([project]) => concerns(project)).map(([, ms]) => ms);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Everything below these projects was looked at, and is real. */
  closeProjects(concerns: (project: string) => boolean): void {
    for (const project of [...this.#openSinceMs.keys()])
      if (concerns(project)) this.#append({ t: 'c', project });
  }

  settle(path: string): void {
    if (this.#byPath.has(path)) this.#append({ t: 'd', path });
  }

  at(path: string): Outstanding | undefined {
    return this.#byPath.get(path);
  }

  pathsOf(thunk: ObjectName): readonly string[] {
    return [...(this.#pathsByThunk.get(thunk) ?? [])];
  }

  outstanding(): readonly Outstanding[] {
    return [...this.#byPath.values()];
  }

  get size(): number {
    return this.#byPath.size;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
