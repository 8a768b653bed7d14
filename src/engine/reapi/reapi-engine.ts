// The Remote Execution engine: each thunk becomes an action on a cluster that has neither our worker nor our compiler. Results are checked before
// they are believed, and what the cluster cannot or must not decide runs on the local engine.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { isValue, type ObjectName } from '../../ir/name.ts';
import { backoffMs, type BlobId, Cas, digestOf, idOf, isTransient, LostBlobError } from '../../reapi/cas.ts';
import { type CallOptions, type Channel, CODE, ReapiError } from '../../reapi/channel.ts';
import {
  ActionCache,
  type ActionResult,
  GetActionResultRequestSchema,
  RequestMetadataSchema,
} from '../../reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { badLog, beyondPart, undeclaredMisses } from '../../worker/run/checks.ts';
import { Refused } from '../../worker/run/layout.ts';
import { parseLog, type VrootLog } from '../../wire/vroot-log.ts';
import { tryStat } from '../../base/stat.ts';
import { bump, Home, type HomeCounts } from '../cloud/home.ts';
import type { RemoteHealth } from '../cloud/health.ts';
import type { Engine, ForceJob, OutputValue, RunDone, RunOutcome } from '../engine.ts';
import { failed } from '../local/local.ts';
import { classOf, TIMEOUT_MS } from '../thunk-class.ts';
import {
  type ActionParts,
  Actions,
  type BuiltAction,
  LOG_OUTPUT,
  type ReapiToolchain,
  type Starter,
  valueId,
} from './action.ts';
import { type Executed, execute } from './execution.ts';
import { InputRootError } from './input-root.ts';

/** The thunk cannot leave this machine, or its compiler cannot. */
export interface NotThere {
  readonly localOnly: string;
  readonly detail: string;
}

export interface ReapiEngineOptions {
  readonly channel: Channel;
  readonly instance: string;
  readonly store: LocalStore;
  /** Runs what the cluster cannot, confirms failures. */
  readonly local: Engine;
  readonly toolchain: (job: ForceJob, fit: 'part' | 'whole') => Promise<ReapiToolchain | NotThere>;
  readonly starter: Starter;
  readonly platform: ActionParts['platform'];
  readonly health: RemoteHealth;
  /** Fail rather than run locally what the cluster did not do. */
  readonly strict: boolean;
  /** Never take a result from the server's action cache: for caches that others may write. */
  readonly skipCacheLookup: boolean;
  /** Something a person should know, once for each subject. */
  readonly problem: (reason: string, subject: string, detail: string, advice: string) => void;
  readonly inFlightMax: number;
  readonly version: string;
}

export interface ReapiCounts extends HomeCounts {
  /** Results used; those that the server had already among them. */
  done: number;
  cached: number;
  readonly retries: Map<string, number>;
}

const ATTEMPTS_MAX = 5;
/** Waiting for a worker, beside the tool's own time. */
const QUEUE_MS_MAX = 600_000;
const LOOKUP_MS_MAX = 30_000;
/** After this many misses in a row the action cache is no longer asked beforehand: Execute looks there too. */
const MISSES_MAX = 50;
const METADATA = 'build.bazel.remote.execution.v2.requestmetadata-bin';
/** An answer's log: 12 kB are usual, the log itself ends at 8 MB. */
const LOG_BYTES_MAX = 9 * 1024 * 1024;
/** Of one action, log included: they pass through our memory. Larger programs are linked here. */
const OUTPUT_BYTES_MAX = 1024 * 1024 * 1024;

type Try =
  | { readonly kind: 'over'; readonly outcome: RunOutcome }
  | { readonly kind: 'local'; readonly why: string; readonly detail: string }
  | { readonly kind: 'confirm'; readonly exitCode: number }
  /** Counted against ATTEMPTS_MAX. `fresh`: the server's own cached result is no good. */
  | { readonly kind: 'again'; readonly why: string; readonly fresh?: boolean; readonly whole?: boolean }
  /** The network or the service: bounded by the outage's length. */
  | { readonly kind: 'outage'; readonly why: string };

