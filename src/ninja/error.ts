// What can be wrong with a manifest, in ninja's own words.

/** `load`: a file could not be read. `syntax`: the text. `graph`: what the text says. `usage`: targets or arguments. */
export type NinjaErrorReason = 'load' | 'syntax' | 'graph' | 'usage';

export interface ErrorPlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** In bytes, from 0. */
  readonly column: number;
}

export interface NinjaErrorOptions {
  readonly place?: ErrorPlace;
  /** ninja says "fatal" instead of "error". */
  readonly fatal?: boolean;
  readonly cause?: unknown;
}

/** `message` is what ninja prints after "ninja: error: ", with the offending line and the mark below it. */
export class NinjaError extends Error {
  readonly reason: NinjaErrorReason;
  readonly place: ErrorPlace | undefined;
  readonly fatal: boolean;

  constructor(reason: NinjaErrorReason, message: string, options: NinjaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'NinjaError';
    this.reason = reason;
    this.place = options.place;
    this.fatal = options.fatal ?? false;
  }

  /** The bytes ninja would write to stderr, as text. */
  get report(): string {
    return `ninja: ${this.fatal ? 'fatal' : 'error'}: ${this.message}\n`;
  }
}
