// The local engine: runs the tool in the original directory with its outputs going to files of ours. What it reads is
// compared with the thunk's inputs before and after the run; where the tree no longer holds what the thunk says, the run
// goes to the sandbox, which shows exactly the declared inputs.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isValue, type ObjectName } from '../../ir/name.ts';
import type { Arg } from '../../ir/thunk.ts';
import type { DigestCache } from '../../store/local/digest-cache.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { tryStat } from '../../base/stat.ts';
import { Decomposer } from './without-driver.ts';
import type { Engine, ForceJob, OutputValue, RunFailed, RunOutcome, RunWatcher } from '../engine.ts';
import type { ProcessRunner, RunResult } from '../../base/process-runner.ts';

export interface LocalEngineOptions {
  readonly store: LocalStore;
  readonly digests: DigestCache;
  readonly runner: ProcessRunner;
  readonly slots: number;
  /** Shows a run exactly its declared inputs. */
  readonly sandbox: { run(job: ForceJob, signal: AbortSignal): Promise<RunOutcome> };
  readonly watcher?: RunWatcher;
}

/** No output has this name: it begins with a dot and is no object. */
const ASSEMBLY_NAME = '.gg-between.s';

export function failed(reason: RunFailed['reason'], detail: string, transient = false): RunFailed {
  return { kind: 'failed', reason, detail, transient };
}

export class LocalEngine implements Engine {
  readonly label = 'local';
  readonly slots: number;
  readonly #o: LocalEngineOptions;
  readonly #decomposer: Decomposer;
  /** Directories for outputs that no run uses now; as many as ever ran at once. */
  readonly #idle: string[] = [];
  #serial = 0;

