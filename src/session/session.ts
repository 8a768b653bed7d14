// One wrapped build: what it asked for and what became of it.
import { randomBytes } from 'node:crypto';
import type { Engine } from '../engine/engine.ts';
import { type Counts, count, type Event, emptyCounts } from '../report/events.ts';
import { TRUST_NOBODY, type Trust } from '../store/provenance.ts';
import type { Taken } from './unmade-outputs.ts';

export interface SessionOptions {
  /** Where the user's command runs. */
  readonly cwd: string;
  /** Force thunks while the build still runs. */
  readonly eager: boolean;
  /** Finish siblings of a failed thunk (-k). */
  readonly keepGoing: boolean;
  readonly sandbox: 'none' | 'namespace';
  /** What the user's command is, when this session makes real all that it leaves; undefined for `gg infer` and `gg force`. */
  readonly command?: string;
}

export interface BypassNote {
  readonly tool: string;
  readonly reason: string;
  readonly detail: string;
  readonly command: string;
  readonly cwd: string;
}

/** Bypasses kept for `gg explain`; counts go on. */
const NOTES_MAX = 2000;

export class Session {
  readonly id: string;
  readonly options: SessionOptions;
  readonly counts: Counts = emptyCounts();
  readonly bypasses: BypassNote[] = [];
  readonly countByReason = new Map<string, number>();
  /** Directories that got outputs: where moved placeholders may be found. */
  readonly directories = new Set<string>();
  /** Outputs it left placeholders at. */
  readonly paths = new Set<string>();
  /** Outputs taken away because their thunk failed: a call that reads one fails quietly, as it would never have been made. */
  readonly failedPaths = new Set<string>();
  /** ... with what it takes to put them back. */
  readonly taken = new Map<string, Taken>();
  /** Thunks whose messages the build throws away. */
  readonly silent = new Set<string>();
  /** A thunk failed and the rest is not wanted any more. */
  stopped = false;
  /** Nobody waits for its end any more: it was interrupted, or its command line is gone. Nothing new is begun for it. */
  abandoned = false;
  /** The user ended the build: what it left placeholders at is taken away. */
  interrupted = false;
  /** Another than the server's own. */
  engine: Engine | undefined;
  /** Whose results it takes. */
  trust: Trust = TRUST_NOBODY;
  /** Waits for what the engine does behind the build's back. */
  engineFlush: () => Promise<void> = async () => {};
  /** What the engine did, in lines for the end of the build. */
  engineReport: () => readonly string[] = () => [];
  #listener: ((event: Event) => void) | undefined;
  readonly #held: Event[] = [];

  constructor(options: SessionOptions, id = randomBytes(9).toString('base64url')) {
    this.id = id;
    this.options = options;
  }

  emit(event: Event): void {
    count(this.counts, event);
    if (this.#listener) this.#listener(event);
    else if (hasWords(event) && this.#held.length < NOTES_MAX) this.#held.push(event);
  }

  /** What nobody heard of the thunks that `concerns` is true for, once. */
  takeUnheard(concerns: (thunk: string) => boolean): Event[] {
    const isAsked = (event: Event): boolean => 'name' in event && concerns(event.name);
    const asked = this.#held.filter(isAsked);
    const others = this.#held.filter((event) => !isAsked(event));
    this.#held.splice(0, this.#held.length, ...others);
    return asked;
  }

  /** One listener at a time; it first hears what nobody heard. */
  listen(listener: ((event: Event) => void) | undefined): void {
    this.#listener = listener;
    if (listener) for (const event of this.#held.splice(0)) listener(event);
  }

  noteBypass(note: BypassNote): void {
    this.countByReason.set(note.reason, (this.countByReason.get(note.reason) ?? 0) + 1);
    if (this.bypasses.length < NOTES_MAX) this.bypasses.push(note);
    this.emit({
      type: 'bypass',
      tool: note.tool,
      reason: note.reason,
      detail: note.detail,
      command: note.command,
    });
  }
}

/** Somebody must hear of it in the end. */
function hasWords(event: Event): boolean {
  if (event.type === 'thunk-finished') return event.stdout !== '' || event.stderr !== '';
  return event.type === 'thunk-failed' || event.type === 'problem';
}
