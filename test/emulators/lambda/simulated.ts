// Lambda as timers: no processes, no bytes moved, the service's rules kept (ramp, concurrency, cold starts, the way there and
// back). Its clock is this process's CPU time, and jumps ahead when all only wait: hours are replayed in seconds, the
// coordinator's own work counts in full, and what else the machine does counts for nothing.
import type { InvokeEnd, InvokeOptions, Invoker } from '../../../src/engine/lambda/invoker.ts';

/** Turns of the event loop without anything happening before time jumps. */
const IDLE_TURNS = 4;

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A heap of what is to happen, and the clock that jumps to it. */
export class JumpingClock {
  readonly #heap: Due[] = [];
  #skippedMs = 0;
  #order = 0;
  #running = false;
  #idleTurns = 0;

  now(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000 + this.#skippedMs;
  }

  /** Computing that is the service's, not the coordinator's: it takes no time. */
  free<T>(compute: () => T): T {
    const before = process.cpuUsage();
    const result = compute();
    const { user, system } = process.cpuUsage(before);
    this.#skippedMs -= (user + system) / 1000;
    return result;
  }

  /** Something happened: time runs on its own for a while. */
  touch(): void {
    this.#idleTurns = 0;
  }

  at(delayMs: number, fire: () => void): void {
    const due = { atMs: this.now() + delayMs, order: this.#order++, fire };
    const heap = this.#heap;
    let i = heap.push(due) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(heap[i]!, heap[up]!)) break;
      [heap[i], heap[up]] = [heap[up]!, heap[i]!];
      i = up;
    }
    this.touch();
    if (!this.#running) {
      this.#running = true;
      setImmediate(() => this.#turn());
    }
  }

  #pop(): Due {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      let i = 0;
      for (;;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2])
          if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
        if (least === i) break;
        [heap[i], heap[least]] = [heap[least]!, heap[i]!];
        i = least;
      }
    }
    return top;
  }

  #turn(): void {
    if (this.#heap.length === 0) {
      this.#running = false;
      return;
    }
    const now = this.now();
    if (this.#heap[0]!.atMs <= now) {
      this.#idleTurns = 0;
      while (this.#heap.length > 0 && this.#heap[0]!.atMs <= now) this.#pop().fire();
    } else if (++this.#idleTurns >= IDLE_TURNS) {
      this.#skippedMs += this.#heap[0]!.atMs - now;
      this.#idleTurns = 0;
    }
    setImmediate(() => this.#turn());
  }
}

function before(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

export interface SimulatedOptions {
  readonly clock: JumpingClock;
  readonly instancesMax: number;
  readonly coldStartMs: number;
  readonly roundTripMs: number;
  readonly rampInstances: number;
  readonly rampMs: number;
  /** Milliseconds the function works on a request on that instance (0, 1, ...), and its answer. */
  readonly work: (payload: Uint8Array, instance: number) => { readonly ms: number; readonly answer: Buffer };
}

export interface SimulatedCounts {
  invocations: number;
  throttled: number;
  coldStarts: number;
  busyMax: number;
}

export class SimulatedLambda implements Invoker {
  readonly counts: SimulatedCounts = { invocations: 0, throttled: 0, coldStarts: 0, busyMax: 0 };
  readonly #o: SimulatedOptions;
  /** The one that was used last serves next. */
  readonly #idle: number[] = [];
  #busy = 0;
  readonly #starts: number[] = [];

  constructor(options: SimulatedOptions) {
    this.#o = options;
  }

  invoke(_name: string, payload: Uint8Array, options: InvokeOptions): Promise<InvokeEnd> {
    const o = this.#o;
    return new Promise((resolve) => {
      const refused = (): void =>
        o.clock.at(o.roundTripMs, () =>
          resolve({ kind: 'rejected', reason: 'throttled', detail: 'simulated' }),
        );
      if (options.signal.aborted) {
        resolve({ kind: 'rejected', reason: 'cancelled', detail: '' });
        return;
      }
      const warm = this.#idle.pop();
      if (warm === undefined) {
        const now = o.clock.now();
        while (this.#starts.length > 0 && now - this.#starts[0]! > o.rampMs) this.#starts.shift();
        if (this.#busy >= o.instancesMax || this.#starts.length >= o.rampInstances) {
          this.counts.throttled++;
          refused();
          return;
        }
        this.#starts.push(now);
        this.counts.coldStarts++;
      }
      const instance = warm ?? this.counts.coldStarts - 1;
      this.#busy++;
      this.counts.invocations++;
      this.counts.busyMax = Math.max(this.counts.busyMax, this.#busy);
      const { ms, answer } = o.clock.free(() => o.work(payload, instance));
      const initMs = warm === undefined ? o.coldStartMs : 0;
      o.clock.at(o.roundTripMs + initMs + ms, () => {
        this.#busy--;
        this.#idle.push(instance);
        resolve({
          kind: 'answered',
          payload: answer,
          billing: {
            billedMs: Math.ceil(initMs + ms),
            memoryMb: 1769,
            memoryUsedMb: 100,
            initMs,
            exact: true,
          },
        });
      });
    });
  }

  close(): void {}
}
