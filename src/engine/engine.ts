// The engine contract: where thunks run. An engine gets reduced thunks (every input is a value) and never meets a model.
import type { ObjectName } from '../ir/name.ts';
import type { Placement } from '../ir/placement.ts';
import type { Thunk } from '../ir/thunk.ts';
import type { Origin, Via } from '../store/provenance.ts';

export interface ForceJob {
  readonly name: ObjectName;
  readonly thunk: Thunk;
  readonly placement: Placement;
  /** What can run as soon as this has, each reading the one before: for engines with `chains`, which may run any beginning of it. */
  readonly followers?: readonly Follower[];
  /** May a result that came this way be used? Absent: any may. */
  readonly believes?: (via: readonly Via[]) => boolean;
}

/** A thunk whose inputs are values but for outputs of the job before it, which are called by that one's name. */
export interface Follower extends ForceJob {
  /** Names it may turn out to have, with all inputs values, whose results are at hand: then it is not to run. */
  readonly known: readonly ObjectName[];
  /** Nobody else wants what the job before it makes: that may stay where it was made. */
  readonly alone: boolean;
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
  /** The outputs are known by name and stored nowhere; only where a follower that is `alone` has run. */
  readonly withheld?: true;
  /** Of a result that somebody else ran; absent: this engine ran it. */
  readonly origin?: Origin;
  /** Good runs of the first followers, in order. */
  readonly also?: readonly FollowerDone[];
}

export interface FollowerDone {
  /** Of the thunk with all inputs values. */
  readonly name: ObjectName;
  readonly run: RunDone;
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
  /** It can make use of a job's followers. */
  readonly chains?: boolean;
  run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome>;
  close(): Promise<void>;
}
