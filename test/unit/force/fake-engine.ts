// An engine for tests: outputs are computed from the thunk by a function, order and failures are the test's choice.
import type { Engine, ForceJob, RunOutcome } from '../../../src/engine/engine.ts';
import type { ForceNode } from '../../../src/force/node.ts';
import { Reductor, type ReductorHost } from '../../../src/force/reductor.ts';
import type { ObjectName } from '../../../src/ir/name.ts';
import { encodeThunk, type Thunk, type ThunkInput } from '../../../src/ir/thunk.ts';
import type { Store } from '../../../src/store/store.ts';

export class FakeEngine implements Engine {
  readonly label = 'fake';
  readonly slots = 4;
  readonly ran: ObjectName[] = [];
  most = 0;
  #now = 0;
  readonly #store: Store;
  readonly #behave: (job: ForceJob, attempt: number) => RunOutcome | undefined;
  readonly #attempts = new Map<ObjectName, number>();

  constructor(
    store: Store,
    behave: (job: ForceJob, attempt: number) => RunOutcome | undefined = () => undefined,
  ) {
    this.#store = store;
    this.#behave = behave;
  }

  async run(job: ForceJob): Promise<RunOutcome> {
    this.ran.push(job.name);
    this.#now++;
    this.most = Math.max(this.most, this.#now);
    const attempt = (this.#attempts.get(job.name) ?? 0) + 1;
    this.#attempts.set(job.name, attempt);
    // Finish out of order.
    for (let turns = Math.floor(Math.random() * 3); turns >= 0; turns--)
      await new Promise((r) => setImmediate(r));
    this.#now--;
    const told = this.#behave(job, attempt);
    if (told) return told;
    const text = `${job.thunk.args.join(' ')}(${job.thunk.inputs.map((i) => i.name).join(',')})`;
    const outputs = job.thunk.outputs.map((o) => ({
      tag: o.tag,
      name: this.#store.put(Buffer.from(text + o.tag), 'V'),
    }));
    return {
      kind: 'done',
      exitCode: 0,
      stdout: Buffer.alloc(0),
      stderr: Buffer.alloc(0),
      outputs,
      wallMs: 1,
      cpuMs: 1,
    };
  }

  async close(): Promise<void> {}
}

export function makeThunk(store: Store, label: string, inputs: readonly ThunkInput[] = []): ObjectName {
  const thunk: Thunk = {
    tool: 'fake',
    toolchain: '0',
    args: [label],
    env: [],
    cwd: '',
    inputs,
    absent: [],
    outputs: [{ tag: 'o', path: `${label}.o` }],
    salt: [],
  };
  const { bytes } = encodeThunk(thunk);
  return store.put(bytes, 'T');
}

export interface Heard {
  readonly reduced: { label: string; how: string }[];
  readonly failed: string[];
  readonly cancelled: string[];
}

/** @param engineOf by the session that pays, where sessions have engines of their own. */
export function makeReductor(
  store: Store,
  engine: Engine,
  jobs = 4,
  engineOf: (owner: string) => Engine | undefined = () => undefined,
  more: Partial<ReductorHost> = {},
): { reductor: Reductor; heard: Heard } {
  const heard: Heard = { reduced: [], failed: [], cancelled: [] };
  const host: ReductorHost = {
    store,
    engineFor: (owner) => engineOf(owner) ?? engine,
    placementOf: () => ({
      realTool: '/bin/true',
      cwd: '/',
      pwd: '/',
      searchPath: '',
      label: 'x',
      stage: 'other',
      command: '',
      sandbox: 'none',
    }),
    started: () => {},
    reduced: (node: ForceNode, how) => {
      heard.reduced.push({ label: node.name, how });
      return undefined;
    },
    failed: (node) => void heard.failed.push(node.name),
    cancelled: (node) => void heard.cancelled.push(node.name),
    ...more,
  };
  return { reductor: new Reductor(host, jobs), heard };
}
