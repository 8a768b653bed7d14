// The engine contract: where thunks run. An engine gets reduced thunks (every input is a value) and never meets a model.
import type { ObjectName } from '../ir/name.ts';
import type { Thunk } from '../ir/thunk.ts';

/** What an engine may use to run in place; none of it enters the name. */
export interface Placement {
  /** Absolute path of the real tool. */
  readonly realTool: string;
  /** Absolute directory the call came from. */
  readonly cwd: string;
  /** $PWD of the call when it names the same directory. */
  readonly pwd: string;
  /** $PATH of the call without our shims. */
  readonly searchPath: string;
  readonly label: string;
  readonly stage: string;
  /** The command as a person would type it; for messages. */
  readonly command: string;
  readonly sandbox: 'none' | 'namespace';
}

export interface ForceJob {
  readonly name: ObjectName;
  readonly thunk: Thunk;
  readonly placement: Placement;
}

export interface OutputValue {
  readonly tag: string;
  readonly name: ObjectName;
}

/** A run that came to its end, well or badly. */
export interface RunDone {
  readonly kind: 'done';
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Stored values; complete when exitCode is 0. */
  readonly outputs: readonly OutputValue[];
  readonly wallMs: number;
  readonly cpuMs: number;
}

export type RunFailureReason =
  | 'signal'
  | 'timeout'
  | 'cancelled'
  | 'start-failed'
  | 'inputs-changed'
  | 'missing-blob'
  | 'digest-mismatch'
  | 'output-missing'
  | 'store-failed'
  | 'throttled'
  | 'invoke-error'
  | 'connection-lost';

/** A run that came to no end. `transient`: another try may succeed. */
export interface RunFailed {
  readonly kind: 'failed';
  readonly reason: RunFailureReason;
  readonly detail: string;
  readonly transient: boolean;
}

export type RunOutcome = RunDone | RunFailed;

/** Looks over the runs that an engine makes in the user's tree. */
export interface RunWatcher {
  /**
   * @param directory of this run alone; gone after it.
   * @returns variables to add ("NAME=value"), which must not change what the run leaves; none when it is of no interest.
   */
  begin(job: ForceJob, directory: string): readonly string[];
  /** After a good run whose inputs were the declared ones before and after it. */
  end(job: ForceJob, directory: string): void;
}

export interface Engine {
  readonly label: string;
  /** Jobs worth running at once. */
  readonly slots: number;
  run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome>;
  close(): Promise<void>;
}