export class ReapiEngine implements Engine {
  readonly label = 'reapi';
  readonly slots: number;
  readonly cas: Cas;
  readonly counts: ReapiCounts = {
    done: 0,
    cached: 0,
    retries: new Map(),
    local: new Map(),
    confirmed: 0,
    disagreed: 0,
  };
  readonly #o: ReapiEngineOptions;
  readonly #home: Home;
  readonly #actions = new Actions();
  readonly #invocation = randomUUID();
  #missesInARow = 0;

  constructor(options: ReapiEngineOptions) {
    this.#o = options;
    const { local, strict, problem } = options;
    this.#home = new Home({ local, strict, problem, cloud: 'the cluster', counts: this.counts });
    this.slots = options.inFlightMax;
    this.cas = new Cas({ channel: options.channel, instance: options.instance });
  }

  async run(job: ForceJob, { signal }: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    const { health } = this.#o;
    const before = health.down();
    if (before) return this.#home.instead(job, signal, before.reason, before.detail);
    const ending = AbortSignal.any([signal, health.signal]);
    let attempts = 0;
    let outages = 0;
    let fresh = this.#o.skipCacheLookup;
    let fit: 'part' | 'whole' = 'part';
    for (;;) {
      const tried = await this.#try(job, fit, fresh, ending);
      if (signal.aborted) return failed('cancelled', 'taken back');
      const down = health.down();
      if (down && tried.kind !== 'over' && tried.kind !== 'confirm')
        return this.#home.instead(job, signal, down.reason, down.detail);
      switch (tried.kind) {
        case 'over':
          return tried.outcome;
        case 'local':
          return this.#home.instead(job, signal, tried.why, tried.detail);
        case 'confirm':
          return this.#home.confirm(job, signal, tried.exitCode);
        case 'again':
          bump(this.counts.retries, tried.why);
          if (tried.fresh) fresh = true;
          if (tried.whole) fit = 'whole';
          if (++attempts >= ATTEMPTS_MAX)
            return this.#home.instead(job, signal, tried.why, `${attempts} attempts came to no end`);
          await sleep(backoffMs(attempts - 1), undefined, { signal: ending }).catch(() => {});
          break;
        case 'outage':
          bump(this.counts.retries, tried.why);
          await sleep(backoffMs(++outages + 1), undefined, { signal: ending }).catch(() => {});
          break;
      }
      if (signal.aborted) return failed('cancelled', 'taken back');
    }
  }

