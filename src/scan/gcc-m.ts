// The scanner that asks the compiler itself: `gcc -M`, and `gcc -MM` for what counts as a system header. Slow and right;
// the fast scanner hands over to it what it cannot decide. It remembers no unit. The names that would shadow what was found
// (`absent`) are more than the compiler looked for, never fewer, but for those that hide behind macros; see shadowing.ts.
import { statSync } from 'node:fs';
import { assemblerDirs, findForAssembler, scanAssembler } from './walk/assembler.ts';
import { type Marks, marksOf } from './text/file-facts.ts';
import { readFileOrUndefined } from '../base/read-file.ts';
import type { QueryRunner, Scanner, ScanRequest, ScanResult } from './scanner.ts';
import { absolutePath } from './walk/search.ts';
import { type SearchOrder, type Spellings, searchOrderOf, shadowing, spellingsOf } from './walk/shadowing.ts';

/** The words behind the first colon of make rules as gcc writes them, unquoted. @returns undefined for anything else. */
export function parseRule(text: string): string[] | undefined {
  const words: string[] = [];
  let word = '';
  let started = false;
  let behindColon = false;
  const end = (): void => {
    if (started && behindColon) words.push(word);
    word = '';
    started = false;
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '\\') {
      let run = 1;
      while (text[i + run] === '\\') run++;
      const after = text[i + run];
      if (after === '\n') {
        word += '\\'.repeat(run - 1);
        if (run > 1) started = true;
        end();
        i += run;
        continue;
      }
      if (after === ' ' || after === '\t') {
        // Before a blank every backslash of the name is doubled and one more quotes the blank.
        word += '\\'.repeat((run - 1) / 2) + after;
        started = true;
        i += run;
        continue;
      }
      if (after === '#' && run === 1) {
        word += '#';
        i += 1;
      } else {
        word += '\\'.repeat(run);
        i += run - 1;
      }
      started = true;
    } else if (c === '$' && text[i + 1] === '$') {
      word += '$';
      started = true;
      i++;
    } else if (c === ' ' || c === '\t') end();
    else if (c === '\n') {
      end();
      return behindColon ? words : undefined;
    } else if (c === ':' && !behindColon && /[\s]/.test(text[i + 1] ?? '\n')) {
      behindColon = true;
      word = '';
      started = false;
    } else {
      word += c;
      started = true;
    }
  }
  end();
  return behindColon ? words : undefined;
}

/** A file's marks as long as it is the same file. */
interface Marked {
  readonly identity: string;
  readonly marks: Marks;
  readonly spellings: Spellings;
}

/** Files remembered; the oldest go first. */
const MARKED_MAX = 100_000;

/** Flags that add to what is printed, or change nothing but that. */
const OUTPUT_ONLY = /^-(?:d[A-Z]+|C|CC|P|H|fdirectives-only)$/;

export interface GccMOptions {
  /** Ask for `system` too, with a run of its own; without, everything counts as the user's. Default: true. */
  readonly system?: boolean;
}

export class GccMScanner implements Scanner {
  readonly #query: QueryRunner;
  readonly #system: boolean;
  readonly #marked = new Map<string, Marked>();

  constructor(query: QueryRunner, options: GccMOptions = {}) {
    this.#query = query;
    this.#system = options.system ?? true;
  }

  async scan(request: ScanRequest): Promise<ScanResult> {
    if (request.language === 'assembler') return scanAssembler(request);
    const flags = request.flags.filter((flag) => !OUTPUT_ONLY.test(flag));
    // The messages are read.
    const env = new Map(request.env).set('LC_ALL', 'C');
    const run = (...more: string[]) =>
      this.#query(request.driver, [...flags, ...more, '-MT', 'x', '-x', request.language, request.source], {
        cwd: request.cwd,
        env,
      });
    const [all, own] = await Promise.all([run('-M', '-v'), this.#system ? run('-MM') : undefined]);
    if (all.code !== 0 || (own && own.code !== 0)) {
      const said = all.stderr.toString();
      const missing = /: (?:fatal error|error): .*: No such file or directory/.test(said);
      return {
        kind: 'incomplete',
        reason: missing ? 'missing-file' : 'preprocessor-error',
        detail: said.split('\n').find((line) => /error: /.test(line)) ?? said,
      };
    }
    const text = all.stdout.toString('utf8');
    if (text.includes('\ufffd')) return { kind: 'incomplete', reason: 'not-utf8', detail: request.source };
    const files = parseRule(text);
    const userFiles = own ? parseRule(own.stdout.toString('utf8')) : files;
    if (!files || !userFiles)
      return { kind: 'incomplete', reason: 'query-failed', detail: `gcc -M printed: ${text.slice(0, 80)}` };
    const order = searchOrderOf(all.stderr.toString());
    if (!order)
      return {
        kind: 'incomplete',
        reason: 'query-failed',
        detail: `${request.driver} -v prints no search list`,
      };
    return this.#found(request, files, systemOf(files, userFiles), order);
  }

  #found(
    request: ScanRequest,
    files: readonly string[],
    system: readonly boolean[],
    order: SearchOrder,
  ): ScanResult {
    const read: { readonly path: string; readonly spellings: Spellings }[] = [];
    const assembler = request.language === 'assembler-with-cpp';
    const extra: string[] = [];
    let usesTime = false;
    let assemblerReads: true | undefined;
    for (const [i, file] of files.entries()) {
      const marked = this.#marksOf(absolutePath(request.cwd, file), assembler);
      if (!marked) return { kind: 'incomplete', reason: 'unreadable-file', detail: file };
      const { marks, spellings } = marked;
      read.push({ path: file, spellings });
      if (marks.time) usesTime = true;
      // -M does not expand text, and so does not see what a compile sees.
      if (!system[i] && marks.pragma)
        return { kind: 'incomplete', reason: 'unsupported-directive', detail: `${file}: _Pragma` };
      if (marks.assembler?.length === 0) continue;
      const included = findForAssembler(request.cwd, assemblerDirs(request.flags), marks.assembler);
      if (!included) return { kind: 'incomplete', reason: 'asm-include', detail: file };
      extra.push(...included);
      if (included.length > 0) assemblerReads = true;
    }
    const absent = shadowing(request.cwd, order, read);
    return {
      kind: 'found',
      files,
      system,
      extra,
      ...(assemblerReads ? { assemblerReads } : {}),
      absent,
      usesTime,
    };
  }

  #marksOf(path: string, assembler: boolean): Marked | undefined {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    if (!stat?.isFile()) return undefined;
    const identity = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    const key = `${assembler ? 'S' : 'c'}${path}`;
    const known = this.#marked.get(key);
    if (known?.identity === identity) return known;
    const bytes = readFileOrUndefined(path);
    if (!bytes) return undefined;
    const marks = marksOf(bytes, assembler);
    // File names are UTF-8, what stands around them need not be.
    const spellings = spellingsOf(bytes.toString('utf8'));
    if (this.#marked.size >= MARKED_MAX) this.#marked.delete(this.#marked.keys().next().value as string);
    const marked: Marked = { identity, marks, spellings };
    this.#marked.set(key, marked);
    return marked;
  }
}

/** -MM lists what is not the system's, in the same order. */
function systemOf(files: readonly string[], userFiles: readonly string[]): boolean[] {
  let at = 0;
  return files.map((file) => {
    if (userFiles[at] !== file) return true;
    at++;
    return false;
  });
}
