// What the compiler itself says about a unit, once per unit: answers can be kept in a file, as they take a long time.
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseRule } from '../../src/scan/gcc-m.ts';
import type { ScanRequest } from '../../src/scan/scanner.ts';
import { query } from './compile-commands.ts';

/** Targets with everything that is quoted, and phony rules: the longest form a depfile has. */
export const TARGETS = [
  { text: 'a b/$c#.o', quote: true },
  { text: 'raw $(x)', quote: false },
];
const TARGET_FLAGS = TARGETS.flatMap(({ text, quote }) => [quote ? '-MQ' : '-MT', text]);

export interface Said {
  /** The text of `-M -MP` with TARGETS; '' when the compiler fails. */
  readonly depfile: string;
  readonly error: string;
}

export class Truth {
  readonly #path: string | undefined;
  readonly #known = new Map<string, Said>();
  /** Wall time of the compilers run. */
  ms = 0;
  runs = 0;

  /** @param path where answers are kept; undefined: nowhere. Valid as long as nobody touches the sources. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (line === '') continue;
      const [key, said] = JSON.parse(line) as [string, Said];
      this.#known.set(key, said);
    }
  }

  async of(request: ScanRequest): Promise<Said> {
    const { driver, flags, source, cwd, language } = request;
    const key = createHash('sha256')
      .update(JSON.stringify([driver, flags, source, cwd, language]))
      .digest('hex');
    let said = this.#known.get(key);
    if (said) return said;
    const start = performance.now();
    const { code, stdout, stderr } = await run(request, ['-M', '-MP', ...TARGET_FLAGS]);
    this.ms += performance.now() - start;
    this.runs++;
    const error =
      code === 0
        ? ''
        : stderr
            .toString()
            .split('\n')
            .find((l) => l.includes('error')) || 'failed';
    said = { depfile: code === 0 ? stdout.toString() : '', error };
    this.#known.set(key, said);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify([key, said])}\n`);
    return said;
  }
}

/** The compiler with some more flags. */
export function run(
  { driver, flags, language, source, cwd, env }: ScanRequest,
  more: readonly string[],
): ReturnType<typeof query> {
  return query(driver, [...flags, ...more, '-x', language, source], {
    cwd,
    env: new Map(env).set('LC_ALL', 'C'),
  });
}

export function filesOf(depfile: string): readonly string[] | undefined {
  return parseRule(depfile);
}
