// This machine as a cloud engine's way out: what the cloud does not run is run here, and a failure over there counts when it fails here too.
import type { Engine, ForceJob, RunOutcome } from '../engine.ts';
import { failed } from '../local/local.ts';

/** Derived here and nowhere else. */
export interface HomeCounts {
  /** Thunks that ran here instead, by why. */
  readonly local: Map<string, number>;
  /** Exits other than 0 that the local engine confirmed; the others it did not. */
  confirmed: number;
  disagreed: number;
}

export interface HomeOptions {
  readonly local: Engine;
  /** Fail rather than run here what the cloud did not do. */
  readonly strict: boolean;
  /** The cloud's name in sentences, e.g. "Lambda". */
  readonly cloud: string;
  readonly counts: HomeCounts;
  /** Something a person should know, once for each subject. */
  readonly problem: (reason: string, subject: string, detail: string, advice: string) => void;
}

export const bump = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

export class Home {
  readonly #options: HomeOptions;

  constructor(options: HomeOptions) {
    this.#options = options;
  }

  /** For want of the cloud: an error where that is not allowed. */
  async instead(job: ForceJob, signal: AbortSignal, why: string, detail: string): Promise<RunOutcome> {
    const { counts, strict, local } = this.#options;
    bump(counts.local, why);
    if (strict) return failed('invoke-error', `${why}: ${detail}; --strict forbids to run it here`);
    return local.run(job, { signal });
  }

  /** By the thunk's own nature: also with --strict. */
  always(job: ForceJob, signal: AbortSignal, why: string): Promise<RunOutcome> {
    bump(this.#options.counts.local, why);
    return this.#options.local.run(job, { signal });
  }

  /** @param exitCode of the run over there. */
  async confirm(job: ForceJob, signal: AbortSignal, exitCode: number): Promise<RunOutcome> {
    const { counts, local, cloud, problem } = this.#options;
    const here = await local.run(job, { signal });
    if (here.kind !== 'done') return here;
    if (here.exitCode !== 0) counts.confirmed++;
    else {
      counts.disagreed++;
      problem(
        'remote-disagrees',
        job.placement.label,
        `exited with ${exitCode} on ${cloud} and with 0 here; the result from here is used`,
        "'gg toolchain' lists what workers get of the compiler",
      );
    }
    return here;
  }
}