  constructor(options: LocalEngineOptions) {
    this.#o = options;
    this.#decomposer = new Decomposer(options.runner);
    this.slots = options.slots;
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    if (job.placement.sandbox === 'namespace') return this.#inSandbox(job, options.signal);
    // A compile looks afterwards only: what has changed since it was frozen has changed by then too.
    if (job.placement.stage !== 'compile' && this.#changedInput(job) !== undefined)
      return this.#inSandbox(job, options.signal);
    const directory = this.#idle.pop() ?? this.#newDirectory();
    let clean = false;
    try {
      const outputs = new OutputFiles(job, directory);
      outputs.prepare((from) => this.#beginning(job, from));
      const watched = this.#o.watcher?.begin(job, directory) ?? [];
      const result =
        (await this.#apart(job, outputs, directory, watched, options.signal)) ??
        (await this.#o.runner.run(
          {
            file: job.placement.realTool,
            argv: [argumentZero(job), ...job.thunk.args.map((a) => outputs.argument(a))],
            cwd: job.placement.cwd,
            env: [...environment(job), ...watched],
          },
          options.signal,
        ));
      if (options.signal.aborted) return failed('cancelled', 'taken back');
      // First of all: in a directory that was moved away nothing starts, and a file half edited may crash the tool.
      if (this.#changedInput(job) !== undefined) return await this.#inSandbox(job, options.signal);
      const bad = badResult(job, result);
      if (bad) return bad;
      if (result.exitCode === 0) this.#o.watcher?.end(job, directory);
      const outcome = outputs.outcome(result, this.#o.store);
      clean = outcome.kind === 'done' && outcome.exitCode === 0 && watched.length === 0;
      return outcome;
    } finally {
      // What a good run leaves was moved into the store.
      if (!clean) empty(directory);
      this.#idle.push(directory);
    }
  }

  /** The compiler and the assembler without their driver; undefined: the driver is to do it, and to say what is wrong. */
  async #apart(
    job: ForceJob,
    outputs: OutputFiles,
    directory: string,
    watched: readonly string[],
    signal: AbortSignal,
  ): Promise<RunResult | undefined> {
    const output = job.thunk.outputs[0];
    if (output === undefined) return undefined;
    const env = environment(job);
    const assembly = join(directory, ASSEMBLY_NAME);
    const object = outputs.argument({ prefix: '', output: output.tag });
    const commands = await this.#decomposer.commands(job, argumentZero(job), env, object, assembly);
    if (!commands) return undefined;
    const [compile, assemble] = commands;
    const cwd = job.placement.cwd;
    try {
      const compiled = await this.#o.runner.run({ ...compile, cwd, env: [...env, ...watched] }, signal);
      // Nobody wants the driver's words on a run that was ended.
      if (signal.aborted) return compiled;
      if (compiled.startErrno !== 0 || compiled.exitCode !== 0 || compiled.signal !== 0) return undefined;
      const assembled = await this.#o.runner.run({ ...assemble, cwd, env }, signal);
      if (signal.aborted) return assembled;
      const silent = assembled.stdout.length + assembled.stderr.length === 0;
      if (assembled.startErrno !== 0 || assembled.exitCode !== 0 || assembled.signal !== 0 || !silent)
        return undefined;
      return {
        ...compiled,
        wallUs: compiled.wallUs + assembled.wallUs,
        cpuUs: compiled.cpuUs + assembled.cpuUs,
      };
    } finally {
      rmSync(assembly, { force: true });
    }
  }

  #newDirectory(): string {
    const directory = join(this.#o.store.directory, 'tmp', `run-${process.pid}-${this.#serial++}`);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  }

  /**
   * What an output of a tool that works in place starts as. The file at the path may be a step ahead (`strip` was promised there
   * after `ranlib`); the stored value is what this run begins with.
   */
  #beginning({ thunk, placement }: ForceJob, from: string): string {
    const input = thunk.inputs.find((i) => i.path === from);
    const stored = input && isValue(input.name) ? this.#o.store.path(input.name as ObjectName) : undefined;
    return stored ?? (from.startsWith('/') ? from : `${placement.cwd}/${from}`);
  }

  /** The first input whose file no longer holds what the thunk says, or name that is no longer absent. */
  #changedInput(job: ForceJob): string | undefined {
    const copied = copiedInputs(job, this.#o.store);
    for (const input of job.thunk.inputs) {
      if (!isValue(input.name)) return input.path;
      if (copied.has(input.path)) continue;
      const path = input.path.startsWith('/') ? input.path : `${job.placement.cwd}/${input.path}`;
      if (this.#o.digests.digest(path) !== input.name) return input.path;
    }
    return this.#appearedName(job);
  }

  /** A name that was looked up in vain and would be found now; the call's own outputs stand there as placeholders. */
  #appearedName({ thunk, placement }: ForceJob): string | undefined {
    const absolute = (path: string): string => (path.startsWith('/') ? path : `${placement.cwd}/${path}`);
    if (thunk.absent.length === 0) return undefined;
    const own = new Set(thunk.outputs.map((output) => absolute(output.path)));
    return thunk.absent.find((path) => existsSync(absolute(path)) && !own.has(absolute(path)));
  }

  async #inSandbox(job: ForceJob, signal: AbortSignal): Promise<RunOutcome> {
    return this.#o.sandbox.run(job, signal);
  }

  async close(): Promise<void> {
    for (const directory of this.#idle) rmSync(directory, { recursive: true, force: true });
    await this.#o.runner.close();
  }
}

/** Inputs that the tool never opens by their own names: it works on our copy of the stored value. */
function copiedInputs({ thunk }: ForceJob, store: LocalStore): ReadonlySet<string> {
  const copied = new Set<string>();
  for (const { from } of thunk.outputs) {
    if (from === undefined || thunk.args.includes(from)) continue;
    const name = thunk.inputs.find((i) => i.path === from)?.name;
    if (name !== undefined && isValue(name) && store.path(name as ObjectName) !== undefined) copied.add(from);
  }
  return copied;
}

function empty(directory: string): void {
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
}

/** The variables of a run: the thunk's own, and what a process needs to find the tool's parts. */
export function environment(job: ForceJob): string[] {
  const env = job.thunk.env.map(([name, value]) => `${name}=${value}`);
  if (!job.thunk.env.some(([name]) => name === 'PATH')) env.push(`PATH=${job.placement.searchPath}`);
  return env;
}

/** gcc looks itself up on PATH by a bare argv[0] to find its parts; where that leads elsewhere it gets its full name. */
export function argumentZero(job: ForceJob): string {
  const { realTool, searchPath } = job.placement;
  for (const directory of searchPath.split(':')) {
    const path = `${directory}/${job.thunk.tool}`;
    if (tryStat(path)?.isFile()) return path === realTool ? job.thunk.tool : realTool;
  }
  return realTool;
}

export function badResult(job: ForceJob, result: RunResult): RunFailed | undefined {
  if (result.startErrno !== 0)
    return failed('start-failed', `${job.placement.realTool}: errno ${result.startErrno}`);
  if (result.timedOut) return failed('timeout', job.placement.label);
  if (result.signal !== 0) return failed('signal', `signal ${result.signal}`);
  return undefined;
}

/** The files a run's outputs go to: one directory of ours, the outputs' own base names. */
export class OutputFiles {
  readonly #job: ForceJob;
  readonly #pathByTag = new Map<string, string>();

  constructor(job: ForceJob, directory: string) {
    this.#job = job;
    const taken = new Set<string>();
    for (const output of job.thunk.outputs) {
      let name = basename(output.path);
      if (taken.has(name)) name = `${taken.size}-${name}`;
      taken.add(name);
      this.#pathByTag.set(output.tag, join(directory, name));
    }
  }

  /** Outputs that start as copies of an input (in-place tools). `sourceOf`: where the bytes of an input are. */
  prepare(sourceOf: (from: string) => string): void {
    for (const output of this.#job.thunk.outputs) {
      if (output.from === undefined) continue;
      const from = sourceOf(output.from);
      const to = this.#pathByTag.get(output.tag)!;
      copyFileSync(from, to);
      chmodSync(to, (statSync(from).mode & 0o777) | 0o600);
    }
  }

  argument(arg: Arg): string {
    if (typeof arg === 'string') return arg;
    const path = this.#pathByTag.get(arg.output);
    if (path === undefined)
      throw new Error(`the command names an output ${arg.output} the thunk does not declare`);
    return arg.prefix + path;
  }

  outcome(result: RunResult, store: LocalStore): RunOutcome {
    const outputs: OutputValue[] = [];
    if (result.exitCode === 0) {
      for (const output of this.#job.thunk.outputs) {
        const path = this.#pathByTag.get(output.tag)!;
        if (!lstatSync(path, { throwIfNoEntry: false })?.isFile())
          return failed('output-missing', output.path);
        let name: ObjectName;
        try {
          name = store.putFile(path);
        } catch (error) {
          return failed('store-failed', (error as Error).message);
        }
        outputs.push({ tag: output.tag, name });
      }
    }
    return {
      kind: 'done',
      exitCode: result.exitCode,
      stdout: this.asTyped(result.stdout),
      stderr: this.asTyped(result.stderr),
      outputs,
      wallMs: result.wallUs / 1000,
      cpuMs: result.cpuUs / 1000,
    };
  }

  /** What the tool printed, with our paths of outputs replaced by the ones the user typed. */
  asTyped(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes;
    let text = bytes.toString('latin1');
    for (const output of this.#job.thunk.outputs) {
      const ours = Buffer.from(this.#pathByTag.get(output.tag)!).toString('latin1');
      text = text.replaceAll(ours, Buffer.from(output.path).toString('latin1'));
    }
    return Buffer.from(text, 'latin1');
  }
}
