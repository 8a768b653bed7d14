// The Lambda engine: each thunk becomes one invocation of a function that has the worker. Inputs go up first, results are
// checked before they are believed, and what the cloud cannot or must not decide runs on the local engine.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ObjectName, parseRef, sizeOf } from '../../ir/name.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { RemoteError, type RemoteStore } from '../../store/remote/remote.ts';
import type { StoredMessage, WorkFailed } from '../../worker/messages.ts';
import { readAnswer } from './answers.ts';
import type { CostCounts, CostMeter } from '../cloud/cost.ts';
import type { Engine, Follower, ForceJob, RunOutcome } from '../engine.ts';
import type { InvokeRejected, Invoker } from './invoker.ts';
import { classOf, type ThunkClass, TIMEOUT_MS } from '../thunk-class.ts';
import { type Chain, encodeRequest, type Link, wantedOf } from './request.ts';
import {
  type CapturedToolchain,
  type CaptureToolchain,
  LambdaToolchains,
  type LocalOnly,
} from './toolchains.ts';
import { failed } from '../local/local.ts';
import type { Ramp } from '../cloud/ramp.ts';
import { bump, Home, type HomeCounts } from '../cloud/home.ts';
import type { RemoteHealth } from '../cloud/health.ts';
import type { Uploads } from '../cloud/uploads.ts';

/** A function that has the worker. */
export interface LambdaFunction {
  readonly name: string;
  readonly memoryMb: number;
  readonly ramp: Ramp;
}

export interface LambdaEngineOptions {
  readonly store: LocalStore;
  readonly remote: RemoteStore;
  readonly uploads: Uploads;
  readonly invoker: Invoker;
  /** By memory, smallest first. */
  readonly functions: readonly LambdaFunction[];
  /** Index into `functions` by class. */
  readonly functionOf: Readonly<Record<ThunkClass, number>>;
  /** Runs what the cloud cannot, confirms failures. */
  readonly local: Engine;
  readonly toolchain: CaptureToolchain;
  readonly health: RemoteHealth;
  readonly cost: CostMeter;
  /** Fail rather than run locally what the cloud did not do. */
  readonly strict: boolean;
  /** Others take results from the store: what does not come back from a chain is kept there for them. */
  readonly sharesResults: boolean;
  /** Something a person should know, once for each subject. */
  readonly problem: (reason: string, subject: string, detail: string, advice: string) => void;
  readonly inFlightMax: number;
}

/** On top of the tool's own time: fetching, storing, a cold start, the way. */
const AROUND_MS = 60_000;
/** A function runs for 15 minutes at most. */
const INVOCATION_MS_MAX = 900_000;
/** Bytes that would have to go up for followers before the first thunk of a chain can start: alone they go up while it runs. */
const CHAIN_NEW_BYTES_MAX = 1024 * 1024;
/** Runs of a thunk that came to no end, for reasons that are the instance's. */
const ATTEMPTS_MAX = 5;
/** 429s of one thunk before it goes to the local engine; with the backoff below more than two minutes. */
const THROTTLES_MAX = 30;
const BACKOFF_BASE_MS = 100;
const BACKOFF_MS_MAX = 8000;
/** Inputs that travel with a request, of the 6 MB a request may be; base64 takes a third more. */
const INLINE_INPUT_BYTES_MAX = 1024 * 1024;

export interface LambdaCounts extends HomeCounts {
  /** Results used. */
  done: number;
  /** Of these in a request with others. */
  chained: number;
  /** Invocations again, by what ended the one before. */
  readonly retries: Map<string, number>;
  coldStarts: number;
  warmBlobs: number;
  fetchedBlobs: number;
  workerMemoryBytesMax: number;
}

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
export function backoffMs(failures: number): number {
  return Math.random() * Math.min(BACKOFF_MS_MAX, BACKOFF_BASE_MS * 2 ** failures);
}

/** What one try came to. */
type Try =
  | { readonly kind: 'over'; readonly outcome: RunOutcome }
  | { readonly kind: 'local'; readonly why: string; readonly detail: string }
  | { readonly kind: 'confirm'; readonly exitCode: number }
  /** The instance's fault: counted against ATTEMPTS_MAX. */
  | { readonly kind: 'again'; readonly why: string; readonly bigger?: boolean }
  | { readonly kind: 'throttled'; readonly afterMs: number | undefined }
  /** Not with followers: without them at once. */
  | { readonly kind: 'alone' }
  /** The network or the store: bounded by the outage's length. */
  | { readonly kind: 'outage'; readonly why: string };

