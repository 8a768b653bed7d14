// What outlives a server: the compiler's answers and lexed files. A file that is damaged, or of another version, counts as
// missing.
//
// Form of the files (version 4): "gg-scan VERSION SHA256\n", then what the sum is over. `answers`: JSON, key to answers.
// `programs`: JSON of the symbols in the order of their numbers, "\n", then one line per program
//   PATH "\t" IDENTITY "\t" MODE "\t" OFFSET "\t" COUNT "\t" JSON of the rest
// an empty line, and the operations of all programs as 32-bit little-endian integers (OFFSET and COUNT count those).
// `units`: see unit-snapshot.ts.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import type { ConfigCache, ConfigData } from '../compiler/config.ts';
import { identityText } from '../disk/file-entry.ts';
import type { Marks } from '../text/file-facts.ts';
import type { Program } from '../text/program.ts';
import type { ProgramCache, Programs } from '../walk/programs.ts';
import type { Symbols } from '../text/symbols.ts';
import type { Tree } from '../disk/tree.ts';
import type { UnitMemo } from './unit-memo.ts';
import { readUnits, writeUnits } from './unit-snapshot.ts';

const VERSION = 4;
const ANSWERS = 'answers';
const PROGRAMS = 'programs';
const UNITS = 'units';
/** Flag sets remembered; the oldest go first. */
const CONFIGS_MAX = 500;
/** Bytes of `programs`; beyond it only what this server used is kept. */
const PROGRAMS_BYTES_MAX = 128 * 1024 * 1024;

/** Bytes of `units`; beyond it the younger half is kept. */
const UNITS_BYTES_MAX = 64 * 1024 * 1024;

interface Rest {
  readonly includes: Program['includes'];
  readonly conditions: Program['conditions'];
  readonly details: Program['details'];
  readonly guard: number;
  readonly marks: Marks;
}

interface Stored {
  readonly identity: string;
  readonly mode: number;
  readonly ops: Int32Array;
  /** JSON of Rest. */
  readonly rest: string;
}

export class Snapshot implements ConfigCache, ProgramCache {
  readonly #directory: string | undefined;
  readonly #symbols: Symbols;
  #configs = new Map<string, ConfigData>();
  /** By mode and path. */
  #programs = new Map<string, Stored>();
  #loaded = false;
  #programsLoaded = false;
  #configsChanged = false;

  constructor(directory: string | undefined, symbols: Symbols) {
    this.#directory = directory;
    this.#symbols = symbols;
  }

