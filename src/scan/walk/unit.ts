// Walks one translation unit: the directives of the source and of everything it includes, in the compiler's order.
import type { Conditions, Expandable, HeaderName, Scene } from '../macros/conditions.ts';
import type { Config } from '../compiler/config.ts';
import { ConditionError } from '../macros/expression.ts';
import type { FileEntry } from '../disk/file-entry.ts';
import type { Marks } from '../text/file-facts.ts';
import { MODE } from '../text/mode.ts';
import { type Include, OP, OP_STRIDE } from '../text/program.ts';
import type { LoadedProgram, Programs } from './programs.ts';
import type { ScanIncompleteReason } from '../scanner.ts';
import type { Entry, Search, SearchNode } from './search.ts';
import { Stop } from '../stop.ts';
import { UNDEFINED } from '../text/symbols.ts';
import { UnsupportedError } from '../macros/tokens.ts';
import type { Workspace } from '../macros/workspace.ts';

/** gcc's limit on nested includes. */
const DEPTH_MAX = 200;
/** Files read over and over; a unit beyond this would hold up the server. */
const INCLUDES_MAX = 200_000;

/** A file in the order of first reading. */
export interface Listed {
  readonly path: string;
  readonly file: FileEntry;
  readonly system: boolean;
  readonly marks: Marks;
}

export interface UnitParts {
  readonly search: Search;
  readonly config: Config;
  readonly conditions: Conditions;
  readonly programs: Programs;
  readonly mode: number;
  readonly workspace: Workspace;
  readonly clock: Clock;
}

/** When to let others have their turn, by performance.now(). */
export interface Clock {
  pauseAtMs: number;
}

interface Frame {
  readonly entry: Entry;
  readonly depth: number;
  /** #pragma GCC system_header raises it midway. */
  system: number;
  readonly loaded: LoadedProgram;
  /** The next of its operations. */
  at: number;
}

let unitsEver = 0;

export class Unit implements Scene {
  readonly config: Config;
  readonly mode: number;
  macros: Int32Array;
  depth = 0;
  readonly files: Listed[] = [];
  /** Every search, once; for negative lookups and for what the result depends on. */
  readonly searches: Entry[] = [];
  /** Files found by __has_include, spelled. */
  readonly probed = new Set<string>();
  readonly #parts: UnitParts;
  readonly #search: Search;
  readonly #number: number;
  readonly #besides = new Map<string, SearchNode>();
  /** Files to be read only once. */
  readonly #once: Entry[] = [];
  /** Bytes of each of them. */
  readonly #onceSizes = new Set<number>();
  readonly #pushed = new Map<number, number[]>();
  #frame: Frame | undefined;
  #includes = 0;

  constructor(parts: UnitParts) {
    this.#parts = parts;
    this.#search = parts.search;
    this.config = parts.config;
    this.mode = parts.mode;
    this.macros = parts.workspace.macros;
    this.#number = ++unitsEver;
  }

  /**
   * Yields between two files when the clock says so; nothing else may use the workspace until it is at its end.
   * @param preinclude the header the compiler includes by itself, if there.
   * @throws Stop, OpenQuestion
   */
  *walk(
    source: string,
    imacros: readonly string[],
    preinclude: string | undefined,
    includes: readonly string[],
  ): Generator<void, void> {
    const main = this.#find(this.#search.nowhere, source);
    if (!main.file) throw new Stop('missing-file', source, false);
    const program = this.#program(main, 0);
    main.stacked = true;
    this.#list(main, 0, program);
    const frame: Frame = { entry: main, depth: 0, system: 0, loaded: program, at: 0 };
    this.#frame = frame;
    const start = this.#beside('./', 0);
    for (const name of imacros) yield* this.#run(this.#include(start, name, false, frame));
    if (preinclude !== undefined && this.#search.bracketHead) {
      const entry = this.#find(this.#search.bracketHead, preinclude);
      if (entry.file) yield* this.#run(this.#stack(entry, false, frame));
    }
    for (const name of includes) yield* this.#run(this.#include(start, name, false, frame));
    yield* this.#run(frame);
  }

