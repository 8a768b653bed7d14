// The scanner that asks the compiler itself: `gcc -M`, and `gcc -MM` for what counts as a system header. Slow and right;
// the fast scanner hands over to it what it cannot decide.
import { readFileSync, statSync } from 'node:fs';
import type { QueryRunner, Scanner, ScanRequest, ScanResult } from './scanner.ts';

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

/** What the bytes of a file say about things a preprocessor's list does not. */
interface Mentions {
  readonly identity: string;
  readonly time: boolean;
  readonly asmFile: boolean;
  readonly embed: boolean;
}

/** Files remembered; the oldest go first. */
const MENTIONS_MAX = 100_000;

export class GccMScanner implements Scanner {
  readonly #query: QueryRunner;
  readonly #mentions = new Map<string, Mentions>();

  constructor(query: QueryRunner) {
    this.#query = query;
  }

  async scan(request: ScanRequest): Promise<ScanResult> {
    if (request.language === 'assembler') return this.#assembler(request);
    const base = [...request.flags, '-x', request.language];
    const run = (flag: string) =>
      this.#query(request.driver, [...base, flag, '-MT', 'x', request.source], {
        cwd: request.cwd,
        env: request.env,
      });
    const [all, own] = await Promise.all([run('-M'), run('-MM')]);
    if (all.code !== 0 || own.code !== 0) {
      const said = all.stderr.toString();
      const missing = /: (?:fatal error|error): .*: No such file or directory/.test(said);
      return {
        kind: 'incomplete',
        reason: missing ? 'missing-file' : 'preprocessor-error',
        detail: said.split('\n').find((l) => /error/.test(l)) ?? said,
      };
    }
    const text = all.stdout.toString('utf8');
    if (text.includes('\ufffd')) return { kind: 'incomplete', reason: 'not-utf8', detail: request.source };
    const files = parseRule(text);
    const userFiles = parseRule(own.stdout.toString('utf8'));
    if (!files || !userFiles)
      return { kind: 'incomplete', reason: 'query-failed', detail: `gcc -M printed: ${text.slice(0, 80)}` };
    // -MM leaves files out of the same order.
    const system: boolean[] = [];
    let at = 0;
    for (const file of files) {
      const kept = userFiles[at] === file;
      if (kept) at++;
      system.push(!kept);
    }
    let usesTime = false;
    for (const file of files) {
      const mentions = this.#look(file.startsWith('/') ? file : `${request.cwd}/${file}`);
      if (!mentions) return { kind: 'incomplete', reason: 'unreadable-file', detail: file };
      if (mentions.embed)
        return { kind: 'incomplete', reason: 'unsupported-directive', detail: `#embed in ${file}` };
      if (mentions.asmFile && !file.startsWith('/usr/'))
        return { kind: 'incomplete', reason: 'asm-include', detail: file };
      if (mentions.time) usesTime = true;
    }
    return { kind: 'found', files, system, extra: [], absent: [], usesTime };
  }

  #assembler(request: ScanRequest): ScanResult {
    const mentions = this.#look(
      request.source.startsWith('/') ? request.source : `${request.cwd}/${request.source}`,
    );
    if (!mentions) return { kind: 'incomplete', reason: 'missing-file', detail: request.source };
    if (mentions.asmFile) return { kind: 'incomplete', reason: 'asm-include', detail: request.source };
    return {
      kind: 'found',
      files: [request.source],
      system: [false],
      extra: [],
      absent: [],
      usesTime: false,
    };
  }

  #look(path: string): Mentions | undefined {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    if (!stat?.isFile()) return undefined;
    const identity = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    const known = this.#mentions.get(path);
    if (known?.identity === identity) return known;
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return undefined;
    }
    const mentions: Mentions = {
      identity,
      time: bytes.includes('__DATE__') || bytes.includes('__TIME__') || bytes.includes('__TIMESTAMP__'),
      asmFile: bytes.includes('.incbin') || /\.include\s*\\?"/.test(bytes.toString('latin1')),
      embed: /^[ \t]*#[ \t]*embed\b/m.test(bytes.toString('latin1')),
    };
    if (this.#mentions.size >= MENTIONS_MAX)
      this.#mentions.delete(this.#mentions.keys().next().value as string);
    this.#mentions.set(path, mentions);
    return mentions;
  }
}
