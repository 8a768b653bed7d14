// Which part of the compiler a thunk's worker gets, and that it is where workers find it.
import type { ObjectName } from '../../ir/name.ts';
import type { ForceJob } from '../engine.ts';
import type { Uploads, Wanted } from '../cloud/uploads.ts';

/** A toolchain that workers can have: its manifest, and the files behind it. */
export interface CapturedToolchain {
  readonly manifest: ObjectName;
  /** The manifest itself first; every blob it names. */
  readonly blobs: readonly Wanted[];
}

/** The thunk cannot leave this machine. */
export interface LocalOnly {
  readonly localOnly: string;
  readonly detail: string;
  /** The tool, when all of its thunks are meant. */
  readonly tool?: string;
}

/** `part`: what its kind of call can need; `whole`: all of it. */
export type CaptureToolchain = (
  job: ForceJob,
  fit: 'part' | 'whole',
) => Promise<CapturedToolchain | LocalOnly>;

/** Then all thunks of that kind get the whole toolchain. */
const PART_FAILURES_MAX = 3;

export class LambdaToolchains {
  readonly #capture: CaptureToolchain;
  readonly #uploads: Uploads;
  readonly #offered = new Map<ObjectName, Promise<void>>();
  /** Thunks that looked for more than their part; and how often that was so, by the part's manifest. */
  readonly #wantsWhole = new Set<ObjectName>();
  readonly #partFailures = new Map<ObjectName, number>();

  constructor(capture: CaptureToolchain, uploads: Uploads) {
    this.#capture = capture;
    this.#uploads = uploads;
  }

  /** The part for its kind of call, unless that was too little for this one, or too often for others. */
  async fitting(job: ForceJob): Promise<CapturedToolchain | LocalOnly> {
    if (this.#wantsWhole.has(job.name)) return this.#capture(job, 'whole');
    const part = await this.#capture(job, 'part');
    if ('localOnly' in part || (this.#partFailures.get(part.manifest) ?? 0) < PART_FAILURES_MAX) return part;
    return this.#capture(job, 'whole');
  }

  /** Puts the toolchain where workers find it, once. */
  offer(toolchain: CapturedToolchain): Promise<void> {
    let offered = this.#offered.get(toolchain.manifest);
    if (!offered) {
      offered = this.#uploads.provide(toolchain.blobs, 0).then(() => undefined);
      this.#offered.set(toolchain.manifest, offered);
      offered.catch(() => this.#offered.delete(toolchain.manifest));
    }
    return offered;
  }

  /** Workers miss blobs of it. */
  forget(toolchain: CapturedToolchain): void {
    this.#offered.delete(toolchain.manifest);
  }

  /** Its part was too little. @returns false when it had the whole one: a worker of another mind. */
  tooLittle(job: ForceJob, toolchain: CapturedToolchain): boolean {
    if (this.#wantsWhole.has(job.name)) return false;
    this.#wantsWhole.add(job.name);
    this.#partFailures.set(toolchain.manifest, (this.#partFailures.get(toolchain.manifest) ?? 0) + 1);
    return true;
  }
}
