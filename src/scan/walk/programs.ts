// Programs of files: lexed when first met, remembered by content, and taken from an earlier server's memory if it has them.
import type { Conditions, Expandable, HeaderName } from '../macros/conditions.ts';
import { type FileEntry, identityText } from '../disk/file-entry.ts';
import { lexFile } from '../text/lexer.ts';
import { type Marks, marksOf } from '../text/file-facts.ts';
import { MODE } from '../text/mode.ts';
import type { Program } from '../text/program.ts';
import type { Entry, SearchNode } from './search.ts';
import type { Symbols } from '../text/symbols.ts';

/** A program and what evaluating it taught. */
export class LoadedProgram {
  readonly program: Program;
  readonly mode: number;
  readonly marks: Marks;
  /** The file's when this was made of it. */
  readonly version: number;
  /** By include directive: where the last search for it began, and what it gave. */
  readonly starts: (SearchNode | undefined)[] = [];
  readonly founds: (Entry | undefined)[] = [];
  readonly #conditions: Conditions;
  readonly #texts: (Expandable<boolean> | undefined)[] = [];
  readonly #operands: (Expandable<HeaderName> | undefined)[] = [];

  constructor(program: Program, mode: number, marks: Marks, version: number, conditions: Conditions) {
    this.program = program;
    this.version = version;
    this.mode = mode;
    this.marks = marks;
    this.#conditions = conditions;
  }

  condition(index: number): Expandable<boolean> {
    let condition = this.#texts[index];
    if (!condition) {
      condition = this.#conditions.condition(this.program.conditions[index]!, this.mode);
      this.#texts[index] = condition;
    }
    return condition;
  }

  operand(index: number): Expandable<HeaderName> {
    let operand = this.#operands[index];
    if (!operand) {
      operand = { text: this.program.includes[index]!.name, tokens: undefined, variants: [] };
      this.#operands[index] = operand;
    }
    return operand;
  }
}

/** What an earlier server lexed. */
export interface ProgramCache {
  program(
    path: string,
    identity: string,
    mode: number,
  ): { readonly program: Program; readonly marks: Marks } | undefined;
}

/** Programs of one file; there are as many as ways to lex it. */
interface Shelf {
  /** The file's when they were made. */
  readonly version: number;
  readonly programs: LoadedProgram[];
}

export class Programs {
  readonly #symbols: Symbols;
  readonly #conditions: Conditions;
  readonly #cache: ProgramCache;
  readonly #shelves = new Map<FileEntry, Shelf>();
  #lexed = 0;
  #news = false;

  constructor(symbols: Symbols, conditions: Conditions, cache: ProgramCache) {
    this.#symbols = symbols;
    this.#conditions = conditions;
    this.#cache = cache;
  }

  /** Files lexed so far. */
  get lexed(): number {
    return this.#lexed;
  }

  /** @returns undefined for what cannot be read. */
  of(file: FileEntry, mode: number): LoadedProgram | undefined {
    let shelf = this.#shelves.get(file);
    if (shelf?.version !== file.version) {
      shelf = { version: file.version, programs: [] };
      this.#shelves.set(file, shelf);
    }
    for (const program of shelf.programs) if (program.mode === mode) return program;
    const loaded = this.#load(file, mode);
    if (loaded) shelf.programs.push(loaded);
    return loaded;
  }

  #load(file: FileEntry, mode: number): LoadedProgram | undefined {
    if (file.kind !== 'file') return undefined;
    const known = this.#cache.program(file.path, identityText(file.identity!), mode);
    if (known) return new LoadedProgram(known.program, mode, known.marks, file.version, this.#conditions);
    const content = file.content();
    if (!content) return undefined;
    this.#lexed++;
    this.#news = true;
    const bytes = content.bytes();
    const program = lexFile(bytes, mode, this.#symbols);
    const marks = marksOf(bytes, (mode & MODE.assembler) !== 0);
    // What may yet change unseen is compared by its bytes.
    if (!file.settled) content.digest();
    content.release();
    return new LoadedProgram(program, mode, marks, file.version, this.#conditions);
  }

  /** Whether anything was lexed since the last call. */
  takeNews(): boolean {
    const news = this.#news;
    this.#news = false;
    return news;
  }

  /** What is worth keeping for the next server. */
  *entries(): Generator<{ readonly file: FileEntry; readonly loaded: LoadedProgram }> {
    for (const [file, { programs }] of this.#shelves) for (const loaded of programs) yield { file, loaded };
  }
}
