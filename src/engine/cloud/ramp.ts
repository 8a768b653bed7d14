// How many invocations of one function may be in flight: the caller's limit, and Lambda's rule that a function gets at most
// 1,000 new instances in 10 seconds. Waiters are served in the order they came.

export const RAMP_INSTANCES = 1000;
export const RAMP_MS = 10_000;
/** A warm instance is believed to wait for work this long; Lambda says nothing, minutes are what is seen. */
const WARM_MS = 5 * 60_000;

export interface RampOptions {
  readonly inFlightMax: number;
  readonly now?: () => number;
  /** Calls back after so many milliseconds of the same clock. */
  readonly later?: (delayMs: number, act: () => void) => void;
  readonly instancesPerRamp?: number;
}

export class Ramp {
  readonly #o: RampOptions;
  readonly #now: () => number;
  readonly #later: (delayMs: number, act: () => void) => void;
  readonly #perRamp: number;
  #inFlight = 0;
  /** Instances that are there as far as we know. */
  #instances = 0;
  /** When the last instances were started, as far as we know; oldest first. */
  readonly #starts: number[] = [];
  #usedMs: number;
  #pausedUntilMs = 0;
  readonly #waiting: { readonly go: () => void; readonly signal: AbortSignal }[] = [];
  #head = 0;
  #timer: NodeJS.Timeout | undefined;
  #armed = false;

  constructor(options: RampOptions) {
    this.#o = options;
    this.#now = options.now ?? Date.now;
    this.#later =
      options.later ??
      ((delayMs, act) => {
        this.#timer = setTimeout(act, delayMs);
      });
    this.#perRamp = options.instancesPerRamp ?? RAMP_INSTANCES;
    this.#usedMs = this.#now();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** In any 10 seconds, not on average: an allowance that refills would let twice as many through in the first. */
  #forgetStarts(now: number): void {
    while (this.#starts.length > 0 && now - this.#starts[0]! > RAMP_MS) this.#starts.shift();
    if (this.#inFlight === 0 && now - this.#usedMs > WARM_MS) this.#instances = 0;
    this.#usedMs = now;
  }

  /** Resolves when an invocation may start; false when the signal came first. Each true needs one release(). */
  async acquire(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.waiting === 0 && this.#take()) return true;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ go: resolve, signal });
      signal.addEventListener('abort', () => resolve(), { once: true });
      this.#arm();
    });
    // Whoever was let go by its signal holds nothing: #serve passes over it.
    return !signal.aborted;
  }

  #take(): boolean {
    if (this.#inFlight >= this.#o.inFlightMax) return false;
    const now = this.#now();
    if (now < this.#pausedUntilMs) return false;
    this.#forgetStarts(now);
    if (this.#inFlight >= this.#instances) {
      if (this.#starts.length >= this.#perRamp) return false;
      this.#starts.push(now);
      this.#instances++;
    }
    this.#inFlight++;
    return true;
  }

  /** The service had no instance for us: what we believed to be there is not, and nobody asks again before `forMs` is over. */
  throttled(forMs: number): void {
    this.#instances = Math.max(1, this.#inFlight - 1);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#now() + forMs);
    this.#arm();
  }

  release(): void {
    this.#inFlight--;
    this.#serve();
  }

  #serve(): void {
    while (this.#head < this.#waiting.length) {
      const next = this.#waiting[this.#head]!;
      if (next.signal.aborted) {
        this.#head++;
        continue;
      }
      if (!this.#take()) {
        this.#arm();
        return;
      }
      this.#head++;
      next.go();
    }
    this.#waiting.length = 0;
    this.#head = 0;
  }

  /** With a free place in flight only time lets the next one go. */
  #arm(): void {
    if (this.#armed || this.#inFlight >= this.#o.inFlightMax) return;
    const now = this.#now();
    const rampMs = this.#starts.length < this.#perRamp ? 0 : this.#starts[0]! + RAMP_MS - now + 1;
    const delayMs = Math.max(1, Math.ceil(Math.max(this.#pausedUntilMs - now, rampMs)));
    this.#armed = true;
    this.#later(delayMs, () => {
      this.#armed = false;
      this.#serve();
    });
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