  *#run(first: Frame | undefined): Generator<void, void> {
    const stack = first ? [first] : [];
    for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
      this.#frame = frame;
      this.depth = frame.depth;
      const inner = this.#advance(frame);
      if (inner) stack.push(inner);
      else stack.pop();
      if (inner && performance.now() > this.#parts.clock.pauseAtMs) yield;
    }
  }

  hasInclude(header: HeaderName, next: boolean): boolean {
    const frame = this.#frame!;
    const entry = this.#find(this.#start(header, next, frame), header.name);
    if (entry.file) this.probed.add(entry.path);
    else entry.denied = true;
    return entry.file !== undefined;
  }

  /** The entry that counts for a search, fresh in this unit. */
  #find(node: SearchNode, name: string): Entry {
    let entry: Entry;
    try {
      entry = this.#search.find(node, name);
    } catch (error) {
      if (error instanceof UnsupportedError) throw new Stop('unreadable-file', error.message, true);
      throw error;
    }
    return this.#final(entry);
  }

  #final(entry: Entry): Entry {
    if (entry.unit !== this.#number) this.#adopt(entry);
    const { final } = entry;
    if (final !== entry && final.unit !== this.#number) this.#adopt(final);
    return final;
  }

  #adopt(entry: Entry): void {
    entry.unit = this.#number;
    entry.stacked = false;
    entry.once = false;
    entry.denied = false;
    entry.beside = undefined;
    this.searches.push(entry);
  }

  /** The first use of a directory in a unit decides whether it counts as a system directory. */
  #beside(path: string, system: number): SearchNode {
    const spelled = path.slice(0, path.lastIndexOf('/') + 1);
    let node = this.#besides.get(spelled);
    if (!node) {
      node = this.#search.beside(path, system);
      this.#besides.set(spelled, node);
    }
    return node;
  }

  #start(header: HeaderName, next: boolean, frame: Frame): SearchNode {
    const { entry } = frame;
    let node: SearchNode | undefined;
    if (next && frame.depth > 0 && entry.node !== this.#search.nowhere) node = entry.node!.next;
    else if (header.name.startsWith('/')) node = this.#search.nowhere;
    else if (header.form === 'angle') node = this.#search.bracketHead;
    else {
      entry.beside ??= this.#beside(entry.path, frame.system);
      node = entry.beside;
    }
    if (!node) throw new Stop('preprocessor-error', `nowhere to look for ${header.name}`, true);
    return node;
  }

  #include(start: SearchNode, name: string, once: boolean, frame: Frame): Frame | undefined {
    const node = name.startsWith('/') ? this.#search.nowhere : start;
    return this.#read(this.#find(node, name), name, once, frame);
  }

  #read(entry: Entry, name: string, once: boolean, frame: Frame): Frame | undefined {
    if (entry.file) return this.#stack(entry, once, frame);
    // gcc passes silently over an #include of what __has_include has looked for in vain.
    if (!entry.denied) throw new Stop('missing-file', name, false);
    return undefined;
  }

  #program(entry: Entry, system: number): LoadedProgram {
    // Strict C90 has line comments in system headers.
    const mode = system > 0 ? this.mode | MODE.lineComments : this.mode;
    const file = entry.file!;
    const last = entry.loaded;
    let program = last;
    if (last?.mode !== mode || last.version !== file.version) program = this.#parts.programs.of(file, mode);
    entry.loaded = program;
    this.#parts.workspace.grow();
    this.macros = this.#parts.workspace.macros;
    if (!program) throw new Stop('unreadable-file', entry.path, true);
    return program;
  }

  /** @returns a file to be read now; undefined when it is one that is read only once. */
  #stack(entry: Entry, once: boolean, from: Frame): Frame | undefined {
    if (entry.once) return undefined;
    if (!once && entry.stacked && entry.guard >= 0 && this.macros[entry.guard] !== UNDEFINED)
      return undefined;
    if (once) {
      this.#markOnce(entry);
      if (entry.stacked) return undefined;
    }
    const system = Math.max(from.system, entry.node!.system);
    const program = this.#program(entry, system);
    const { guard } = program.program;
    if (entry.stacked && guard >= 0 && this.macros[guard] !== UNDEFINED) return undefined;
    if ((once || this.#once.length > 0) && this.#isTwin(entry, once)) return undefined;
    if (from.depth + 1 >= DEPTH_MAX || ++this.#includes > INCLUDES_MAX)
      throw new Stop('too-deep', entry.path, false);
    if (!entry.stacked) {
      entry.stacked = true;
      // Where a system header is lexed another way it may have another guard.
      entry.guard = this.mode & MODE.lineComments ? guard : -1;
      this.#list(entry, system, program);
    }
    return { entry, depth: from.depth + 1, system, loaded: program, at: 0 };
  }

  #list(entry: Entry, system: number, { marks }: LoadedProgram): void {
    this.files.push({ path: entry.path, file: entry.file!, system: system > 0, marks });
  }

  #markOnce(entry: Entry): void {
    if (entry.once) return;
    entry.once = true;
    this.#once.push(entry);
    if (entry.file) this.#onceSizes.add(entry.file.identity!.sizeBytes);
  }

  /** Equal in size, time (in seconds) and bytes to a file that is read once: the same file to the compiler. */
  #isTwin(entry: Entry, once: boolean): boolean {
    const mine = entry.file!.identity!;
    if (!once && !this.#onceSizes.has(mine.sizeBytes)) return false;
    const candidates = once ? this.searches : this.#once;
    for (const other of candidates) {
      if (other === entry || !other.file || other.final !== other) continue;
      const theirs = other.file.identity!;
      if (theirs.sizeBytes !== mine.sizeBytes) continue;
      if (Math.floor(theirs.mtimeMs / 1000) !== Math.floor(mine.mtimeMs / 1000)) continue;
      if (other.file === entry.file) return true;
      const content = entry.file!.content();
      if (content && content.digest() === other.file.content()?.digest()) return true;
    }
    return false;
  }

  /** Runs a file up to the next one it includes. @returns that; undefined at its end. */
  #advance(frame: Frame): Frame | undefined {
    const { loaded } = frame;
    const { program } = loaded;
    const { ops } = program;
    let { macros } = this;
    let { at } = frame;
    while (at < ops.length) {
      const a = ops[at + 1]!;
      switch (ops[at]) {
        case OP.DEFINE:
          macros[a] = ops[at + 2]!;
          break;
        case OP.UNDEF:
          macros[a] = UNDEFINED;
          break;
        case OP.IFDEF:
          if (macros[a] === UNDEFINED) {
            at = ops[at + 2]!;
            continue;
          }
          break;
        case OP.IFNDEF:
          if (macros[a] !== UNDEFINED) {
            at = ops[at + 2]!;
            continue;
          }
          break;
        case OP.IF:
          if (!this.#holds(loaded, a)) {
            at = ops[at + 2]!;
            continue;
          }
          break;
        case OP.JUMP:
          at = ops[at + 2]!;
          continue;
        case OP.INCLUDE: {
          const inner = this.#includeDirective(loaded, a, frame);
          if (inner) {
            frame.at = at + OP_STRIDE;
            return inner;
          }
          macros = this.macros;
          break;
        }
        case OP.ONCE:
          this.#markOnce(frame.entry);
          break;
        case OP.SYSTEM_HEADER:
          if (frame.depth > 0) frame.system = 1;
          break;
        case OP.PUSH: {
          const stack = this.#pushed.get(a) ?? [];
          stack.push(macros[a]!);
          this.#pushed.set(a, stack);
          break;
        }
        case OP.POP: {
          const macro = this.#pushed.get(a)?.pop();
          if (macro !== undefined) macros[a] = macro;
          break;
        }
        case OP.ERROR:
          throw new Stop('preprocessor-error', `${frame.entry.path}: ${program.details[a]}`, false);
        case OP.TARGET:
          if (frame.system === 0)
            throw new Stop('unsupported-directive', `${frame.entry.path}: ${program.details[a]}`, false);
          break;
        default:
          throw this.#beyond(frame, program.details[a]!);
      }
      at += OP_STRIDE;
    }
    return undefined;
  }

  #beyond(frame: Frame, detail: string): Stop {
    const reason: ScanIncompleteReason =
      detail === 'trigraphs' ? 'trigraphs' : detail === 'not UTF-8' ? 'not-utf8' : 'unsupported-directive';
    return new Stop(reason, `${frame.entry.path}: ${detail}`, reason !== 'not-utf8');
  }

  #guarded<T>(frame: Frame, evaluate: () => T): T {
    try {
      return evaluate();
    } catch (error) {
      if (error instanceof UnsupportedError) throw this.#beyond(frame, error.message);
      if (error instanceof ConditionError)
        throw new Stop('preprocessor-error', `${frame.entry.path}: ${error.message}`, true);
      throw error;
    }
  }

  #holds(loaded: LoadedProgram, index: number): boolean {
    const condition = loaded.condition(index);
    const known = this.#parts.conditions.known(condition, this);
    if (known !== undefined) return known;
    return this.#guarded(this.#frame!, () => this.#parts.conditions.holds(condition, this));
  }

  #includeDirective(loaded: LoadedProgram, index: number, frame: Frame): Frame | undefined {
    const include: Include = loaded.program.includes[index]!;
    let header: HeaderName;
    if (include.form === 'macro') {
      const operand: Expandable<HeaderName> = loaded.operand(index);
      const { conditions } = this.#parts;
      header =
        conditions.known(operand, this) ?? this.#guarded(frame, () => conditions.header(operand, this));
    } else header = include as HeaderName;
    const place = this.#start(header, include.directive === 'include_next', frame);
    const start = header.name.startsWith('/') ? this.#search.nowhere : place;
    const once = include.directive === 'import';
    if (include.form === 'macro') return this.#read(this.#find(start, header.name), header.name, once, frame);
    const last = loaded.founds[index];
    let entry: Entry;
    if (last && loaded.starts[index] === start && this.#search.stillHolds(last)) entry = this.#final(last);
    else {
      entry = this.#find(start, header.name);
      loaded.starts[index] = start;
      loaded.founds[index] = start.entries.get(header.name);
    }
    return this.#read(entry, header.name, once, frame);
  }
}
