// Compositions of engines: a twin for a run that takes much longer than others of its class, and idle local cores beside the
// cloud. A run twice is harmless: equal thunks give equal outputs, and the first end counts.
import type { Engine, ForceJob, RunOutcome } from '../engine.ts';
import { classOf, type ThunkClass } from '../thunk-class.ts';
import type { LimitedEngine } from './limited.ts';

/** Runs of a class before anything is said about what is usual. */
const SAMPLES_MIN = 20;
const SAMPLES_MAX = 256;
/** A twin comes after this percentile of the last runs, twice over. */
const PERCENTILE = 0.95;
const FACTOR = 2;
const DELAY_MS_MIN = 2000;
/** Twins of all runs, at most: what is slow for everybody is not cured by twins. */
const TWIN_SHARE_MAX = 0.05;
const TWINS_FREE = 3;

/** The durations of the last runs of one class. */
export class Durations {
  readonly #last: number[] = [];
  #at = 0;
  #sorted: number[] | undefined;

  add(ms: number): void {
    this.#last[this.#at++ % SAMPLES_MAX] = ms;
    this.#sorted = undefined;
  }

  /** When a run counts as a straggler; undefined while too little is known. */
  stragglerMs(): number | undefined {
    if (this.#last.length < SAMPLES_MIN) return undefined;
    this.#sorted ??= [...this.#last].sort((a, b) => a - b);
    const usual = this.#sorted[Math.floor(this.#sorted.length * PERCENTILE)]!;
    return Math.max(DELAY_MS_MIN, usual * FACTOR);
  }
}

export class TwinEngine implements Engine {
  readonly label: string;
  readonly slots: number;
  readonly chains: boolean;
  readonly #inner: Engine;
  readonly #spare: () => Engine;
  readonly #durations: Readonly<Record<ThunkClass, Durations>> = {
    compile: new Durations(),
    link: new Durations(),
  };
  runs = 0;
  twins = 0;
  /** Twins that came first. */
  won = 0;

  /** @param spare where a twin runs, chosen when it starts. */
  constructor(inner: Engine, spare: () => Engine = () => inner) {
    this.#inner = inner;
    this.#spare = spare;
    this.label = inner.label;
    this.slots = inner.slots;
    this.chains = inner.chains === true;
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    this.runs++;
    const durations = this.#durations[classOf(job)];
    const startedMs = performance.now();
    const delayMs = durations.stragglerMs();
    const outcome = await (delayMs === undefined
      ? this.#inner.run(job, options)
      : this.#watched(job, options.signal, delayMs));
    if (outcome.kind === 'done' && outcome.exitCode === 0) durations.add(performance.now() - startedMs);
    return outcome;
  }

  #watched(job: ForceJob, signal: AbortSignal, delayMs: number): Promise<RunOutcome> {
    return new Promise<RunOutcome>((resolve, reject) => {
      const aborts: AbortController[] = [];
      let running = 0;
      let over = false;
      const stop = (): void => {
        for (const abort of aborts) abort.abort();
      };
      const finish = (act: () => void): void => {
        over = true;
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        act();
        stop();
      };
      const start = (engine: Engine, twin: boolean): void => {
        const abort = new AbortController();
        aborts.push(abort);
        if (signal.aborted) abort.abort();
        running++;
        engine.run(job, { signal: abort.signal }).then(
          (outcome) => {
            running--;
            // A failure is the answer only when nobody else may still come to a better one.
            if (over || (outcome.kind === 'failed' && running > 0)) return;
            if (twin) this.won++;
            finish(() => resolve(outcome));
          },
          (error: unknown) => {
            running--;
            if (!over && running === 0) finish(() => reject(error as Error));
          },
        );
      };
      signal.addEventListener('abort', stop, { once: true });
      const timer = setTimeout(() => {
        if (this.twins >= TWINS_FREE + this.runs * TWIN_SHARE_MAX) return;
        this.twins++;
        start(this.#spare(), true);
      }, delayMs);
      start(this.#inner, false);
    });
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** Units up to this many bytes of inputs that would have to travel first run at home while a core is idle. */
const TINY_BYTES = 32 * 1024;

export interface RacingParts {
  readonly remote: Engine;
  readonly local: LimitedEngine;
  /** Bytes of the job's inputs workers do not have yet. */
  readonly missingBytes: (job: ForceJob) => number;
  readonly inputBytes: (job: ForceJob) => number;
  /** The service makes us wait. */
  readonly remoteIsFull: () => boolean;
}

export class RacingEngine implements Engine {
  readonly label: string;
  readonly slots: number;
  readonly chains: boolean;
  readonly #p: RacingParts;
  ranHere = 0;

  constructor(parts: RacingParts) {
    this.#p = parts;
    this.label = `${parts.remote.label},local`;
    this.slots = parts.remote.slots + parts.local.slots;
    this.chains = parts.remote.chains === true;
  }

  run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    if (this.#p.local.idle > 0 && this.#isCheaperHere(job)) {
      this.ranHere++;
      return this.#p.local.run(job, options);
    }
    return this.#p.remote.run(job, options);
  }

  #isCheaperHere(job: ForceJob): boolean {
    // Links and archives read all that was just brought back and write it again: here nothing travels.
    if (classOf(job) === 'link' || this.#p.remoteIsFull()) return true;
    return this.#p.inputBytes(job) <= TINY_BYTES && this.#p.missingBytes(job) > 0;
  }

  close(): Promise<void> {
    return this.#p.remote.close();
  }
}