export class LambdaEngine implements Engine {
  readonly label = 'lambda';
  readonly chains = true;
  readonly slots: number;
  readonly counts: LambdaCounts = {
    done: 0,
    chained: 0,
    retries: new Map(),
    local: new Map(),
    confirmed: 0,
    disagreed: 0,
    coldStarts: 0,
    warmBlobs: 0,
    fetchedBlobs: 0,
    workerMemoryBytesMax: 0,
  };
  readonly #o: LambdaEngineOptions;
  readonly #home: Home;
  readonly #idPrefix = randomBytes(6).toString('hex');
  readonly #toolchains: LambdaToolchains;
  #serial = 0;

  constructor(options: LambdaEngineOptions) {
    this.#o = options;
    const { local, strict, problem } = options;
    this.#home = new Home({ local, strict, problem, cloud: 'Lambda', counts: this.counts });
    this.#toolchains = new LambdaToolchains(options.toolchain, options.uploads);
    this.slots = options.inFlightMax;
  }

  cost(): CostCounts {
    return this.#o.cost.counts();
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    const { signal } = options;
    const { health } = this.#o;
    const before = health.down();
    if (before) return this.#home.instead(job, signal, before.reason, before.detail);
    const ending = AbortSignal.any([signal, health.signal]);
    let size = this.#o.functionOf[classOf(job)];
    let attempts = 0;
    let throttles = 0;
    let outages = 0;
    let followers = job.followers ?? [];
    for (;;) {
      const tried = await this.#try(job, followers, size, ending);
      if (signal.aborted) return failed('cancelled', 'taken back');
      const down = health.down();
      if (down && tried.kind !== 'over' && tried.kind !== 'confirm')
        return this.#home.instead(job, signal, down.reason, down.detail);
      // Whatever went wrong in company is not to go wrong twice: what did not run at all keeps its followers.
      if (tried.kind === 'again' || tried.kind === 'alone') followers = [];
      let delayMs: number;
      switch (tried.kind) {
        case 'over':
          return tried.outcome;
        case 'local':
          return this.#home.instead(job, signal, tried.why, tried.detail);
        case 'confirm':
          return this.#home.confirm(job, signal, tried.exitCode);
        case 'again':
          bump(this.counts.retries, tried.why);
          if (tried.bigger) {
            if (size + 1 >= this.#o.functions.length)
              return this.#home.instead(
                job,
                signal,
                tried.why,
                `needs more than ${this.#o.functions[size]!.memoryMb} MB`,
              );
            size++;
          }
          if (++attempts >= ATTEMPTS_MAX)
            return this.#home.instead(job, signal, tried.why, `${attempts} invocations came to no end`);
          delayMs = backoffMs(attempts - 1);
          break;
        case 'alone':
          continue;
        case 'throttled':
          bump(this.counts.retries, 'throttled');
          if (++throttles >= THROTTLES_MAX)
            return this.#home.instead(job, signal, 'throttled', `${throttles} times in a row`);
          delayMs = Math.max(tried.afterMs ?? 0, backoffMs(throttles));
          break;
        case 'outage':
          bump(this.counts.retries, tried.why);
          delayMs = backoffMs(++outages + 1);
          break;
      }
      await sleep(delayMs, undefined, { signal: ending }).catch(() => {});
      if (signal.aborted) return failed('cancelled', 'taken back');
    }
  }

  /** The followers that can go along, in order. */
  async #along(followers: readonly Follower[]): Promise<Chain['rest']> {
    const rest: (Link & { readonly job: Follower })[] = [];
    let newBytes = 0;
    for (const job of followers) {
      for (const { name } of wantedOf(job)) if (!this.#o.uploads.known(name)) newBytes += sizeOf(name);
      if (newBytes > CHAIN_NEW_BYTES_MAX) break;
      // What is wrong with its toolchain is said when it comes alone.
      const toolchain = await this.#toolchains.fitting(job).catch(() => undefined);
      if (!toolchain || 'localOnly' in toolchain) break;
      rest.push({ job, toolchain });
    }
    return rest;
  }

