// What a session's cloud use costs, from what the service bills, and the budget that bounds it.
// Prices: us-east-1, x86-64, list (https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/s3/pricing/).
import type { RemoteCounters } from '../../store/remote/remote.ts';
import type { Billing } from './billing.ts';

export const USD_PER_GB_SECOND = 0.0000166667;
export const USD_PER_INVOCATION = 0.2e-6;
export const USD_PER_S3_PUT = 0.005e-3;
export const USD_PER_S3_GET = 0.0004e-3;
/** Out of AWS; into it and within a region is free. */
export const USD_PER_GB_OUT = 0.09;

export function invocationUsd(billedMs: number, memoryMb: number): number {
  return (billedMs / 1000) * (memoryMb / 1024) * USD_PER_GB_SECOND + USD_PER_INVOCATION;
}

export interface CostCounts {
  readonly invocations: number;
  readonly billedMs: number;
  readonly gbSeconds: number;
  /** Invocations whose bill nobody told us: taken back or lost on the way; counted by our own clock. */
  readonly estimated: number;
  /** Requests and bytes of the store, this side's and as far as they told us the workers'. */
  readonly storeUsd: number;
  readonly transferUsd: number;
  readonly usd: number;
}

/**
 * One session's bill. Before an invocation its worst case is reserved, so that what is in flight cannot take the session over
 * its budget: reserve() says no when spent + reserved + this would exceed it.
 */
export class CostMeter {
  readonly budgetUsd: number;
  #spentUsd = 0;
  #reservedUsd = 0;
  #holds = 0;
  readonly #waiting: (() => void)[] = [];
  #invocations = 0;
  #billedMs = 0;
  #gbSeconds = 0;
  #estimated = 0;
  #payloadBytesOut = 0;
  #workerGets = 0;
  #workerPuts = 0;
  readonly #store: () => Readonly<RemoteCounters> | undefined;
  readonly #storeBase: Readonly<RemoteCounters> | undefined;

  constructor(
    budgetUsd = Number.POSITIVE_INFINITY,
    store: () => Readonly<RemoteCounters> | undefined = () => undefined,
  ) {
    this.budgetUsd = budgetUsd;
    this.#store = store;
    const now = store();
    this.#storeBase = now && { ...now };
  }

  #storeUsd(): number {
    const now = this.#store();
    const base = this.#storeBase;
    const puts = now ? now.putCount + now.listCount - (base ? base.putCount + base.listCount : 0) : 0;
    const gets = now ? now.getCount - (base?.getCount ?? 0) : 0;
    return (puts + this.#workerPuts) * USD_PER_S3_PUT + (gets + this.#workerGets) * USD_PER_S3_GET;
  }

  #transferUsd(): number {
    const received = (this.#store()?.receivedBytes ?? 0) - (this.#storeBase?.receivedBytes ?? 0);
    return ((received + this.#payloadBytesOut) / 1e9) * USD_PER_GB_OUT;
  }

  get usd(): number {
    return this.#spentUsd + this.#storeUsd() + this.#transferUsd();
  }

  /**
   * A hold, as soon as what is in flight has left room for it; undefined when nothing is in flight any more and there is still
   * no room: the budget is used up.
   */
  async reserveInTurn(worstMs: number, memoryMb: number, signal: AbortSignal): Promise<CostHold | undefined> {
    for (;;) {
      const hold = this.reserve(worstMs, memoryMb);
      if (hold || this.#holds === 0 || signal.aborted) return hold;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** @returns a hold to be settled once, or undefined when the budget does not allow it. */
  reserve(worstMs: number, memoryMb: number): CostHold | undefined {
    const worstUsd = invocationUsd(worstMs, memoryMb);
    if (this.usd + this.#reservedUsd + worstUsd > this.budgetUsd) return undefined;
    this.#reservedUsd += worstUsd;
    this.#holds++;
    const free = (): void => {
      this.#holds--;
      // Sums of fractions do not come back to nothing by themselves.
      this.#reservedUsd = this.#holds === 0 ? 0 : this.#reservedUsd - worstUsd;
      for (const go of this.#waiting.splice(0)) setImmediate(go);
    };
    const startedMs = performance.now();
    return {
      settle: (billing, payloadBytes) => {
        free();
        this.#payloadBytesOut += payloadBytes;
        this.#add(billing.billedMs, billing.memoryMb, billing.exact);
      },
      free,
      lost: () => {
        free();
        this.#add(Math.ceil(performance.now() - startedMs), memoryMb, false);
      },
    };
  }

  #add(billedMs: number, memoryMb: number, exact: boolean): void {
    this.#invocations++;
    this.#billedMs += billedMs;
    this.#gbSeconds += (billedMs / 1000) * (memoryMb / 1024);
    this.#spentUsd += invocationUsd(billedMs, memoryMb);
    if (!exact) this.#estimated++;
  }

  worker(gets: number, puts: number): void {
    this.#workerGets += gets;
    this.#workerPuts += puts;
  }

  counts(): CostCounts {
    return {
      invocations: this.#invocations,
      billedMs: this.#billedMs,
      gbSeconds: this.#gbSeconds,
      estimated: this.#estimated,
      storeUsd: this.#storeUsd(),
      transferUsd: this.#transferUsd(),
      usd: this.usd,
    };
  }
}

export interface CostHold {
  /** The service said what it was. */
  settle(billing: Billing, payloadBytes: number): void;
  /** It never ran. */
  free(): void;
  /** It ran, perhaps, and we gave up on it: our own clock counts. */
  lost(): void;
}
