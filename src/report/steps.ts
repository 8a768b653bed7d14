// Progress in the build tool's own steps (ninja's edges): several thunks may belong to one.
import type { Event } from './events.ts';

/** The name of the step that makes what a label names; undefined: none of the build tool's. */
export type StepOf = (label: string) => string | undefined;

interface Step {
  readonly name: string;
  /** Its thunks on the way. */
  readonly open: Set<string>;
}

export class StepProgress {
  readonly #stepOf: StepOf;
  readonly #byName = new Map<string, Step>();
  readonly #byThunk = new Map<string, Step>();
  /** Thunks that run, the newest last. */
  readonly #running = new Set<string>();
  #done = 0;

  constructor(stepOf: StepOf) {
    this.#stepOf = stepOf;
  }

  get done(): number {
    return this.#done;
  }

  get total(): number {
    return this.#byName.size;
  }

  /** The step that was begun last and still runs. */
  get current(): string | undefined {
    const thunk = [...this.#running].at(-1);
    return thunk === undefined ? undefined : this.#byThunk.get(thunk)?.name;
  }

  event(event: Event): void {
    switch (event.type) {
      case 'thunk-added':
        this.#enter(event.name, event.label);
        break;
      case 'thunk-started':
        this.#enter(event.name, event.label);
        this.#running.add(event.name);
        break;
      case 'thunk-finished':
      case 'thunk-failed':
      case 'thunk-cancelled':
        this.#leave(event.name);
        break;
      case 'bypass':
      case 'midway':
      case 'gone':
      case 'cloud':
      case 'problem':
        break;
    }
  }

  #enter(thunk: string, label: string): void {
    if (this.#byThunk.has(thunk)) return;
    const name = this.#stepOf(label) ?? label;
    let step = this.#byName.get(name);
    if (!step) {
      step = { name, open: new Set() };
      this.#byName.set(name, step);
    } else if (step.open.size === 0) this.#done--;
    step.open.add(thunk);
    this.#byThunk.set(thunk, step);
  }

  #leave(thunk: string): void {
    this.#running.delete(thunk);
    const step = this.#byThunk.get(thunk);
    if (step?.open.delete(thunk) && step.open.size === 0) this.#done++;
  }
}