  async #try(job: ForceJob, followers: readonly Follower[], size: number, signal: AbortSignal): Promise<Try> {
    let toolchain: CapturedToolchain | LocalOnly;
    try {
      toolchain = await this.#toolchains.fitting(job);
    } catch (error) {
      return { kind: 'local', why: 'toolchain', detail: (error as Error).message };
    }
    if ('localOnly' in toolchain) {
      return { kind: 'over', outcome: await this.#home.always(job, signal, toolchain.localOnly) };
    }
    const chain: Chain = {
      id: `${this.#idPrefix}-${this.#serial++}`,
      first: { job, toolchain },
      rest: await this.#along(followers),
    };
    const links = [chain.first, ...chain.rest];
    const fn = this.#o.functions[Math.max(size, ...links.map((l) => this.#o.functionOf[classOf(l.job)]))]!;
    try {
      await unlessAborted(Promise.all(links.map((l) => this.#toolchains.offer(l.toolchain))), signal);
      const inline = await unlessAborted(
        this.#o.uploads.provide(
          links.flatMap((l) => wantedOf(l.job)),
          INLINE_INPUT_BYTES_MAX,
        ),
        signal,
      );
      const payload = await encodeRequest(chain, inline, this.#o.remote, this.#o.sharesResults);
      if (!(await fn.ramp.acquire(signal))) return { kind: 'outage', why: 'cancelled' };
      try {
        return await this.#invoke(chain, fn, payload, signal);
      } finally {
        fn.ramp.release();
      }
    } catch (error) {
      if (signal.aborted) return { kind: 'outage', why: 'cancelled' };
      if (!(error instanceof RemoteError)) throw error;
      return this.#storeFailed(error, job);
    }
  }

  async #invoke(chain: Chain, fn: LambdaFunction, payload: Buffer, signal: AbortSignal): Promise<Try> {
    const { cost, health } = this.#o;
    const links = [chain.first, ...chain.rest];
    const toolsMs = links.reduce((sum, l) => sum + TIMEOUT_MS[classOf(l.job)], 0);
    const timeoutMs = Math.min(toolsMs + AROUND_MS, INVOCATION_MS_MAX);
    const hold =
      cost.reserve(timeoutMs, fn.memoryMb) ?? (await cost.reserveInTurn(timeoutMs, fn.memoryMb, signal));
    if (!hold && signal.aborted) return { kind: 'outage', why: 'cancelled' };
    // The worst of several may be too much where that of one is not.
    if (!hold && chain.rest.length > 0) return { kind: 'alone' };
    if (!hold) {
      health.giveUp(
        'budget',
        `${cost.usd.toFixed(4)} of ${cost.budgetUsd} USD spent, and this thunk could exceed it`,
      );
      return { kind: 'local', why: 'budget', detail: 'the budget is used up' };
    }
    const end = await this.#o.invoker.invoke(fn.name, payload, { signal, timeoutMs });
    switch (end.kind) {
      case 'rejected':
        if (end.reason === 'cancelled' || end.reason === 'connection-lost') hold.lost();
        else hold.free();
        return this.#rejected(end, fn);
      case 'function-error': {
        health.worked();
        hold.settle(end.billing, 0);
        switch (end.reason) {
          case 'out-of-memory':
            return { kind: 'again', why: 'out-of-memory', bigger: true };
          case 'timeout':
          case 'died':
            return { kind: 'again', why: end.reason };
          case 'response-too-large':
          case 'unhandled':
            return { kind: 'local', why: end.reason, detail: end.detail };
        }
        break;
      }
      case 'answered':
        hold.settle(end.billing, end.payload.length);
        if (end.billing.initMs > 0) this.counts.coldStarts++;
        return this.#answered(end.payload, chain);
    }
  }

  #rejected(end: InvokeRejected, fn: LambdaFunction): Try {
    const { health } = this.#o;
    switch (end.reason) {
      case 'throttled': {
        health.worked();
        fn.ramp.throttled(end.retryAfterMs ?? backoffMs(1));
        return { kind: 'throttled', afterMs: end.retryAfterMs };
      }
      case 'request-too-large':
      case 'bad-request':
        return { kind: 'local', why: end.reason, detail: end.detail };
      case 'no-credentials':
      case 'expired-credentials':
      case 'denied':
      case 'no-such-function':
        health.giveUp(end.reason, end.detail);
        return { kind: 'local', why: end.reason, detail: end.detail };
      case 'not-ready':
      case 'service-error':
      case 'connection-lost':
        health.failing(end.reason, end.detail);
        return { kind: 'outage', why: end.reason };
      case 'cancelled':
        return { kind: 'outage', why: 'cancelled' };
    }
  }

  #storeFailed(error: RemoteError, job: ForceJob): Try {
    const { health } = this.#o;
    switch (error.reason) {
      case 'throttled':
      case 'connection-lost':
      case 'timeout':
      case 'invoke-error':
        health.failing(error.reason, error.message);
        return { kind: 'outage', why: `store-${error.reason}` };
      case 'missing-blob':
      case 'digest-mismatch':
        this.#o.uploads.forget(namesIn(error.message));
        return { kind: 'again', why: error.reason };
      case 'aborted':
        return { kind: 'outage', why: 'cancelled' };
      case 'read-only':
        return { kind: 'local', why: error.reason, detail: `${job.placement.label}: ${error.message}` };
      case 'no-credentials':
      case 'denied':
      case 'no-such-bucket':
        health.giveUp(error.reason, error.message);
        return { kind: 'local', why: error.reason, detail: error.message };
    }
  }

