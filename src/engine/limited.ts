// Bounds how much of another engine runs at once; the rest waits in line.
import type { Engine, ForceJob, RunOutcome } from './engine.ts';

export class LimitedEngine implements Engine {
  readonly label: string;
  readonly slots: number;
  readonly #inner: Engine;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(inner: Engine, slots: number) {
    this.#inner = inner;
    this.label = inner.label;
    this.slots = slots;
  }

  /** Places nobody uses or waits for. */
  get idle(): number {
    return Math.max(0, this.slots - this.#running - this.#waiting.length);
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    if (this.#running >= this.slots) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      if (options.signal.aborted)
        return { kind: 'failed', reason: 'cancelled', detail: 'taken back', transient: false };
      return await this.#inner.run(job, options);
    } finally {
      // The place goes to the next in line, without being free in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
