// Writes events to the user's terminal or log: whole blocks at once, a progress line only on a terminal.
import { writeSync } from 'node:fs';
import { type Counts, count, type Event, emptyCounts } from './events.ts';
import {
  renderCloud,
  renderEvent,
  renderGone,
  renderProgress,
  renderSteps,
  renderSummary,
  type Style,
} from './render.ts';
import type { StepProgress } from './steps.ts';

const PROGRESS_MS = 200;
/** Paths in the line that says which outputs are gone. */
const GONE_SHOWN_MAX = 3;

export interface ReporterOptions {
  readonly tty: boolean;
  /** It can draw over a line: progress is shown. */
  readonly redraws: boolean;
  readonly color: boolean;
  /** Each event as a JSON line to stderr in place of text. */
  readonly json: boolean;
  readonly quiet: boolean;
  /** The build tool's steps, where they are known. */
  readonly steps?: StepProgress | undefined;
}

/** Writes all of it, also to a pipe that is full for a moment. */
function writeAll(fd: number, bytes: Buffer): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      else if (code === 'EPIPE') return;
      else throw error;
    }
  }
}

export class TerminalReporter {
  readonly #o: ReporterOptions;
  readonly #style: Style;
  readonly counts: Counts = emptyCounts();
  readonly #startedMs = Date.now();
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;
  /** What the cloud costs so far. */
  #cloud = '';
  readonly #gone: string[] = [];

  constructor(options: ReporterOptions) {
    this.#o = options;
    this.#style = { color: options.color };
  }

  /** From now on the terminal is ours: the build's own command is over. */
  showProgress(): void {
    if (!this.#o.redraws || this.#o.json || this.#o.quiet) return;
    this.#timer = setInterval(() => this.#draw(), PROGRESS_MS);
    this.#timer.unref();
  }

  #draw(): void {
    // 0: a terminal that does not know.
    const width = process.stderr.columns || 80;
    const elapsedMs = Date.now() - this.#startedMs;
    const progress = this.#o.steps
      ? renderSteps(this.#o.steps, this.counts, this.#running, elapsedMs)
      : renderProgress(this.counts, this.#running, elapsedMs);
    const line = progress + this.#cloud;
    writeAll(2, Buffer.from(`\r\u001b[K${line.slice(0, width - 1)}`));
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) writeAll(2, Buffer.from('\r\u001b[K'));
    this.#shown = false;
  }

  event(event: Event): void {
    count(this.counts, event);
    this.#o.steps?.event(event);
    if (event.type === 'gone' && this.#gone.length < GONE_SHOWN_MAX) this.#gone.push(event.path);
    if (event.type === 'cloud') this.#cloud = renderCloud(event);
    if (event.type === 'thunk-started') this.#running++;
    if (event.type === 'thunk-failed' || (event.type === 'thunk-finished' && event.how === 'ran'))
      this.#running = Math.max(0, this.#running - 1);
    if (this.#o.json) {
      writeAll(2, Buffer.from(`${JSON.stringify(event)}\n`));
      return;
    }
    const { stdout, stderr } = renderEvent(event, this.#style);
    if (stdout.length + stderr.length === 0) return;
    this.#clear();
    if (stdout.length > 0) writeAll(1, stdout);
    if (stderr.length > 0) writeAll(2, stderr);
  }

  line(text: string): void {
    this.#clear();
    writeAll(2, Buffer.from(`gg: ${text}\n`));
  }

  /** @param notes lines of the engine's. */
  end(bypasses: Readonly<Record<string, number>>, notes: readonly string[] = []): void {
    clearInterval(this.#timer);
    this.#clear();
    if (this.#o.json)
      writeAll(
        2,
        Buffer.from(`${JSON.stringify({ type: 'summary', counts: this.counts, bypasses, notes })}\n`),
      );
    else if (!this.#o.quiet) for (const note of notes) writeAll(2, Buffer.from(`gg: ${note}\n`));
    if (!this.#o.json && !this.#o.quiet && this.counts.gone > 0)
      writeAll(2, Buffer.from(`${renderGone(this.counts.gone, this.#gone)}\n`));
    // Nothing to do: the build tool has said it.
    const calls = Object.values(bypasses).reduce((sum, n) => sum + n, 0);
    const { ran, memoized, failed } = this.counts;
    if (!this.#o.json && this.#o.tty && !this.#o.quiet && ran + memoized + failed + calls > 0)
      writeAll(2, Buffer.from(`${renderSummary(this.counts, bypasses, Date.now() - this.#startedMs)}\n`));
  }
}
