// The full sandbox: a root that shows the toolchain and exactly the declared inputs, at their original absolute paths, in a
// user and mount namespace of its own. It proves a thunk complete, and it runs one whose tree has moved on.
import { constants, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isValue, type ObjectName } from '../../ir/name.ts';
import type { LocalStore } from '../../store/local/local.ts';
import type { Toolchain } from '../../toolchain/toolchain.ts';
import type { ForceJob, RunOutcome } from '../engine.ts';
import { argumentZero, badResult, environment, failed, OutputFiles } from './local.ts';
import type { ProcessRunner } from '../../base/process-runner.ts';

/** Shown as they are: devices a compiler opens, and the locales, which decide the quotes in its messages. */
const DEVICES = ['/dev/null', '/dev/zero', '/dev/urandom'] as const;
const LOCALES = ['/usr/lib/locale', '/usr/share/locale'].filter((d) => existsSync(d));

export class Sandbox {
  readonly #store: LocalStore;
  readonly #runner: ProcessRunner;
  readonly #toolchainOf: (realTool: string, searchPath: string) => Promise<Toolchain>;
  #serial = 0;

  constructor(
    store: LocalStore,
    runner: ProcessRunner,
    toolchainOf: (realTool: string, searchPath: string) => Promise<Toolchain>,
  ) {
    this.#store = store;
    this.#runner = runner;
    this.#toolchainOf = toolchainOf;
  }

  /** System headers and libraries are not copied into the store before somebody needs them there. */
  #blob(name: ObjectName, path: string): string | undefined {
    const blob = this.#store.path(name);
    if (blob !== undefined) return blob;
    try {
      return this.#store.putCopy(path, name) ? this.#store.path(name) : undefined;
    } catch {
      return undefined;
    }
  }

  #newRoot(): string {
    return join(this.#store.directory, 'tmp', `root-${process.pid}-${this.#serial++}`);
  }

  /** Whether the kernel gives what it needs. */
  works(): Promise<boolean> {
    return givesNamespaces(this.#runner, this.#newRoot());
  }

  async run(job: ForceJob, signal: AbortSignal): Promise<RunOutcome> {
    const root = this.#newRoot();
    // Outputs get a directory inside the root that no input can have.
    const inside = '/.gg-out';
    mkdirSync(join(root, inside), { recursive: true, mode: 0o700 });
    try {
      const tree = new InputTree(root);
      const toolchain = await this.#toolchainOf(job.placement.realTool, job.placement.searchPath);
      tree.directory(job.placement.cwd);
      tree.directory('/tmp');
      // Bound, not linked: a hard link would change the system files' ctime.
      for (const path of toolchain.files) tree.file(path, undefined);
      for (const [path, target] of toolchain.links) tree.link(path, target);
      const classes = mtimeClassOf(job.thunk.salt);
      for (const input of job.thunk.inputs) {
        if (!isValue(input.name)) return failed('missing-blob', `${input.path} is not a value yet`);
        const path = input.path.startsWith('/') ? input.path : `${job.placement.cwd}/${input.path}`;
        const blob = this.#blob(input.name as ObjectName, path);
        if (blob === undefined) {
          return failed('missing-blob', `${input.name}, which ${job.placement.label} reads as ${path}`);
        }
        const second = classes.get(input.path);
        if (second === undefined) tree.file(path, blob);
        else tree.copy(path, blob, second);
      }
      for (const path of DEVICES) tree.file(path, undefined);
      for (const path of LOCALES) tree.directory(path);
      const hostSide = new OutputFiles(job, join(root, inside));
      const rootSide = new OutputFiles(job, inside);
      hostSide.prepare((from) => root + (from.startsWith('/') ? from : `${job.placement.cwd}/${from}`));
      const result = await this.#runner.run(
        {
          file: job.placement.realTool,
          argv: [argumentZero(job), ...job.thunk.args.map((a) => rootSide.argument(a))],
          cwd: job.placement.cwd,
          env: environment(job),
          root,
          binds: [...toolchain.files, ...DEVICES, ...LOCALES],
        },
        signal,
      );
      if (signal.aborted) return failed('cancelled', 'taken back');
      const bad = badResult(job, result);
      if (bad) return bad;
      return hostSide.outcome(
        { ...result, stdout: rootSide.asTyped(result.stdout), stderr: rootSide.asTyped(result.stderr) },
        this.#store,
      );
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }
}

/**
 * Whether the kernel lets this user enter a root in namespaces of its own.
 * @param root a directory that is not there; it is removed again.
 */
export async function givesNamespaces(runner: ProcessRunner, root: string): Promise<boolean> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  try {
    new InputTree(root).file('/dev/null', undefined);
    const probe = { file: '/none', argv: ['none'], cwd: '/', env: [], root, binds: ['/dev/null'] };
    return (await runner.run(probe)).noRoot !== true;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Inputs that must not share a time (`mtime-class:K:PATH`): path -> the second it gets. */
export function mtimeClassOf(salt: readonly string[]): Map<string, number> {
  const secondByPath = new Map<string, number>();
  for (const entry of salt) {
    const m = /^mtime-class:(\d+):(.*)$/s.exec(entry);
    if (m) secondByPath.set(m[2]!, Number(m[1]) + 1);
  }
  return secondByPath;
}

/** Builds the tree of a root, of copies: what runs in it could write through a link into the store. */
class InputTree {
  readonly #root: string;
  readonly #made = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Makes a directory and what leads to it. `a/../b` needs `a` too, so paths are taken as they are spelled. */
  directory(path: string): void {
    const full = this.#root + path;
    if (this.#made.has(full)) return;
    let at = this.#root;
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      at = `${at}/${part}`;
      if (part === '..' || this.#made.has(at)) continue;
      mkdirSync(at, { recursive: true });
      this.#made.add(at);
    }
  }

  /** An absolute target is made relative: seen from outside the root it would lead out of it. */
  link(path: string, target: string): void {
    this.directory(dirname(path));
    const up = '../'.repeat(path.split('/').length - 2);
    const inRoot = target.startsWith('/') ? `${up}${target.slice(1)}` : target;
    if (target.startsWith('/')) this.directory(dirname(target));
    else this.directory(join(dirname(path), dirname(target)));
    try {
      symlinkSync(inRoot, this.#root + path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }

  /** A file of its own with a time of its own. */
  copy(path: string, source: string, second: number): void {
    this.directory(dirname(path));
    copyFileSync(source, this.#root + path);
    utimesSync(this.#root + path, second, second);
  }

  /** Puts `source` there; undefined: an empty file to bind over. */
  file(path: string, source: string | undefined): void {
    this.directory(dirname(path));
    const to = this.#root + path;
    if (source === undefined) {
      copyFileSync('/dev/null', to);
      return;
    }
    try {
      copyFileSync(source, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
      throw error;
    }
    utimesSync(to, 0, 0);
  }
}
