// A ModelContext over the real file system, with whatever a test wants to be different laid over it.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { Call, FileStat, ModelContext } from '../../../src/models/model.ts';
import type { ScanRequest, ScanResult } from '../../../src/scan/scanner.ts';

type Request = Omit<ScanRequest, 'toolchain'>;

export interface FakeOptions {
  /** Absolute path to what stands there instead: a file's text, or undefined for nothing at all. */
  readonly files?: ReadonlyMap<string, string | FileStat | undefined>;
  /** Absolute paths of placeholders, with what their thunks read. */
  readonly placeholders?: ReadonlyMap<string, readonly string[]>;
  readonly probes?: (absPath: string) => boolean;
  readonly scan?: (request: Request) => ScanResult | Promise<ScanResult>;
  readonly query?: (
    args: readonly string[],
  ) => { readonly code: number; readonly stdout: string; readonly stderr: string } | undefined;
}

export interface FakeContext extends ModelContext {
  /** Argument lists of the queries that ran a program; repeated ones are answered from memory. */
  readonly queries: readonly (readonly string[])[];
  readonly scans: readonly Request[];
}

/** The words of `gcc -M`'s rule after the target, unquoted. */
function parseRule(rule: string): string[] {
  const words = rule.replaceAll('\\\n', ' ').match(/(?:\\.|[^\s\\])+/g) ?? [];
  return words.slice(1).map((word) => word.replace(/\\([ #])/g, '$1').replaceAll('$$', '$'));
}

/** What `gcc -M` says; nothing but its list is known. */
export function scanWithGcc(request: Request): ScanResult {
  if (request.language === 'assembler')
    return {
      kind: 'found',
      files: [request.source],
      system: [false],
      extra: [],
      absent: [],
      usesTime: false,
    };
  const run = (flag: string) =>
    spawnSync(request.driver, [...request.flags, flag, '-MT', 'x', '-x', request.language, request.source], {
      cwd: request.cwd,
      env: { PATH: process.env['PATH'], ...Object.fromEntries(request.env) },
      encoding: 'utf8',
    });
  const all = run('-M');
  if (all.status !== 0) return { kind: 'incomplete', reason: 'missing-file', detail: all.stderr };
  const files = parseRule(all.stdout);
  const own = new Set(parseRule(run('-MM').stdout));
  const usesTime = files.some((file, i) => {
    if (i > 0 && !own.has(file)) return false;
    return /__(DATE|TIME|TIMESTAMP)__/.test(
      readFileSync(file.startsWith('/') ? file : `${request.cwd}/${file}`, 'latin1'),
    );
  });
  return {
    kind: 'found',
    files,
    system: files.map((file) => !own.has(file)),
    extra: [],
    absent: [],
    usesTime,
  };
}

export function fakeContext(options: FakeOptions = {}): FakeContext {
  const queries: (readonly string[])[] = [];
  const scans: Request[] = [];
  const answers = new Map<string, { code: number; stdout: string; stderr: string }>();
  return {
    queries,
    scans,
    stat(absPath) {
      if (options.files?.has(absPath)) {
        const file = options.files.get(absPath);
        if (typeof file !== 'string') return file;
        return { kind: 'file', sizeBytes: Buffer.byteLength(file), mode: 0o644 };
      }
      const stat = statSync(absPath, { throwIfNoEntry: false });
      if (!stat) return undefined;
      const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other';
      return { kind, sizeBytes: stat.size, mode: stat.mode & 0o7777 };
    },
    read(absPath, maxBytes = 16 * 1024 * 1024) {
      if (options.files?.has(absPath)) {
        const file = options.files.get(absPath);
        return typeof file === 'string' ? Buffer.from(file) : undefined;
      }
      try {
        const bytes = readFileSync(absPath);
        return bytes.length > maxBytes ? undefined : bytes;
      } catch {
        return undefined;
      }
    },
    entries(absPath) {
      try {
        return readdirSync(absPath).sort();
      } catch {
        return [];
      }
    },
    isPlaceholder: (absPath) => options.placeholders?.has(absPath) ?? false,
    placeholderInputs: (absPath) => options.placeholders?.get(absPath) ?? [],
    async scan(request) {
      scans.push(request);
      return (options.scan ?? scanWithGcc)(request);
    },
    async query(realTool, args, { env, cwd } = {}) {
      const made = options.query?.(args);
      if (made) return made;
      const key = JSON.stringify([realTool, args, [...(env ?? [])], cwd]);
      let answer = answers.get(key);
      if (!answer) {
        queries.push(args);
        const run = spawnSync(realTool, args, {
          encoding: 'utf8',
          maxBuffer: 64 * 1024 * 1024,
          ...(env ? { env: Object.fromEntries(env) } : {}),
          ...(cwd === undefined ? {} : { cwd }),
        });
        answer = { code: run.status ?? 1, stdout: run.stdout, stderr: run.stderr };
        answers.set(key, answer);
      }
      return answer;
    },
    isProbePath: (absPath) => options.probes?.(absPath) ?? false,
  };
}

/** A call of a tool under /usr/bin with a small environment. */
export function fakeCall(tool: string, args: readonly string[], more: Partial<Call> = {}): Call {
  return {
    tool,
    realTool: `/usr/bin/${tool}`,
    args,
    cwd: '/tmp',
    env: new Map([['PATH', '/usr/bin:/bin']]),
    stderrTty: false,
    interposed: false,
    ...more,
  };
}