  /** To be called before any look at the disk. */
  load(tree: Tree, memo: UnitMemo): void {
    if (this.#loaded) return;
    this.#loaded = true;
    const answers = this.#read(ANSWERS);
    if (answers) this.#configs = new Map(Object.entries(JSON.parse(answers.toString()) as object));
    const units = this.#read(UNITS);
    try {
      if (units) readUnits(units, tree, memo);
    } catch {
      // Not ours, whatever its sum says: units are evaluated again.
    }
  }

  /** To be called before any symbol is made: the stored numbers are the numbers of this process then. */
  loadPrograms(): void {
    if (this.#programsLoaded) return;
    this.#programsLoaded = true;
    const programs = this.#read(PROGRAMS);
    if (programs && endianness() === 'LE') this.#readPrograms(programs);
  }

  get(key: string): ConfigData | undefined {
    return this.#configs.get(key);
  }

  set(key: string, data: ConfigData): void {
    this.#configs.delete(key);
    this.#configs.set(key, data);
    this.#configsChanged = true;
    if (this.#configs.size > CONFIGS_MAX) this.#configs.delete(this.#configs.keys().next().value as string);
  }

  program(
    path: string,
    identity: string,
    mode: number,
  ): { readonly program: Program; readonly marks: Marks } | undefined {
    const stored = this.#programs.get(`${mode} ${path}`);
    if (stored?.identity !== identity) return undefined;
    const { marks, ...rest } = JSON.parse(stored.rest) as Rest;
    // JSON has no undefined.
    return {
      program: { ops: stored.ops, ...rest },
      marks: { ...marks, assembler: marks.assembler ?? undefined },
    };
  }

  /** Writes what is new; does nothing without a directory. @throws never: a cache that cannot be written is no loss. */
  save(programs: Programs, memo: UnitMemo): void {
    if (this.#directory === undefined) return;
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      if (this.#configsChanged)
        this.#write(ANSWERS, Buffer.from(JSON.stringify(Object.fromEntries(this.#configs))));
      this.#configsChanged = false;
      if (programs.takeNews() && endianness() === 'LE') this.#writePrograms(programs);
      if (memo.takeNews()) this.#writeUnits(memo);
    } catch {
      // A full or read-only disk: the next server lexes again.
    }
  }

  #read(name: string): Buffer | undefined {
    if (this.#directory === undefined) return undefined;
    try {
      const file = readFileSync(join(this.#directory, name));
      const end = file.indexOf(10);
      const [magic, version, sum] = file.toString('latin1', 0, end).split(' ');
      const body = file.subarray(end + 1);
      if (magic !== 'gg-scan' || Number(version) !== VERSION || sum !== sumOf(body)) return undefined;
      return body;
    } catch {
      return undefined;
    }
  }

  #write(name: string, body: Buffer): void {
    const path = join(this.#directory!, name);
    const temporary = `${path}.${process.pid}`;
    try {
      writeFileSync(temporary, Buffer.concat([Buffer.from(`gg-scan ${VERSION} ${sumOf(body)}\n`), body]), {
        mode: 0o600,
      });
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  #readPrograms(body: Buffer): void {
    const symbolsEnd = body.indexOf(10);
    const linesEnd = body.indexOf('\n\n', symbolsEnd);
    const { names, macros } = JSON.parse(body.toString('utf8', 0, symbolsEnd)) as {
      names: readonly string[];
      macros: readonly string[];
    };
    if (!this.#symbols.restore(names, macros)) return;
    // A copy: the integers must lie at a multiple of four.
    const bytes = new Uint8Array(body.subarray(linesEnd + 2));
    const ops = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
    for (const line of body.toString('utf8', symbolsEnd + 1, linesEnd).split('\n')) {
      const [path, identity, mode, offset, count, rest] = line.split('\t');
      if (rest === undefined) continue;
      const from = Number(offset);
      this.#programs.set(`${mode} ${path}`, {
        identity: identity!,
        mode: Number(mode),
        ops: ops.subarray(from, from + Number(count)),
        rest,
      });
    }
  }

  #writePrograms(programs: Programs): void {
    const used = new Map<string, Stored>();
    for (const { file, loaded } of programs.entries()) {
      const { program, marks, mode } = loaded;
      if (!file.settled || /[\t\n]/.test(file.path)) continue;
      const { ops, ...rest } = program;
      const text: Rest = { ...rest, marks };
      used.set(`${mode} ${file.path}`, {
        identity: identityText(file.identity!),
        mode,
        ops,
        rest: JSON.stringify({ ...text, marks: { ...marks, assembler: marks.assembler ?? null } }),
      });
    }
    const all = new Map([...this.#programs, ...used]);
    const body = this.#programsBody(all);
    this.#write(PROGRAMS, body.length > PROGRAMS_BYTES_MAX ? this.#programsBody(used) : body);
    this.#programs = all;
  }

  #writeUnits(memo: UnitMemo): void {
    let units = memo.size;
    let body = writeUnits(memo, units);
    while (body.length > UNITS_BYTES_MAX) {
      units >>= 1;
      body = writeUnits(memo, units);
    }
    this.#write(UNITS, body);
  }

  #programsBody(programs: ReadonlyMap<string, Stored>): Buffer {
    const lines: string[] = [];
    let count = 0;
    for (const [key, { identity, mode, ops, rest }] of programs) {
      const path = key.slice(key.indexOf(' ') + 1);
      lines.push(`${path}\t${identity}\t${mode}\t${count}\t${ops.length}\t${rest}\n`);
      count += ops.length;
    }
    const ops = new Int32Array(count);
    let at = 0;
    for (const stored of programs.values()) {
      ops.set(stored.ops, at);
      at += stored.ops.length;
    }
    const head = `${JSON.stringify(this.#symbols.dump())}\n${lines.join('')}\n`;
    return Buffer.concat([Buffer.from(head), Buffer.from(ops.buffer)]);
  }
}

function sumOf(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}