  async #answered(payload: Buffer, { id, first, rest }: Chain): Promise<Try> {
    const { job, toolchain } = first;
    const followers = rest.map((l) => l.job);
    const answer = await readAnswer(await this.#opened(payload), id, job, followers, {
      store: this.#o.store,
      remote: this.#o.remote,
      withheldIsStored: this.#o.sharesResults,
    });
    if (answer.kind === 'refused') {
      this.#o.problem(
        'answer-refused',
        job.placement.label,
        `a worker's answer was refused: ${answer.detail}`,
        'the thunk runs here; if it happens again, deploy the functions anew',
      );
      return { kind: 'local', why: 'answer-refused', detail: answer.detail };
    }
    const { worker } = answer.response;
    // A worker that cannot reach the store (its role may not, say) is no sign that things work.
    const cutOff =
      answer.kind === 'failed' &&
      (answer.failure.reason === 'fetch-inputs-failed' || answer.failure.reason === 'upload-outputs-failed');
    if (!cutOff) this.#o.health.worked();
    this.counts.warmBlobs += worker.warmBlobs;
    this.counts.fetchedBlobs += worker.fetchedBlobs;
    this.counts.workerMemoryBytesMax = Math.max(this.counts.workerMemoryBytesMax, worker.memoryMaxBytes);
    this.#o.cost.worker(worker.fetchedBlobs, 0);
    switch (answer.kind) {
      case 'done': {
        const ran = 1 + (answer.run.also?.length ?? 0);
        this.counts.done += ran;
        if (ran > 1) this.counts.chained += ran;
        return { kind: 'over', outcome: answer.run };
      }
      case 'withheld':
        return { kind: 'alone' };
      case 'exited':
        return { kind: 'confirm', exitCode: answer.exitCode };
      case 'undeclared':
        this.#o.problem(
          'undeclared-input',
          answer.path,
          `${job.placement.label} looked for it, and its thunk does not list it`,
          'the thunk runs here; please report the command',
        );
        return { kind: 'local', why: 'undeclared-input', detail: answer.path };
      case 'failed':
        return this.#workFailed(answer.failure, job, toolchain);
    }
  }

  /** The answer itself, also when it was too large to come directly. */
  async #opened(payload: Buffer): Promise<unknown> {
    let value: unknown;
    try {
      value = JSON.parse(payload.toString('utf8'));
      const stored = (value as Partial<StoredMessage> | null)?.stored;
      if (typeof stored === 'string' && parseRef(stored)?.type === 'V')
        value = JSON.parse((await this.#o.remote.get(stored)).toString('utf8'));
    } catch (error) {
      if (error instanceof RemoteError) throw error;
      return undefined;
    }
    return value;
  }

  #workFailed(failure: WorkFailed, job: ForceJob, toolchain: CapturedToolchain): Try {
    switch (failure.reason) {
      case 'missing-blob':
      case 'digest-mismatch': {
        const named = namesIn(failure.detail);
        const all = [...wantedOf(job), ...toolchain.blobs].map((w) => w.name);
        this.#o.uploads.forget(named.length > 0 ? named : all);
        this.#toolchains.forget(toolchain);
        return { kind: 'again', why: failure.reason };
      }
      case 'fetch-inputs-failed':
      case 'upload-outputs-failed':
        this.#o.health.failing(failure.reason, failure.detail);
        return { kind: 'outage', why: failure.reason };
      case 'toolchain-part':
        return this.#toolchains.tooLittle(job, toolchain)
          ? { kind: 'again', why: failure.reason }
          : { kind: 'local', why: failure.reason, detail: failure.detail };
      case 'signal':
        // The kernel's way to say that memory is short.
        return { kind: 'again', why: 'signal', bigger: true };
      case 'start-failed':
      case 'output-missing':
      case 'timeout':
        return { kind: 'local', why: failure.reason, detail: failure.detail };
      case 'refused':
        this.#o.problem(
          'worker-refused',
          job.placement.label,
          `a worker refused the thunk: ${failure.detail}`,
          "it runs here; 'gg deploy lambda' brings the functions up to this version",
        );
        return { kind: 'local', why: 'refused', detail: failure.detail };
    }
  }

  async close(): Promise<void> {
    for (const fn of this.#o.functions) fn.ramp.close();
    this.#o.invoker.close();
  }
}

/** Object names in a line of text. */
function namesIn(detail: string): ObjectName[] {
  return [...detail.matchAll(/V[0-9a-f]{64}-[0-9]+/g)].map((m) => m[0] as ObjectName);
}

/** What the promise gives, or a rejection as soon as nobody waits any more; the work itself goes on for others. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
