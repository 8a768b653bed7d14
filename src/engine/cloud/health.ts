// Whether the cloud is to be tried: short outages are waited out, a lasting one, or anything that waiting does not mend,
// ends its use for the session.

/** An outage is waited for this long: S3 and Lambda incidents that heal by themselves do so in seconds. */
export const OUTAGE_MS_MAX = 30_000;

export interface Down {
  readonly reason: string;
  readonly detail: string;
}

export class RemoteHealth {
  readonly #onDown: (down: Down) => void;
  readonly #now: () => number;
  readonly #abort = new AbortController();
  #failingSinceMs: number | undefined;
  #down: Down | undefined;

  constructor(onDown: (down: Down) => void, now: () => number = Date.now) {
    this.#onDown = onDown;
    this.#now = now;
  }

  /** Why the cloud is no longer tried; undefined while it is. */
  down(): Down | undefined {
    return this.#down;
  }

  /** Fires when the cloud is given up. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  worked(): void {
    this.#failingSinceMs = undefined;
  }

  /** The network or the service failed; it may pass. */
  failing(reason: string, detail: string): void {
    this.#failingSinceMs ??= this.#now();
    if (this.#now() - this.#failingSinceMs > OUTAGE_MS_MAX) this.giveUp(reason, detail);
  }

  giveUp(reason: string, detail: string): void {
    if (this.#down) return;
    this.#down = { reason, detail };
    this.#onDown(this.#down);
    this.#abort.abort();
  }
}
