// The names that followers have once it is known what the thunks before them made.
import { reduceInputs } from '../ir/graph.ts';
import { type ObjectName, outputRef } from '../ir/name.ts';
import { encodeThunk } from '../ir/thunk.ts';
import type { Follower, OutputValue } from './engine.ts';

export class Made {
  readonly #values = new Map<string, ObjectName>();

  /** @param maker as the followers know it. */
  constructor(maker: ObjectName, outputs: readonly OutputValue[]) {
    this.note(maker, outputs);
  }

  note(maker: ObjectName, outputs: readonly OutputValue[]): void {
    for (const o of outputs) this.#values.set(outputRef(maker, o.tag), o.name);
  }

  /** With all inputs values; undefined while one of them is not made. */
  nameOf({ thunk }: Follower): ObjectName | undefined {
    let whole = true;
    const reduced = reduceInputs(thunk, (ref) => {
      const value = this.#values.get(ref);
      whole &&= value !== undefined;
      return value ?? (ref as string as ObjectName);
    });
    return whole ? encodeThunk(reduced).name : undefined;
  }
}
