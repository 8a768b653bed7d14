// What a compiler says of itself under given flags: predefined macros, its own directories, what its __has_* know. One
// question answers all of it; answers are kept, and written out for the next server.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ScanPlan } from './flags.ts';
import { SEEDS } from './has-names.ts';
import type { QueryRunner, ScanRequest } from '../scanner.ts';

export type HasKind = '__has_attribute' | '__has_builtin' | '__has_c_attribute' | '__has_cpp_attribute';

/** The compiler's answers in the form they are stored in. */
export interface ConfigData {
  /** `#define` and `#undef` lines. */
  readonly macroLines: string;
  /** Its own include directories, in order. */
  readonly directories: readonly string[];
  /** Those it would search if they existed; where in the order it does not say. */
  readonly missing: readonly string[];
  /** Macros it computes. */
  readonly builtins: readonly string[];
  readonly canonical: boolean;
  /** "__has_attribute noreturn" -> value */
  readonly answers: Record<string, number>;
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly reason: 'query-failed' | 'unsupported-compiler';
  constructor(reason: 'query-failed' | 'unsupported-compiler', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Names the preprocessor may know that no list of its macros holds. */
const COMPUTED = [
  '_Pragma',
  '__BASE_FILE__',
  '__COUNTER__',
  '__DATE__',
  '__FILE__',
  '__INCLUDE_LEVEL__',
  '__LINE__',
  '__TIMESTAMP__',
  '__TIME__',
  '__has_attribute',
  '__has_builtin',
  '__has_c_attribute',
  '__has_cpp_attribute',
  '__has_include',
  '__has_include_next',
];

/** Major versions whose rules these are (12 has #elifdef, 11 has not); others are handed over. */
const VERSIONS: ReadonlySet<string> = new Set(['11', '12']);

const OPERAND = /^[A-Za-z_]\w*(?:::[A-Za-z_]\w*)?$/;
/** Questions in one run of the compiler. */
const QUESTIONS_MAX = 4000;

/** One compiler under one set of flags. */
export interface Config {
  readonly data: ConfigData;
  /** Answers by "kind operand"; grows. */
  readonly answers: Map<string, number>;
  readonly ask: (questions: readonly string[]) => Promise<void>;
}

export interface ConfigCache {
  get(key: string): ConfigData | undefined;
  set(key: string, data: ConfigData): void;
}

export class Configs {
  readonly #query: QueryRunner;
  readonly #cache: ConfigCache;
  readonly #known = new Map<string, Promise<Config>>();
  readonly #ready = new Map<string, Config>();
  #runs = 0;

  constructor(query: QueryRunner, cache: ConfigCache) {
    this.#query = query;
    this.#cache = cache;
  }

  /** Compiler runs so far. */
  get runs(): number {
    return this.#runs;
  }

  key(request: ScanRequest, plan: ScanPlan): string {
    const here = plan.queryHere ? request.cwd : '/';
    const env = [...plan.queryEnv].sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify([request.driver, request.toolchain, request.language, plan.queryFlags, here, env]);
  }

  /** The answers, if they are there already. */
  ready(key: string): Config | undefined {
    return this.#ready.get(key);
  }

  /**
   * @param anew ask again: the compiler's directories are not what they were.
   * @throws ConfigError
   */
  get(key: string, request: ScanRequest, plan: ScanPlan, anew = false): Promise<Config> {
    let config = anew ? undefined : this.#known.get(key);
    if (!config) {
      config = this.#make(key, request, plan, anew);
      this.#known.set(key, config);
      config.then(
        (ready) => this.#ready.set(key, ready),
        () => this.#known.delete(key),
      );
    }
    return config;
  }

  async #make(key: string, request: ScanRequest, plan: ScanPlan, anew: boolean): Promise<Config> {
    const ask = async (questions: readonly string[]): Promise<void> => {
      const open = questions.filter((question) => !answers.has(question));
      for (let at = 0; at < open.length; at += QUESTIONS_MAX) {
        const part = open.slice(at, at + QUESTIONS_MAX);
        const { text } = await this.#run(request, plan, part);
        for (const [question, value] of readAnswers(text, part)) answers.set(question, value);
      }
      data = { ...data, answers: Object.fromEntries(answers) };
      this.#cache.set(key, data);
    };
    const cached = anew ? undefined : this.#cache.get(key);
    const first = cached ?? (await this.#first(request, plan));
    let data = first;
    const answers = new Map(Object.entries(data.answers));
    if (!cached) this.#cache.set(key, data);
    return { data: first, answers, ask };
  }

  async #first(request: ScanRequest, plan: ScanPlan): Promise<ConfigData> {
    const { text, log } = await this.#run(request, plan, SEEDS);
    const macroLines: string[] = [];
    let own = false;
    for (const line of text.split('\n')) {
      const marker = /^# \d+ "(.*)"/.exec(line);
      if (marker) own = /^<(?:built-in|command-line)>$/.test(marker[1]!);
      else if (own && /^#(?:define|undef) /.test(line)) macroLines.push(line);
    }
    // -undef takes the macro away.
    const version =
      macroLines.find((line) => line.startsWith('#define __GNUC__ '))?.slice(17) ??
      /^gcc version (\d+)\./m.exec(log)?.[1];
    const clang = macroLines.some((line) => line.startsWith('#define __clang__ '));
    if (version === undefined || clang || !VERSIONS.has(version))
      throw new ConfigError('unsupported-compiler', clang ? 'clang' : `gcc ${version ?? '?'}`);
    const builtins = COMPUTED.filter((_, i) => text.includes(`gg_computed_${i}_\n`));
    const list = /^#include <\.\.\.> search starts here:\n([\s\S]*?)^End of search list\./m.exec(log);
    if (!list) throw new ConfigError('query-failed', 'no search list');
    const directories = list[1]!.split('\n').flatMap((line) => (line.startsWith(' ') ? [line.slice(1)] : []));
    const missing = [...log.matchAll(/^ignoring nonexistent directory "(.*)"$/gm)].map((match) => match[1]!);
    return {
      macroLines: macroLines.join('\n'),
      directories,
      missing,
      builtins,
      canonical: !log.includes('--disable-canonical-system-headers'),
      answers: Object.fromEntries(readAnswers(text, SEEDS)),
    };
  }

  async #run(
    request: ScanRequest,
    plan: ScanPlan,
    questions: readonly string[],
  ): Promise<{ readonly text: string; readonly log: string }> {
    this.#runs++;
    const directory = mkdtempSync(join(tmpdir(), 'gg-scan-'));
    try {
      const file = join(directory, 'questions');
      const lines = COMPUTED.map((name, i) => `#ifdef ${name}\ngg_computed_${i}_\n#endif\n`);
      for (const [i, question] of questions.entries()) {
        const [kind, operand] = question.split(' ') as [string, string];
        if (!OPERAND.test(operand)) continue;
        lines.push(
          `#ifdef ${kind}\n${operand.includes(':') ? '' : `#undef ${operand}\n`}#if ${kind}(${operand})\n` +
            `gg_answer_${i}_ ${kind}(${operand})\n#endif\n#endif\n`,
        );
      }
      writeFileSync(file, `${lines.join('')}gg_last_line_\n`);
      const args = [...plan.queryFlags, '-v', '-dD', '-E', '-x', request.language, file, '-o', '-'];
      const run = await this.#query(request.driver, args, {
        cwd: plan.queryHere ? request.cwd : '/',
        env: plan.queryEnv,
      });
      const text = run.stdout.toString('latin1');
      // Questions with :: are errors in strict C, and no reason to give up; the last line must be there.
      if (!text.includes('gg_last_line_'))
        throw new ConfigError('query-failed', run.stderr.toString().split('\n').at(-2) ?? '');
      return { text, log: run.stderr.toString() };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

/** Questions without a line among the answers got 0. */
function* readAnswers(text: string, questions: readonly string[]): Generator<[string, number]> {
  const values = new Map<number, number>();
  for (const match of text.matchAll(/^gg_answer_(\d+)_ (\d+)L?$/gm))
    values.set(Number(match[1]), Number(match[2]));
  for (const [i, question] of questions.entries()) yield [question, values.get(i) ?? 0];
}
