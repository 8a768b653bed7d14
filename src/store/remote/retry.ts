// Bounded retries with full jitter: the wait before try n+1 is drawn from 0 to min(cap, base * 2^n), so that thousands of
// clients that were refused in the same moment do not come back in the same moment.
import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteError, type RemoteErrorReason } from './remote.ts';

export interface RetryPolicy {
  readonly triesMax: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** No try begins later than so long after the first, but for the wait before it. */
  readonly patienceMs: number;
}

/** An outage of 10 s is ridden out for certain: a try follows within 5 s of its end. One that lasts is given up in 25 s. */
export const RETRY_POLICY: RetryPolicy = { triesMax: 30, baseMs: 100, capMs: 5000, patienceMs: 20_000 };

/** Of listings, which stand at the beginning: who cannot reach the service is to know within a second or two. */
const LISTING_TRIES_MAX = 5;

export function listingPolicy(policy: RetryPolicy): RetryPolicy {
  return { ...policy, triesMax: Math.min(policy.triesMax, LISTING_TRIES_MAX) };
}

/** A call that failed, and whether the same call may do better a little later. */
export interface Failure {
  readonly reason: RemoteErrorReason;
  readonly transient: boolean;
  readonly detail: string;
}

export interface RetryOptions {
  readonly policy: RetryPolicy;
  readonly classify: (error: unknown) => Failure;
  readonly signal?: AbortSignal | undefined;
  /** Told before each wait. */
  readonly onRetry?: (failure: Failure, waitMs: number) => void;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

export function waitMs(policy: RetryPolicy, failedTries: number, random: () => number): number {
  // 2^30 is beyond every cap; more would overflow nothing, but says nothing either.
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(failedTries - 1, 30));
  return random() * ceiling;
}

export function aborted(detail: string, cause?: unknown): RemoteError {
  return new RemoteError('aborted', detail, { cause });
}

/** @throws RemoteError after the last try or when patience has run out, at once for what is not transient, `aborted` when the signal says so. */
export async function retry<T>(run: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { policy, classify, signal, onRetry, random = Math.random } = options;
  const startMs = performance.now();
  for (let tries = 1; ; tries++) {
    if (signal?.aborted) throw aborted('the call was given up', signal.reason);
    try {
      return await run();
    } catch (error) {
      if (signal?.aborted) throw aborted('the call was given up', signal.reason);
      if (error instanceof RemoteError) throw error;
      const failure = classify(error);
      const enough = tries >= policy.triesMax || performance.now() - startMs >= policy.patienceMs;
      if (!failure.transient || enough) {
        const after = tries > 1 ? ` (${tries} tries)` : '';
        throw new RemoteError(failure.reason, `${failure.detail}${after}`, { cause: error });
      }
      const ms = waitMs(policy, tries, random);
      onRetry?.(failure, ms);
      await sleep(ms, undefined, signal ? { signal } : {}).catch((e: unknown) => {
        throw aborted('the call was given up', e);
      });
    }
  }
}

/** For work that is shared with others and so goes on without us. @throws RemoteError `aborted`. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(aborted('the call was given up', signal.reason));
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
