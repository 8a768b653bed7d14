// What our own command line and the server say to each other, as JSON in `cli` frames.
import type { EngineChoice } from '../settings/engine-choice.ts';
import type { Counts, Event } from '../report/events.ts';

export type ToServer =
  | {
      readonly op: 'begin';
      readonly cwd: string;
      readonly eager: boolean;
      readonly keepGoing: boolean;
      readonly jobs: number;
      readonly sandbox: 'none' | 'namespace';
      readonly engine: EngineChoice;
      readonly command?: string;
    }
  /** Force what is outstanding in scope; answered by events, then `finished`. */
  | {
      readonly op: 'finalize';
      readonly paths?: readonly string[];
      readonly all?: boolean;
      readonly earlier?: boolean;
    }
  /** Compiler calls that are about to come; not answered. */
  | {
      readonly op: 'prefetch';
      readonly cwd: string;
      readonly umask: number;
      readonly env: readonly (readonly [string, string])[];
      /** argv each. */
      readonly calls: readonly (readonly string[])[];
    }
  /** Ends what this session has not finished (Ctrl-C); with `takeAway` the next `finalize` removes the placeholders it left. */
  | { readonly op: 'abandon'; readonly takeAway?: boolean }
  | { readonly op: 'status'; readonly cwd: string }
  | { readonly op: 'explain'; readonly path: string }
  | { readonly op: 'stop' };

export interface StatusReply {
  readonly op: 'status';
  readonly pid: number;
  readonly version: string;
  readonly upSeconds: number;
  readonly memoryBytes: number;
  readonly outstanding: readonly { readonly path: string; readonly ref: string }[];
  readonly outstandingElsewhere: number;
  readonly running: number;
  readonly queued: number;
  readonly sessions: readonly {
    readonly id: string;
    readonly cwd: string;
    readonly counts: Counts;
    readonly bypasses: Readonly<Record<string, number>>;
  }[];
  readonly stateDirectory: string;
  readonly selfCheck: SelfCheckStatus;
}

export type FromServer =
  | {
      readonly op: 'begun';
      readonly session: string;
      /** Thunks the engine can run at once. */
      readonly slots: number;
      readonly nativeDirectory: string;
      readonly version: string;
    }
  | { readonly op: 'event'; readonly event: Event }
  | {
      readonly op: 'finished';
      readonly counts: Counts;
      readonly left: readonly string[];
      /** Where the session left outputs, absolute. */
      readonly wrote: readonly string[];
      /** Outputs that an earlier build failed to make and that make takes for made (session/unmade-outputs.ts). */
      readonly owed: readonly string[];
      readonly elsewhere: number;
      readonly bypasses: Readonly<Record<string, number>>;
      /** What a cloud engine did. */
      readonly notes: readonly string[];
    }
  | StatusReply
  | {
      readonly op: 'explained';
      readonly records: readonly unknown[];
      readonly ref: string | undefined;
      readonly bypasses: readonly unknown[];
    }
  | { readonly op: 'stopping' }
  /** `advice`: it is the user's to mend; otherwise a fault of ours. */
  | { readonly op: 'error'; readonly message: string; readonly advice?: string };

export interface SelfCheckStatus {
  readonly checked: number;
  readonly reports: readonly {
    readonly path: string;
    readonly project: string;
    readonly difference: string;
  }[];
}
