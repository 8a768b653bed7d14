// The sandbox where the kernel gives no namespace: the run takes place below a virtual root (wrappers/vroot.c), as on a worker, on
// copies of the toolchain and of the declared inputs. It needs no privilege, and it costs a copy of the toolchain on first use.
import { constants, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ObjectName } from '../../ir/name.ts';
import { encodeThunk } from '../../ir/thunk.ts';
import type { LocalStore } from '../../store/local/local.ts';
import type { Captured } from '../../toolchain/capture.ts';
import type { Captures } from '../../toolchain/captures.ts';
import { BlobError } from '../../worker/blobs/blobs.ts';
import { WORKER_PROTOCOL, type WorkDone, type WorkFailed } from '../../worker/messages.ts';
import type { ProcessEnd, ProcessRequest } from '../../worker/run/process.ts';
import { blobCacheOf, runItems } from '../../worker/run/run-items.ts';
import type { ForceJob, OutputValue, RunFailed, RunFailureReason, RunOutcome } from '../engine.ts';
import { failed } from './local.ts';
import type { ProcessRunner } from '../../base/process-runner.ts';

/** Bytes of copies kept for later runs: two compilers of 150 MB, and the inputs of the largest links. The oldest go first. */
const COPIES_BYTES_MAX = 4 * 1024 ** 3;
/** Milliseconds a tool may run: elsewhere on this machine there is no limit, so this one is only there to end. */
const RUN_MS_MAX = 24 * 3600 * 1000;
/** A request names the backend of its blobs; here they come from this machine. */
const NOWHERE = { kind: 's3', bucket: 'none', prefix: '', region: 'none' } as const;

export class VirtualSandbox {
  readonly #store: LocalStore;
  readonly #runner: ProcessRunner;
  readonly #captures: Captures;
  readonly #directory: string;

  constructor(store: LocalStore, runner: ProcessRunner, captures: Captures) {
    this.#store = store;
    this.#runner = runner;
    this.#captures = captures;
    this.#directory = join(store.directory, 'tmp', `virtual-${process.pid}-0`);
  }

  /** Why a call of this tool cannot run here; undefined when it can. */
  async refusal(digest: string, realTool: string, searchPath: string): Promise<string | undefined> {
    const captured = await this.#captures.of(digest, realTool, searchPath);
    if (captured.kind === 'captured') return undefined;
    return captured.kind === 'changed' ? 'toolchain-changed' : `${captured.reason}: ${captured.detail}`;
  }

  async run(job: ForceJob, signal: AbortSignal): Promise<RunOutcome> {
    const { realTool, cwd, pwd, searchPath, label } = job.placement;
    const captured = await this.#captures.of(job.thunk.toolchain, realTool, searchPath);
    if (captured.kind === 'changed') return failed('inputs-changed', `${realTool} was replaced`);
    if (captured.kind === 'unsupported')
      return failed(
        'start-failed',
        `${label} needs a sandbox: ${realTool}: ${captured.reason}: ${captured.detail}`,
      );
    blobCacheOf(this.#directory, COPIES_BYTES_MAX);
    const started = performance.now();
    const item = {
      name: job.name,
      thunk: encodeThunk(job.thunk).bytes.toString('utf8'),
      realTool,
      cwd,
      pwd,
      searchPath,
    };
    const [result] = await runItems(
      {
        protocol: WORKER_PROTOCOL,
        id: 'here',
        toolchain: captured.name,
        remote: NOWHERE,
        items: [item],
        inline: { [captured.name]: captured.bytes.toString('base64') },
        inlineBytesMax: 0,
        timeoutMs: RUN_MS_MAX,
      },
      {
        directory: this.#directory,
        fetcher: { fetch: async (name, to) => this.#copy(name, to, sourcesOf(job, captured)) },
        sink: { put: async (_, absPath) => this.#keep(absPath) },
        signal,
        start: (request) => this.#start(request),
      },
    );
    if (signal.aborted) return failed('cancelled', 'taken back');
    if (result === undefined) return failed('start-failed', `${label}: no answer`);
    return result.kind === 'failed' ? notRun(result, label) : done(result, performance.now() - started);
  }

  /** By the spawner: this process is fat, and must not fork. */
  async #start(request: ProcessRequest): Promise<ProcessEnd> {
    const { file, args, cwd, env, signal } = request;
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const end = await this.#runner.run({ file, argv: [file, ...args], cwd, env: variables }, signal);
    const { stdout, stderr, exitCode } = end;
    const how = signal.aborted
      ? 'cancelled'
      : end.startErrno !== 0
        ? 'start-failed'
        : end.signal !== 0
          ? 'signal'
          : 'exited';
    const detail = end.startErrno !== 0 ? `errno ${end.startErrno}` : `signal ${end.signal}`;
    return { how, exitCode, detail, stdout, stderr };
  }

  #copy(name: ObjectName, to: string, sources: ReadonlyMap<string, string>): void {
    const from = this.#store.path(name) ?? sources.get(name);
    if (from === undefined) throw new BlobError('missing-blob', name);
    try {
      copyFileSync(from, to, constants.COPYFILE_FICLONE);
    } catch (error) {
      throw new BlobError('missing-blob', `${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The copy stays in the cache; the store gets its own. */
  #keep(absPath: string): void {
    const temporary = this.#store.temporary();
    copyFileSync(absPath, temporary, constants.COPYFILE_FICLONE);
    this.#store.putFile(temporary);
  }
}

/** Where blobs are that the store may lack: files of the toolchain, system headers and libraries. Their bytes are checked. */
function sourcesOf({ thunk, placement }: ForceJob, captured: Captured): ReadonlyMap<string, string> {
  const sources = new Map<string, string>(captured.pathByName);
  for (const { name, path } of thunk.inputs)
    sources.set(name, path.startsWith('/') ? path : `${placement.cwd}/${path}`);
  return sources;
}

function done(result: WorkDone, wallMs: number): RunOutcome {
  return {
    kind: 'done',
    exitCode: result.exitCode,
    stdout: Buffer.from(result.stdout, 'base64'),
    stderr: Buffer.from(result.stderr, 'base64'),
    outputs: result.outputs.map(({ tag, name }): OutputValue => ({ tag, name })),
    wallMs,
    cpuMs: result.timings.cpuMs,
  };
}

const REASONS: Readonly<Partial<Record<WorkFailed['reason'], RunFailureReason>>> = {
  signal: 'signal',
  timeout: 'timeout',
  'missing-blob': 'missing-blob',
  'digest-mismatch': 'digest-mismatch',
  'output-missing': 'output-missing',
  'fetch-inputs-failed': 'missing-blob',
  'upload-outputs-failed': 'store-failed',
};

function notRun({ reason, detail }: WorkFailed, label: string): RunFailed {
  return failed(REASONS[reason] ?? 'start-failed', `${label}: ${reason}: ${detail}`);
}
