// Include search as libcpp does it: chains of directories, and one entry per (start of the search, name as written). Two
// includes are the same to the compiler when they share an entry, not when they name one file.

import type { Directory } from '../disk/directory.ts';
import type { FileEntry } from '../disk/file-entry.ts';
import type { LoadedProgram } from './programs.ts';
import { UnsupportedError } from '../macros/tokens.ts';
import type { Tree } from '../disk/tree.ts';

/** A place in the search order. */
export class SearchNode {
  /** As on the command line; '' is the working directory. */
  readonly spelled: string;
  readonly path: string;
  readonly system: number;
  readonly next: SearchNode | undefined;
  /** In one of the chains, whose directories are looked at before each unit. */
  readonly inChain: boolean;
  readonly entries = new Map<string, Entry>();
  readonly #below = new Map<string, string>();

  constructor(spelled: string, path: string, system: number, next: SearchNode | undefined, inChain = false) {
    this.spelled = spelled;
    this.path = path;
    this.system = system;
    this.next = next;
    this.inChain = inChain;
  }

  /** The spelled path of a directory below, the same string each time. */
  below(directory: string): string {
    let path = this.#below.get(directory);
    if (path === undefined) {
      path = join(this.spelled, directory);
      this.#below.set(directory, path);
    }
    return path;
  }
}

/** A directory as it was spelled. */
export interface Place {
  readonly spelled: string;
}

/** The names a search passed over, and the search it went on as. */
export interface Way {
  readonly name: string;
  /** Spelled paths that were not there, or places where the name was not. */
  readonly absent: readonly (Place | string)[];
  readonly rest: Way | undefined;
  /** As FileEntry's. */
  row: number;
}

/** Spelled paths that were not there, each once, in the order they were looked up. */
export function absentOf(searches: readonly Way[]): string[] {
  const ways = new Set<Way>();
  for (const search of searches)
    for (let at: Way | undefined = search; at && !ways.has(at); at = at.rest) ways.add(at);
  const absent = new Set<string>();
  for (const { name, absent: places } of ways)
    for (const place of places) absent.add(typeof place === 'string' ? place : join(place.spelled, name));
  return [...absent];
}

/** An entry and those its search went on to. */
export function* wayOf(entry: Entry): Generator<Entry> {
  for (let at: Entry | undefined = entry; at; at = at.rest) yield at;
}

/** What a search from one place for one name gives. The last fields are a unit's own, valid while `unit` is its number. */
export interface Entry {
  /** The entry that counts: another one when the search went on into a chain's head. */
  readonly final: Entry;
  readonly name: string;
  readonly node: SearchNode | undefined;
  /** Undefined: not found. */
  readonly file: FileEntry | undefined;
  /** The same search from the head of a chain, which this one went on to; what follows is of the way to there. */
  rest: Entry | undefined;
  /** As the compiler spells it. */
  readonly path: string;
  /** Directories that were looked into, beyond those of the chains. */
  directories: readonly Directory[];
  /** Names that were passed over: directories, dangling links. */
  skipped: readonly FileEntry[];
  /** Precompiled headers where the search came by. */
  precompiled: readonly string[];
  /** As Way's. */
  absent: readonly (Place | string)[];
  /** The tree's when the search was made. */
  shape: number;
  /** The tree's when the search was last found to hold. */
  epoch: number;
  /** The file's program that was used last, if the file is still what it was. */
  loaded: LoadedProgram | undefined;
  /** As FileEntry's. */
  row: number;
  unit: number;
  stacked: boolean;
  once: boolean;
  /** The symbol that keeps a stacked file from being read again; -1: none, or it depends. */
  guard: number;
  /** __has_include has already said that there is none. */
  denied: boolean;
  /** The place quote includes of this file start at. */
  beside: SearchNode | undefined;
}

type Mutable = Omit<Entry, 'final'> & { final: Entry | undefined };

export interface SearchPaths {
  readonly quote: readonly string[];
  readonly bracket: readonly string[];
  /** With the compiler's own directories and -idirafter at the end. */
  readonly system: readonly string[];
  readonly canonical: boolean;
}

function tidy(path: string): string {
  const short = path.replace(/\/(?:\.?\/)+/g, '/').replace(/\/\.?$/, '');
  return short === '' ? '/' : short;
}

/** @returns the literal absolute path; only "." and doubled slashes are dropped. */
export function absolutePath(cwd: string, path: string): string {
  if (path.startsWith('/')) return tidy(path);
  return tidy(`${cwd}/${path}`);
}

