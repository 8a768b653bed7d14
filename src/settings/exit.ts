// Exit codes of our own, apart from make's 2 and ninja's 1; a wrapped command's own code passes through.
export const EXIT = {
  ok: 0,
  /** A thunk failed, and no build tool's code says so. */
  failed: 1,
  usage: 64,
  /** The session server cannot be had. */
  server: 69,
  internal: 70,
  /** Placeholders are left: what stood in the way was reported. */
  left: 75,
  config: 78,
} as const;

/** An error for people: the fact, and the next step. */
export class CliError extends Error {
  readonly code: number;
  readonly advice: string;
  constructor(code: number, message: string, advice: string) {
    super(message);
    this.name = 'CliError';
    this.code = code;
    this.advice = advice;
  }
}
