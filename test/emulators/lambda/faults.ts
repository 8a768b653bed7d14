// What goes wrong on purpose: each a share of invocations, 0 to 1, drawn from a seed.

export interface FaultShares {
  readonly throttles: number;
  readonly deaths: number;
  readonly timeouts: number;
  readonly serviceErrors: number;
}

export const NO_FAULTS: FaultShares = { throttles: 0, deaths: 0, timeouts: 0, serviceErrors: 0 };

export class Faults {
  readonly shares: FaultShares;
  readonly counts = { throttles: 0, deaths: 0, timeouts: 0, serviceErrors: 0 };
  #state: number;

  constructor(shares: Partial<FaultShares> = {}, seed = 1) {
    this.shares = { ...NO_FAULTS, ...shares };
    this.#state = seed >>> 0 || 1;
  }

  /** mulberry32 */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  hits(kind: keyof FaultShares): boolean {
    if (this.shares[kind] === 0 || this.random() >= this.shares[kind]) return false;
    this.counts[kind]++;
    return true;
  }
}