  async #try(job: ForceJob, fit: 'part' | 'whole', fresh: boolean, signal: AbortSignal): Promise<Try> {
    let action: BuiltAction;
    try {
      const toolchain = await this.#o.toolchain(job, fit);
      if ('localOnly' in toolchain) {
        // By its nature, not for want of the cluster: also with --strict.
        bump(this.counts.local, toolchain.localOnly);
        return { kind: 'over', outcome: await this.#o.local.run(job, { signal }) };
      }
      action = this.#actions.build(job, {
        toolchain,
        starter: this.#o.starter,
        platform: this.#o.platform,
        pathOf: (name) => (isValue(name) ? this.#o.store.path(name as ObjectName) : undefined),
      });
    } catch (error) {
      const why = error instanceof Refused || error instanceof InputRootError ? 'refused' : 'toolchain';
      return { kind: 'local', why, detail: (error as Error).message };
    }
    try {
      const { result, cached } =
        (fresh ? undefined : await this.#lookUp(action, job, signal)) ??
        (await this.#execute(action, job, fresh, signal));
      this.#o.health.worked();
      return await this.#taken(action, job, result, cached);
    } catch (error) {
      if (signal.aborted) return { kind: 'outage', why: 'cancelled' };
      if (error instanceof LostBlobError)
        return { kind: 'over', outcome: failed('inputs-changed', error.message, true) };
      if (error instanceof ReapiError) return this.#callFailed(error, action);
      throw error;
    }
  }

  /** The server's own record of an earlier run. */
  async #lookUp(action: BuiltAction, job: ForceJob, signal: AbortSignal): Promise<Executed | undefined> {
    if (this.#missesInARow >= MISSES_MAX) return undefined;
    try {
      const result = await this.#o.channel.unary(
        ActionCache.method.getActionResult,
        create(GetActionResultRequestSchema, {
          instanceName: this.#o.instance,
          actionDigest: digestOf(action.id),
          inlineStdout: true,
          inlineStderr: true,
        }),
        { signal, timeoutMs: LOOKUP_MS_MAX, binary: this.#metadata(action, job) },
      );
      this.#missesInARow = 0;
      return { result, cached: true };
    } catch (error) {
      if (!(error instanceof ReapiError) || error.code !== CODE.notFound) throw error;
      this.#missesInARow++;
      return undefined;
    }
  }

  async #execute(action: BuiltAction, job: ForceJob, fresh: boolean, signal: AbortSignal): Promise<Executed> {
    await this.cas.provide(action.blobs());
    return execute(this.#o.channel, {
      instance: this.#o.instance,
      action: action.id,
      skipCacheLookup: fresh,
      signal,
      binary: this.#metadata(action, job),
      timeoutMs: TIMEOUT_MS[classOf(job)] + QUEUE_MS_MAX,
    });
  }

  /** By these a server's own pages put the actions of a build together. */
  #metadata(action: BuiltAction, { placement }: ForceJob): NonNullable<CallOptions['binary']> {
    const metadata = create(RequestMetadataSchema, {
      toolDetails: { toolName: 'gg', toolVersion: this.#o.version },
      actionId: action.id.hash,
      toolInvocationId: this.#invocation,
      actionMnemonic: placement.stage,
      targetId: placement.label,
    });
    return [[METADATA, toBinary(RequestMetadataSchema, metadata)]];
  }

  async #taken(action: BuiltAction, job: ForceJob, result: ActionResult, cached: boolean): Promise<Try> {
    if (result.exitCode !== 0) return { kind: 'confirm', exitCode: result.exitCode };
    const byPath = new Map(result.outputFiles.map((f) => [f.path, f]));
    const wanted: BlobId[] = [];
    const paths = [LOG_OUTPUT, ...action.outputs.values()];
    for (const path of paths) {
      const file = byPath.get(path);
      if (!file?.digest)
        return cached
          ? { kind: 'again', why: 'output-missing', fresh: true }
          : { kind: 'local', why: 'output-missing', detail: path };
      wanted.push(idOf(file.digest));
    }
    if (byPath.size !== paths.length || result.outputDirectories.length > 0)
      return { kind: 'local', why: 'refused', detail: 'outputs that the action does not declare' };
    const sizeBytes = wanted.reduce((sum, id) => sum + id.sizeBytes, 0);
    if (sizeBytes > OUTPUT_BYTES_MAX)
      return { kind: 'local', why: 'large-outputs', detail: `${sizeBytes} bytes` };
    if (wanted[0]!.sizeBytes > LOG_BYTES_MAX)
      return { kind: 'local', why: 'refused', detail: 'a log that is longer than a log can be' };
    const streams = [
      { raw: result.stdoutRaw, digest: result.stdoutDigest },
      { raw: result.stderrRaw, digest: result.stderrDigest },
    ];
    const fetched = streams.filter((s) => s.raw.length === 0 && s.digest !== undefined);
    const [log, ...rest] = await this.cas.read([...wanted, ...fetched.map((s) => idOf(s.digest))]);
    if (log === undefined || rest.includes(undefined))
      // What the record names is gone or damaged over there.
      return { kind: 'again', why: 'output-gone', fresh: true };
    const parsed = logOf(log);
    if (!parsed) return { kind: 'local', why: 'refused', detail: 'a log that cannot be read' };
    const bad = this.#checked(action, job, parsed);
    if (bad) return bad;
    const words = (i: number): Buffer => {
      const at = fetched.indexOf(streams[i]!);
      return at < 0 ? Buffer.from(streams[i]!.raw) : rest[action.outputs.size + at]!;
    };
    const outputs: OutputValue[] = [...action.outputs.keys()].map((tag, i) => ({
      tag,
      name: this.#kept(rest[i]!),
    }));
    this.counts.done++;
    if (cached) this.counts.cached++;
    const { executionStartTimestamp: from, executionCompletedTimestamp: to } = result.executionMetadata ?? {};
    const wallMs = from && to ? Number(to.seconds - from.seconds) * 1000 + (to.nanos - from.nanos) / 1e6 : 0;
    const run: RunDone = {
      kind: 'done',
      exitCode: 0,
      stdout: words(0),
      stderr: words(1),
      outputs,
      wallMs: Math.max(0, Math.round(wallMs)),
      cpuMs: parsed.cpuMs,
    };
    return { kind: 'over', outcome: run };
  }

  #kept(bytes: Buffer): ObjectName {
    const name = this.#o.store.put(bytes, 'V');
    this.cas.noteStored(valueId(name));
    return name;
  }

  /** What the run looked for, against what there is here. Also for results of the server's cache: their log came with them. */
  #checked(action: BuiltAction, job: ForceJob, log: VrootLog): Try | undefined {
    const beyond = beyondPart(log, action.root, action.manifest);
    if (beyond) return { kind: 'again', why: beyond.reason, whole: true };
    const bad = badLog(log, job.thunk);
    if (bad) return { kind: 'local', why: bad.reason, detail: bad.detail };
    const checked = { manifest: action.manifest, item: action.item, thunk: job.thunk };
    const undeclared = undeclaredMisses(log, action.root, checked).find(
      (path) => tryStat(path) !== undefined,
    );
    if (undeclared === undefined) return undefined;
    this.#o.problem(
      'undeclared-input',
      undeclared,
      `${job.placement.label} looked for it, and its thunk does not list it`,
      'the thunk runs here; please report the command',
    );
    return { kind: 'local', why: 'undeclared-input', detail: undeclared };
  }

  #callFailed(error: ReapiError, action: BuiltAction): Try {
    const { health } = this.#o;
    switch (error.code) {
      case CODE.unauthenticated:
      case CODE.permissionDenied:
        health.giveUp('denied', error.message);
        return { kind: 'local', why: 'denied', detail: error.message };
      case CODE.unimplemented:
        health.giveUp('not-implemented', error.message);
        return { kind: 'local', why: 'not-implemented', detail: error.message };
      case CODE.notFound:
      case CODE.failedPrecondition:
      case CODE.internal:
        // Missing blobs have many faces: ask for all of them once more.
        this.cas.forget([...action.blobs()].map((b) => b.id));
        return { kind: 'again', why: 'missing-blob' };
      case CODE.invalidArgument:
        // This action is refused; others may pass.
        return { kind: 'local', why: 'refused-by-server', detail: error.message };
      case CODE.resourceExhausted:
        return { kind: 'again', why: 'overloaded' };
      case CODE.deadlineExceeded:
        return { kind: 'local', why: 'timeout', detail: error.message };
    }
    if (!isTransient(error)) {
      health.giveUp('refused-by-server', error.message);
      return { kind: 'local', why: 'refused-by-server', detail: error.message };
    }
    health.failing('connection-lost', error.message);
    return { kind: 'outage', why: 'connection-lost' };
  }

  async close(): Promise<void> {
    this.#o.channel.close();
  }
}

function logOf(bytes: Buffer): VrootLog | undefined {
  try {
    const log = parseLog(bytes);
    for (const names of [log.misses, log.writes, log.statics])
      for (const name of names) if (!name.startsWith('/')) return undefined;
    return log;
  } catch {
    return undefined;
  }
}