function join(directory: string, name: string): string {
  return directory === '' || directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

/** What a search comes by; see Entry. */
interface Notes {
  readonly directories: Directory[];
  readonly skipped: FileEntry[];
  readonly precompiled: string[];
  readonly absent: (Place | string)[];
}

interface Candidate {
  readonly spelled: string;
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

export class Search {
  readonly #tree: Tree;
  readonly #cwd: string;
  readonly #canonical: boolean;
  /** All directories that were asked for, existing or not, with what stood there when the chains were made. */
  readonly #basis: readonly {
    readonly directory: Directory;
    readonly exists: boolean;
    readonly dev: number;
    readonly ino: number;
  }[];
  readonly #made = new Map<string, SearchNode>();
  readonly quoteHead: SearchNode | undefined;
  readonly bracketHead: SearchNode | undefined;
  /** For absolute paths and the source itself. */
  readonly nowhere: SearchNode;

  constructor(tree: Tree, cwd: string, paths: SearchPaths) {
    this.#tree = tree;
    this.#cwd = cwd;
    this.#canonical = paths.canonical;
    this.nowhere = new SearchNode('', cwd, 0, undefined);
    const basis: Directory[] = [];
    const existing = (spelled: readonly string[]): Candidate[] =>
      spelled.flatMap((path) => {
        const absolute = absolutePath(cwd, path);
        const directory = tree.directory(absolute);
        basis.push(directory);
        return directory.exists
          ? [{ spelled: path, path: absolute, dev: directory.dev, ino: directory.ino }]
          : [];
      });
    const same = (a: Candidate, b: Candidate): boolean => a.ino === b.ino && a.dev === b.dev;
    const unique = (
      list: Candidate[],
      system: readonly Candidate[],
      join: Candidate | undefined,
    ): Candidate[] => {
      const kept: Candidate[] = [];
      for (const [i, candidate] of list.entries()) {
        if (system.some((other) => same(other, candidate)) || kept.some((other) => same(other, candidate)))
          continue;
        // The last one may be the head of what follows.
        if (i === list.length - 1 && join && same(join, candidate)) continue;
        kept.push(candidate);
      }
      return kept;
    };
    const system = unique(existing(paths.system), [], undefined);
    const bracket = unique(existing(paths.bracket), system, system[0]);
    const quote = unique(existing(paths.quote), system, bracket[0]);
    const chain = (
      list: readonly Candidate[],
      flag: number,
      tail: SearchNode | undefined,
    ): SearchNode | undefined =>
      list.reduceRight<SearchNode | undefined>(
        (next, c) => new SearchNode(c.spelled, c.path, flag, next, true),
        tail,
      );
    this.bracketHead = chain(bracket, 0, chain(system, 1, undefined));
    this.quoteHead = chain(quote, 0, this.bracketHead);
    this.#basis = basis.map((directory) => ({
      directory,
      exists: directory.exists,
      dev: directory.dev,
      ino: directory.ino,
    }));
  }

  /** Looks at the chains' directories. @returns false when they have to be made anew. */
  isCurrent(): boolean {
    const { epoch } = this.#tree;
    for (const { directory, exists, dev, ino } of this.#basis) {
      if (directory.epoch !== epoch) this.#tree.validate(directory);
      if (directory.exists !== exists || (exists && (directory.dev !== dev || directory.ino !== ino)))
        return false;
    }
    return true;
  }

  /** The directories of the chains, for a unit's memo. */
  directories(): Directory[] {
    return this.#basis.map((part) => part.directory);
  }

  /** The place of includes in quotes from a file: its own directory. */
  beside(path: string, system: number): SearchNode {
    const spelled = path.slice(0, path.lastIndexOf('/') + 1);
    const key = `${system}${spelled}`;
    let node = this.#made.get(key);
    if (!node) {
      node = new SearchNode(
        spelled,
        absolutePath(this.#cwd, spelled === '' ? '.' : spelled),
        system,
        this.quoteHead,
      );
      this.#made.set(key, node);
    }
    return node;
  }

  /** What a search from `node` gives; the file of its `final` is undefined when there is none. */
  find(node: SearchNode, name: string): Entry {
    const known = node.entries.get(name);
    if (known && (this.stillHolds(known) || this.#holds(known))) return known;
    return this.#search(node, name);
  }

  /** Nothing needs to be looked at: that was done in this epoch, and nothing was found changed since. */
  stillHolds(entry: Entry): boolean {
    return entry.epoch === this.#tree.epoch && entry.shape === this.#tree.shape;
  }

  #holds(entry: Entry): boolean {
    const tree = this.#tree;
    if (entry.shape !== tree.shape) return false;
    for (const directory of entry.directories) if (directory.epoch !== tree.epoch) tree.validate(directory);
    if (entry.shape !== tree.shape) return false;
    for (const file of entry.skipped) if (file.epoch !== tree.epoch) tree.validateFile(file);
    const { file, rest } = entry;
    if (file && file.epoch !== tree.epoch) tree.validateFile(file);
    if (entry.shape !== tree.shape || (rest !== undefined && !this.#holds(rest))) return false;
    entry.epoch = tree.epoch;
    return true;
  }

  #search(start: SearchNode, name: string): Entry {
    const notes: Notes = { directories: [], skipped: [], precompiled: [], absent: [] };
    let node: SearchNode | undefined = start;
    while (node) {
      const found = this.#look(node, name, notes);
      if (found) return this.#remember(start, name, { node, file: found, ...notes });
      if (node === this.nowhere) break;
      node = node.next;
      if (node && (node === this.quoteHead || node === this.bracketHead)) {
        const shared = this.find(node, name);
        return this.#remember(start, name, { final: shared.final, rest: shared, ...notes });
      }
    }
    return this.#remember(start, name, notes);
  }

  #remember(
    start: SearchNode,
    name: string,
    found: {
      readonly final?: Entry;
      readonly rest?: Entry;
      readonly node?: SearchNode;
      readonly file?: FileEntry;
    } & Readonly<Notes>,
  ): Entry {
    const path = found.node && found.file ? this.#spell(found.node, name, found.file) : name;
    const old = start.entries.get(name);
    // The same answer keeps its entry: a unit in progress may have a say about it.
    if (
      old &&
      old.file === found.file &&
      old.path === path &&
      old.node === found.node &&
      old.final === (found.final ?? old)
    ) {
      old.rest = found.rest;
      old.directories = found.directories;
      old.skipped = found.skipped;
      old.precompiled = found.precompiled;
      old.absent = found.absent;
      old.shape = this.#tree.shape;
      old.epoch = -1;
      return old;
    }
    const entry: Mutable = {
      final: undefined,
      name,
      node: found.node,
      file: found.file,
      rest: found.rest,
      path,
      directories: found.directories,
      skipped: found.skipped,
      precompiled: found.precompiled,
      absent: found.absent,
      shape: this.#tree.shape,
      epoch: -1,
      loaded: undefined,
      row: -1,
      unit: -1,
      stacked: false,
      once: false,
      guard: -1,
      denied: false,
      beside: undefined,
    };
    const whole = entry as Entry;
    entry.final = found.final ?? whole;
    start.entries.set(name, whole);
    return whole;
  }

  #look(node: SearchNode, name: string, notes: Notes): FileEntry | undefined {
    const { directories, skipped, precompiled, absent } = notes;
    const tree = this.#tree;
    const parts = name.split('/');
    const last = parts.pop()!;
    const rooted = name.startsWith('/');
    const first = tree.directory(rooted ? '/' : node.path);
    const known = node.inChain && !rooted;
    let directory: Directory | undefined = first;
    for (const [i, part] of parts.entries()) {
      if (directory !== first || !known) directories.push(directory);
      if (directory.unlistable) throw new UnsupportedError(`${directory.path} cannot be listed`);
      directory = tree.child(directory, part);
      if (!directory?.exists) {
        if (directory) directories.push(directory);
        const below = parts
          .slice(0, i + 1)
          .filter((name) => name !== '')
          .join('/');
        absent.push(rooted ? `/${below}` : node.below(below));
        return undefined;
      }
    }
    if (directory !== first || !known) directories.push(directory);
    if (directory.unlistable) throw new UnsupportedError(`${directory.path} cannot be listed`);
    const pch = `${last}.gch`;
    if (directory.names.has(pch)) precompiled.push(`${rooted ? name : join(node.spelled, name)}.gch`);
    const file = directory.exists ? tree.file(directory, last) : undefined;
    if (file && file.kind !== 'directory' && file.kind !== 'gone') return file;
    if (file) skipped.push(file);
    absent.push(rooted ? name : node);
    return undefined;
  }

  /** In system directories the path without symlinks counts, if that is shorter. */
  #spell(node: SearchNode, name: string, file: FileEntry): string {
    const path = node === this.nowhere ? name : join(node.spelled, name);
    if (!this.#canonical || node.system === 0) return path;
    const real = file.realPath();
    return Buffer.byteLength(real) < Buffer.byteLength(path) ? real : path;
  }
}
