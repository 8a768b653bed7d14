// What goes wrong, on purpose and repeatably: every draw comes from one seeded generator.

export interface Faults {
  readonly seed: number;
  /** Shares of requests, 0 to 1. */
  readonly slowDownRate: number;
  readonly internalErrorRate: number;
  /** Before the request is looked at, after it was carried out but not answered, or in the middle of the answer. */
  readonly resetRate: number;
  /** Shares of stored objects: acknowledged but gone; one bit turned in every read. */
  readonly lostRate: number;
  readonly corruptedRate: number;
  /** Milliseconds every request takes at least. */
  readonly latencyMs: number;
  /** Per request, both ways; 0: unlimited. */
  readonly bandwidthBytesPerS: number;
}

export const NO_FAULTS: Faults = {
  seed: 1,
  slowDownRate: 0,
  internalErrorRate: 0,
  resetRate: 0,
  lostRate: 0,
  corruptedRate: 0,
  latencyMs: 0,
  bandwidthBytesPerS: 0,
};

/** mulberry32: small, seeded, good enough for draws. @returns numbers from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export type ResetPoint = 'before' | 'after' | 'amid';
export type Fate = 'kept' | 'lost' | 'corrupted';

export class FaultModel {
  faults: Faults;
  #random: () => number;
  #outageUntilMs = 0;

  constructor(faults: Partial<Faults>) {
    this.faults = { ...NO_FAULTS, ...faults };
    this.#random = seededRandom(this.faults.seed);
  }

  change(faults: Partial<Faults>): void {
    this.faults = { ...this.faults, ...faults };
    if (faults.seed !== undefined) this.#random = seededRandom(faults.seed);
  }

  /** Every connection is reset from now on for so many milliseconds. */
  startOutage(lengthMs: number): void {
    this.#outageUntilMs = Date.now() + lengthMs;
  }

  isOut(): boolean {
    return Date.now() < this.#outageUntilMs;
  }

  draw(rate: number): boolean {
    return rate > 0 && this.#random() < rate;
  }

  drawReset(): ResetPoint | undefined {
    if (!this.draw(this.faults.resetRate)) return undefined;
    return (['before', 'after', 'amid'] as const)[Math.floor(this.#random() * 3)];
  }

  drawFate(): Fate {
    if (this.draw(this.faults.lostRate)) return 'lost';
    return this.draw(this.faults.corruptedRate) ? 'corrupted' : 'kept';
  }

  /** Milliseconds a request that moves so many bytes takes. */
  delayMs(bytes: number): number {
    const { latencyMs, bandwidthBytesPerS } = this.faults;
    return latencyMs + (bandwidthBytesPerS > 0 ? (bytes * 1000) / bandwidthBytesPerS : 0);
  }
}
