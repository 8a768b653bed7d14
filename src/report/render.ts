// All wording of events, in one place: the fact in one line, then the subject, then what to do. Every line of ours begins
// "gg: "; what tools printed follows their command as it was, byte for byte.
import type { Counts, Event } from './events.ts';

export interface Style {
  readonly color: boolean;
}

function paint(style: Style, code: string, text: string): string {
  return style.color ? `\u001b[${code}m${text}\u001b[0m` : text;
}

const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64');

function advice(reason: string): string {
  switch (reason) {
    case 'missing-blob':
    case 'digest-mismatch':
      return "gg:   an object of the store is gone; run 'gg clean' and build again";
    case 'signal':
      return 'gg:   the tool was killed; if memory is short, use fewer jobs (-j)';
    default:
      return "gg:   'gg explain PATH' tells what is known; GG_MODE=off builds without gg";
  }
}

/** @returns bytes for stdout and for stderr; empty when an event is not worth a line. */
export function renderEvent(
  event: Event,
  style: Style,
): { readonly stdout: Buffer; readonly stderr: Buffer } {
  const none = Buffer.alloc(0);
  switch (event.type) {
    case 'thunk-finished': {
      const stderr = bytes(event.stderr);
      if (stderr.length === 0 && event.stdout === '') return { stdout: none, stderr: none };
      const head = Buffer.from(`${paint(style, '2', `gg: ${event.command}`)}\n`);
      return {
        stdout: bytes(event.stdout),
        stderr: stderr.length > 0 ? Buffer.concat([head, stderr]) : none,
      };
    }
    case 'thunk-failed': {
      if (event.reason === 'dependency') return { stdout: none, stderr: none };
      const fact =
        event.reason === 'exit-non-zero'
          ? `${event.label}: exit code ${event.exitCode}`
          : `${event.label}: ${event.reason}: ${event.detail}`;
      const lines = [paint(style, '31', `gg: ${fact}`), `gg: ${event.command}`];
      if (event.reason !== 'exit-non-zero') lines.push(advice(event.reason));
      return {
        stdout: bytes(event.stdout),
        stderr: Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), bytes(event.stderr)]),
      };
    }
    case 'problem':
      return {
        stdout: none,
        stderr: Buffer.from(
          `${paint(style, '31', `gg: ${event.subject}: ${event.detail}`)}\ngg:   ${event.advice}\n`,
        ),
      };
    case 'thunk-added':
    case 'thunk-started':
    case 'thunk-cancelled':
    case 'bypass':
    case 'midway':
    case 'gone':
    case 'cloud':
      return { stdout: none, stderr: none };
  }
}

/** One line for the end of a build. */
export function renderSummary(
  counts: Counts,
  bypasses: Readonly<Record<string, number>>,
  wallMs: number,
): string {
  const parts = [`${counts.ran} ran`, `${counts.memoized} memoized`];
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  if (counts.cancelled > 0) parts.push(`${counts.cancelled} not started`);
  if (counts.bypassed > 0) {
    const reasons = Object.entries(bypasses)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 3)
      .map(([reason, n]) => `${n} ${reason}`);
    parts.push(`${counts.bypassed} bypassed (${reasons.join(', ')})`);
  }
  if (counts.midway > 0) parts.push(`${counts.midway} forced midway`);
  return `gg: ${parts.join(', ')}; ${(wallMs / 1000).toFixed(1)} s`;
}

/** @param paths the first of them. */
export function renderGone(count: number, paths: readonly string[]): string {
  const were =
    count === 1
      ? '1 output was moved or removed before it was made'
      : `${count} outputs were moved or removed before they were made`;
  return `gg: ${were}: ${paths.join(', ')}${count > paths.length ? ', ...' : ''}`;
}

/** The cloud's part of the progress line. */
export function renderCloud(event: Extract<Event, { readonly type: 'cloud' }>): string {
  return `; lambda: ${event.inFlight} in flight, $${event.usd.toFixed(4)}`;
}

/** Of the whole, from what ran until now; empty while that says nothing. */
function renderTimeLeft(counts: Counts, left: number, elapsedMs: number): string {
  if (counts.ran <= 2) return '';
  const seconds = Math.round((left * elapsedMs) / counts.ran / 1000);
  return `, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`;
}

/** The progress line of a terminal where the build tool's steps are known, in ninja's form. */
export function renderSteps(
  steps: { readonly done: number; readonly total: number; readonly current: string | undefined },
  counts: Counts,
  running: number,
  elapsedMs: number,
): string {
  const time = renderTimeLeft(counts, leftOf(counts), elapsedMs);
  return `gg: [${steps.done}/${steps.total}]${steps.current === undefined ? '' : ` ${steps.current}`}; ${running} running${time}`;
}

function leftOf(counts: Counts): number {
  return Math.max(0, counts.added - counts.ran - counts.memoized - counts.failed);
}

/** The progress line of a terminal. */
export function renderProgress(counts: Counts, running: number, elapsedMs: number): string {
  const left = leftOf(counts);
  const time = renderTimeLeft(counts, left, elapsedMs);
  return `gg: ${counts.ran} forced, ${running} running, ${counts.memoized} memoized, ${left} remaining${time}`;
}
