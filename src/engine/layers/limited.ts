// Bounds how much of another engine runs at once, whoever asks for it; the rest waits in line. The bound is the largest that
// the sessions using the engine ask for: each holds to its own, and together they do not get more than the boldest one would.
import type { Engine, ForceJob, RunOutcome } from '../engine.ts';

export class LimitedEngine implements Engine {
  readonly label: string;
  readonly #inner: Engine;
  /** The bound while no session says anything else. */
  readonly usual: number;
  readonly #claims = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(inner: Engine, usual: number) {
    this.#inner = inner;
    this.label = inner.label;
    this.usual = usual;
  }

  get slots(): number {
    return this.#claims.size === 0 ? this.usual : Math.max(...this.#claims.values());
  }

  /** Places nobody uses or waits for. */
  get idle(): number {
    return Math.max(0, this.slots - this.#running - this.#waiting.size);
  }

  /** A session that uses it begins; `slots`: what it may have at once, if it says so. */
  claim(session: string, slots: number = this.usual): void {
    this.#claims.set(session, Math.max(1, slots));
    this.#admit();
  }

  /** The session has ended: its claim counts no more. What runs is not ended; what waits waits longer. */
  release(session: string): void {
    this.#claims.delete(session);
    this.#admit();
  }

  #admit(): void {
    for (const start of this.#waiting) {
      if (this.#running >= this.slots) return;
      this.#waiting.delete(start);
      this.#running++;
      start();
    }
  }

  /** Resolves with a place taken, or without one (false) when the run is taken back. */
  #place(signal: AbortSignal): Promise<boolean> {
    return new Promise<boolean>((resolve) => {
      const start = (): void => {
        signal.removeEventListener('abort', leave);
        resolve(true);
      };
      const leave = (): void => {
        if (this.#waiting.delete(start)) resolve(false);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(start);
    });
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    const { signal } = options;
    const cancelled = {
      kind: 'failed',
      reason: 'cancelled',
      detail: 'taken back',
      transient: false,
    } as const;
    if (signal.aborted) return cancelled;
    if (this.#running < this.slots) this.#running++;
    else if (!(await this.#place(signal))) return cancelled;
    try {
      if (signal.aborted) return cancelled;
      return await this.#inner.run(job, options);
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
