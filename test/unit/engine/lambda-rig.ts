// The Lambda engine joined with a real worker in this process: the service between them is a function of the test's.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CostMeter } from '../../../src/engine/cloud/cost.ts';
import type { Engine, Follower, ForceJob, RunOutcome } from '../../../src/engine/engine.ts';
import type { InvokeEnd, Invoker } from '../../../src/engine/lambda/invoker.ts';
import { LambdaEngine } from '../../../src/engine/lambda/lambda-engine.ts';
import { Ramp } from '../../../src/engine/cloud/ramp.ts';
import { type Down, RemoteHealth } from '../../../src/engine/cloud/health.ts';
import { Uploads } from '../../../src/engine/cloud/uploads.ts';
import { nameValue, type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { decodeThunk, encodeThunk, type Thunk } from '../../../src/ir/thunk.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import type { WorkDone, WorkFailed, WorkRequest } from '../../../src/worker/messages.ts';
import type { RunItemsOptions } from '../../../src/worker/run/run-items.ts';
import { Worker } from '../../../src/worker/runtime/worker.ts';
import { MemoryRemote } from './memory-remote.ts';

export const BILLING = { billedMs: 100, memoryMb: 1769, memoryUsedMb: 80, initMs: 0, exact: true };

/** Stands for a tool: every output is the concatenation of the inputs, as text, and its tag. Keeps internal outputs from all but later items. */
export async function fakeTool(
  request: WorkRequest,
  options: RunItemsOptions,
): Promise<(WorkDone | WorkFailed)[]> {
  const results: (WorkDone | WorkFailed)[] = [];
  mkdirSync(options.directory, { recursive: true });
  const made = new Map<string, Buffer>();
  for (const item of request.items) {
    const thunk = decodeThunk(Buffer.from(item.thunk));
    const parts: Buffer[] = [];
    for (const input of thunk.inputs) {
      const path = join(options.directory, `in-${Math.random()}`);
      const before = made.get(input.name);
      if (before !== undefined) {
        parts.push(before);
        continue;
      }
      const sent = request.inline[input.name];
      if (sent !== undefined) {
        parts.push(Buffer.from(sent, 'base64'));
        continue;
      }
      try {
        await options.fetcher.fetch(input.name as ObjectName, path);
      } catch (error) {
        const { reason, message } = error as { reason: 'missing-blob'; message: string };
        return [...results, { kind: 'failed', name: item.name, reason, detail: message }];
      }
      parts.push(readFileSync(path));
    }
    const outputs = [];
    for (const output of thunk.outputs) {
      const bytes = Buffer.concat([...parts, Buffer.from(output.tag)]);
      const path = join(options.directory, `out-${Math.random()}`);
      writeFileSync(path, bytes);
      made.set(outputRef(item.name, output.tag), bytes);
      if (item.internal) {
        if (item.internal === 'stored') await options.sink.put(nameValue(bytes), path);
        outputs.push({ tag: output.tag, name: nameValue(bytes), withheld: true } as const);
        continue;
      }
      const inline = bytes.length <= request.inlineBytesMax;
      if (!inline) await options.sink.put(nameValue(bytes), path);
      outputs.push({
        tag: output.tag,
        name: nameValue(bytes),
        ...(inline ? { inline: bytes.toString('base64') } : {}),
      });
    }
    results.push({
      kind: 'done',
      name: item.name,
      exitCode: 0,
      stdout: '',
      stderr: Buffer.from('a warning\n').toString('base64'),
      outputs,
      undeclaredMisses: [],
      timings: { fetchMs: 1, layoutMs: 1, runMs: 5, storeMs: 1, cpuMs: 4 },
    });
  }
  return results;
}

/** What the service does with an invocation; `work` lets the worker answer. */
export type Behave = (
  fn: string,
  event: WorkRequest,
  work: () => Promise<unknown>,
) => Promise<InvokeEnd | unknown>;

export class LambdaRig {
  readonly home = mkdtempSync(join(tmpdir(), 'gg-lambda-'));
  readonly store = new LocalStore(join(this.home, 'state'));
  readonly remote = new MemoryRemote();
  readonly problems: { reason: string; subject: string; detail: string }[] = [];
  readonly ranHere: ObjectName[] = [];
  readonly invoked: { fn: string; event: WorkRequest }[] = [];
  down: Down | undefined;
  localExit = 0;
  behave: Behave = (_fn, _event, work) => work();
  tool: typeof fakeTool = fakeTool;
  readonly engine: LambdaEngine;
  readonly cost: CostMeter;
  readonly health: RemoteHealth;
  /** What was asked of the toolchain. */
  readonly fits: string[] = [];
  #serial = 0;

  constructor(options: { strict?: boolean; shares?: boolean; budgetUsd?: number; now?: () => number } = {}) {
    const worker = new Worker({
      directory: join(this.home, 'worker'),
      instance: 'i-1',
      openRemote: async () => this.remote,
      runItems: (request, o) => this.tool(request, o),
      cache: () => ({ bytes: 0, counters: { warmBlobs: 0, fetchedBlobs: 0, fetchedBytes: 0 } }),
    });
    const invoker: Invoker = {
      invoke: async (fn, payload) => {
        const event = JSON.parse(Buffer.from(payload).toString()) as WorkRequest;
        this.invoked.push({ fn, event });
        const end = await this.behave(fn, event, () => worker.serve(event, 60_000));
        if (typeof end === 'object' && end !== null && 'kind' in end) return end as InvokeEnd;
        return { kind: 'answered', payload: Buffer.from(JSON.stringify(end)), billing: BILLING };
      },
      close: () => {},
    };
    const local: Engine = {
      label: 'local',
      slots: 1,
      run: async (job): Promise<RunOutcome> => {
        this.ranHere.push(job.name);
        return {
          kind: 'done',
          exitCode: this.localExit,
          stdout: Buffer.alloc(0),
          stderr: Buffer.alloc(0),
          outputs: job.thunk.outputs.map((o) => ({
            tag: o.tag,
            name: this.store.put(Buffer.from('here'), 'V'),
          })),
          wallMs: 1,
          cpuMs: 1,
        };
      },
      close: async () => {},
    };
    this.cost = new CostMeter(options.budgetUsd, () => this.remote.counters);
    this.health = new RemoteHealth((down) => {
      this.down = down;
    }, options.now);
    const offers = {
      part: this.store.put(Buffer.from('a part'), 'V'),
      whole: this.store.put(Buffer.from('whole'), 'V'),
    };
    this.engine = new LambdaEngine({
      store: this.store,
      remote: this.remote,
      uploads: new Uploads({ store: this.store, remote: this.remote, digestOf: () => undefined }),
      invoker,
      functions: ['gg-compile', 'gg-link'].map((name, i) => ({
        name,
        memoryMb: 1769 * (i + 1),
        ramp: new Ramp({ inFlightMax: 50 }),
      })),
      functionOf: { compile: 0, link: 1 },
      local,
      toolchain: async (job, fit) => {
        if (job.thunk.tool === 'static') return { localOnly: 'static', detail: job.thunk.tool };
        this.fits.push(fit);
        return { manifest: offers[fit], blobs: [{ name: offers[fit], absPath: '/nowhere' }] };
      },
      health: this.health,
      cost: this.cost,
      strict: options.strict === true,
      sharesResults: options.shares === true,
      problem: (reason, subject, detail) => void this.problems.push({ reason, subject, detail }),
      inFlightMax: 50,
    });
  }

  /** A job whose inputs hold these texts. */
  job(inputs: readonly string[] = ['text'], extra: Partial<Thunk> = {}, stage = 'compile'): ForceJob {
    const serial = this.#serial++;
    const thunk: Thunk = {
      tool: 'gcc',
      toolchain: 't',
      args: ['-c', `x${serial}.c`],
      env: [],
      cwd: '',
      inputs: inputs.map((text, i) => ({ path: `in${i}`, name: this.store.put(Buffer.from(text), 'V') })),
      absent: [],
      outputs: [{ tag: 'o', path: `x${serial}.o` }],
      salt: [],
      ...extra,
    };
    return {
      name: encodeThunk(thunk).name,
      thunk,
      placement: {
        realTool: '/usr/bin/gcc',
        cwd: '/src',
        pwd: '/src',
        searchPath: '/usr/bin',
        label: `x${serial}.o`,
        stage,
        command: 'gcc',
        sandbox: 'none',
      },
    };
  }

  /** The job with others after it, each reading the one before; `alone` as with Follower. */
  chain(first: ForceJob, rest: readonly ForceJob[], more: Partial<Follower> = {}): ForceJob {
    const followers: Follower[] = [];
    let last = first;
    for (const job of rest) {
      const input = { path: 'made', name: outputRef(last.name, 'o') };
      const thunk = { ...job.thunk, inputs: [input, ...job.thunk.inputs] };
      const follower = { ...job, name: encodeThunk(thunk).name, thunk, known: [], alone: false, ...more };
      followers.push(follower);
      last = follower;
    }
    return { ...first, followers };
  }

  run(job: ForceJob): Promise<RunOutcome> {
    return this.engine.run(job, { signal: new AbortController().signal });
  }

  close(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
