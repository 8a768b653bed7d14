// How many requests may be open at one time. The limit halves when the service says it is too much and grows back by one
// for every full round that went well (TCP's way); waiting is first come, first served.

/** Halving twice for answers to requests of one moment would say the same thing twice. */
const SLOW_DOWN_EVERY_MS = 200;
const OPEN_MIN = 4;

export class Gate {
  readonly openMax: number;
  #limit: number;
  #open = 0;
  #slowedAtMs = Number.NEGATIVE_INFINITY;
  readonly #waiting: (() => void)[] = [];
  /** Index of the first that still waits; the array is cut when half of it is past. */
  #head = 0;

  constructor(openMax: number) {
    this.openMax = openMax;
    this.#limit = openMax;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#open >= this.limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#open++;
    try {
      return await work();
    } finally {
      this.#open--;
      this.#admit();
    }
  }

  /** The one let in takes over the place at once, so that nobody who comes in between can be admitted on top. */
  #admit(): void {
    while (this.#open < this.limit && this.#head < this.#waiting.length) {
      this.#open++;
      this.#waiting[this.#head++]!();
    }
    if (this.#head > 64 && this.#head * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
  }

  slowDown(nowMs: number = Date.now()): void {
    if (nowMs - this.#slowedAtMs < SLOW_DOWN_EVERY_MS) return;
    this.#slowedAtMs = nowMs;
    this.#limit = Math.max(Math.min(OPEN_MIN, this.openMax), this.#limit / 2);
  }

  wentWell(): void {
    if (this.#limit < this.openMax) this.#limit = Math.min(this.openMax, this.#limit + 1 / this.#limit);
  }
}

/** Bytes that may be in memory at one time; whoever wants more than there are in all gets all. First come, first served. */
export class Budget {
  readonly bytesMax: number;
  #free: number;
  readonly #waiting: { readonly bytes: number; readonly admit: () => void }[] = [];

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#free = bytesMax;
  }

  async run<T>(wantedBytes: number, work: () => Promise<T>): Promise<T> {
    const bytes = Math.min(wantedBytes, this.bytesMax);
    if (this.#waiting.length > 0 || bytes > this.#free)
      await new Promise<void>((admit) => this.#waiting.push({ bytes, admit }));
    else this.#free -= bytes;
    try {
      return await work();
    } finally {
      this.#free += bytes;
      for (let next = this.#waiting[0]; next && next.bytes <= this.#free; next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#free -= next.bytes;
        next.admit();
      }
    }
  }
}
