// The one vocabulary of what happens while a build is inferred and forced. Events are the only road from work to screen:
// the terminal, JSON logs and `gg status` all consume these. Byte strings travel as base64 so that events are plain JSON.

export type Outcome = 'ran' | 'memoized';

export type Event =
  /** A thunk joined this session's graph. */
  | { readonly type: 'thunk-added'; readonly name: string; readonly label: string; readonly stage: string }
  | { readonly type: 'thunk-started'; readonly name: string; readonly label: string }
  /** It reduced; what the tool printed is shown once, under its command. */
  | {
      readonly type: 'thunk-finished';
      readonly name: string;
      readonly label: string;
      readonly how: Outcome;
      readonly command: string;
      readonly stdout: string;
      readonly stderr: string;
      readonly wallMs: number;
      readonly cpuMs: number;
    }
  /** The tool exited with another code than 0, or the engine gave up (`reason`), or an input failed (`dependency`). */
  | {
      readonly type: 'thunk-failed';
      readonly name: string;
      readonly label: string;
      readonly reason: string;
      readonly detail: string;
      readonly exitCode: number;
      readonly command: string;
      readonly stdout: string;
      readonly stderr: string;
    }
  | { readonly type: 'thunk-cancelled'; readonly name: string; readonly label: string }
  | {
      readonly type: 'bypass';
      readonly tool: string;
      readonly reason: string;
      readonly detail: string;
      readonly command: string;
    }
  /** A running build needed real bytes before its end. */
  | { readonly type: 'midway'; readonly path: string; readonly by: string; readonly waitMs: number }
  /** An output stands where the build left it no more, it is not known where it went, and nothing took its place. */
  | { readonly type: 'gone'; readonly path: string }
  /** Where a cloud engine stands; at most once a second. */
  | {
      readonly type: 'cloud';
      readonly inFlight: number;
      readonly invocations: number;
      readonly retries: number;
      readonly usd: number;
    }
  /** Something of ours went wrong for one file; the build goes on. */
  | {
      readonly type: 'problem';
      readonly reason: string;
      readonly subject: string;
      readonly detail: string;
      readonly advice: string;
    };

export interface Counts {
  added: number;
  ran: number;
  memoized: number;
  failed: number;
  cancelled: number;
  bypassed: number;
  midway: number;
  gone: number;
  /** CPU milliseconds of the tools that ran. */
  cpuMs: number;
}

export function emptyCounts(): Counts {
  return {
    added: 0,
    ran: 0,
    memoized: 0,
    failed: 0,
    cancelled: 0,
    bypassed: 0,
    midway: 0,
    gone: 0,
    cpuMs: 0,
  };
}

/** The only place where counters are derived. */
export function count(counts: Counts, event: Event): void {
  switch (event.type) {
    case 'thunk-added':
      counts.added++;
      break;
    case 'thunk-finished':
      if (event.how === 'ran') {
        counts.ran++;
        counts.cpuMs += event.cpuMs;
      } else counts.memoized++;
      break;
    case 'thunk-failed':
      counts.failed++;
      break;
    case 'thunk-cancelled':
      counts.cancelled++;
      break;
    case 'bypass':
      counts.bypassed++;
      break;
    case 'midway':
      counts.midway++;
      break;
    case 'gone':
      counts.gone++;
      break;
    case 'thunk-started':
    case 'cloud':
    case 'problem':
      break;
  }
}
