// What became of each path, for `gg explain`: an append-only file of JSON lines, renamed to .1 when it is full.
import { appendFileSync, readFileSync, renameSync } from 'node:fs';
import { tryStat } from '../base/stat.ts';

export interface HistoryRecord {
  readonly path: string;
  readonly thunk?: string;
  readonly how: 'ran' | 'memoized' | 'bypass' | 'deferred' | 'moved' | 'gone';
  readonly wallMs?: number;
  /** User and system time of the run. */
  readonly cpuMs?: number;
  readonly reason?: string;
  readonly detail?: string;
  readonly command?: string;
  readonly at?: number;
}

const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FLUSH_MS = 200;
/** Lines held before they are written without waiting. */
const HELD_MAX = 500;

/** Paths whose last runs are kept. */
const RUNS_MAX = 200_000;

interface LastRun {
  readonly ms: number;
  readonly thunk: string | undefined;
}

function keepRun(lastRuns: Map<string, LastRun>, { how, path, wallMs, thunk }: HistoryRecord): void {
  if (how !== 'ran' || wallMs === undefined) return;
  if (lastRuns.size < RUNS_MAX || lastRuns.has(path)) lastRuns.set(path, { ms: wallMs, thunk });
}

export class History {
  readonly #file: string;
  #held: string[] = [];
  /** The last real run by path; read from the file when somebody asks first. */
  #lastRuns: Map<string, LastRun> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  note(record: HistoryRecord): void {
    if (this.#lastRuns) keepRun(this.#lastRuns, record);
    this.#held.push(JSON.stringify({ ...record, at: Date.now() }));
    if (this.#held.length >= HELD_MAX) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Something went wrong inside while a request was answered. */
  fault(error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.note({ path: '', how: 'bypass', reason: 'internal-error', detail });
  }

  /** What made this path when that last ran, and how long it took. */
  lastRun(path: string): LastRun | undefined {
    if (!this.#lastRuns) {
      this.flush();
      this.#lastRuns = new Map();
      let text = '';
      try {
        text = readFileSync(this.#file, 'utf8');
      } catch {
        // nothing ran yet
      }
      for (const line of text.split('\n')) {
        if (!line.includes('"how":"ran"')) continue;
        try {
          keepRun(this.#lastRuns, JSON.parse(line) as HistoryRecord);
        } catch {
          // a line torn by a kill
        }
      }
    }
    return this.#lastRuns.get(path);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held.length === 0) return;
    const text = `${this.#held.join('\n')}\n`;
    this.#held = [];
    try {
      if ((tryStat(this.#file)?.size ?? 0) > FILE_BYTES_MAX) renameSync(this.#file, `${this.#file}.1`);
      appendFileSync(this.#file, text, { mode: 0o600 });
    } catch {
      // A history that cannot be written must not stop a build.
    }
  }

  /** Records about one path, newest first. */
  about(path: string): HistoryRecord[] {
    this.flush();
    const found: HistoryRecord[] = [];
    for (const file of [this.#file, `${this.#file}.1`]) {
      let text: string;
      try {
        text = readFileSync(file, 'utf8');
      } catch {
        continue;
      }
      const needle = JSON.stringify(path);
      const lines = text.split('\n');
      for (let i = lines.length - 1; i >= 0; i--) {
        const line = lines[i]!;
        if (!line.includes(needle)) continue;
        const record = JSON.parse(line) as HistoryRecord;
        if (record.path === path) found.push(record);
      }
    }
    return found;
  }
}
