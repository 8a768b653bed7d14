// What the cloud benchmarks share: the real reductor and the real engine over a simulated service.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CostMeter } from '../src/engine/cloud/cost.ts';
import type { Invoker } from '../src/engine/lambda/invoker.ts';
import { LambdaEngine } from '../src/engine/lambda/lambda-engine.ts';
import { TwinEngine } from '../src/engine/layers/racing.ts';
import { Ramp, type RampOptions } from '../src/engine/cloud/ramp.ts';
import { RemoteHealth } from '../src/engine/cloud/health.ts';
import { Uploads } from '../src/engine/cloud/uploads.ts';
import { Reductor, type ReductorHost } from '../src/force/reductor.ts';
import { nameValue, type ObjectName } from '../src/ir/name.ts';
import { encodeThunk, type Thunk, type ThunkInput } from '../src/ir/thunk.ts';
import { LocalStore } from '../src/store/local/local.ts';
import { WORKER_PROTOCOL, type WorkRequest, type WorkResponse } from '../src/worker/messages.ts';
import { MemoryRemote } from '../test/unit/engine/memory-remote.ts';

export const MACHINE = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`;

export function tidyStore(): { store: LocalStore; close: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  return {
    store: new LocalStore(directory),
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A compile-like thunk with inputs of realistic number: only the names of headers count. */
export function thunkOf(
  label: string,
  inputs: readonly ThunkInput[],
  tags: readonly string[] = ['o'],
): Thunk {
  return {
    tool: 'gcc',
    toolchain: '0'.repeat(64),
    args: ['-O2', '-c', `${label}.c`, '-o', { prefix: '', output: 'o' }],
    env: [['LANG', 'C.UTF-8']],
    cwd: '',
    inputs,
    absent: [],
    outputs: tags.map((tag) => ({ tag, path: `${label}.${tag}` })),
    salt: [],
  };
}

export function putThunk(store: LocalStore, thunk: Thunk): ObjectName {
  return store.put(encodeThunk(thunk).bytes, 'T');
}

/** A worker's answer: every output small and made of its thunk's name. */
export function answerOf(payload: Uint8Array): Buffer {
  const request = JSON.parse(Buffer.from(payload).toString()) as WorkRequest;
  const response: WorkResponse = {
    protocol: WORKER_PROTOCOL,
    id: request.id,
    results: request.items.map((item) => ({
      kind: 'done',
      name: item.name,
      exitCode: 0,
      stdout: '',
      stderr: '',
      outputs: (JSON.parse(item.thunk) as { outputs: [string, string][] }).outputs.map(([tag]) => {
        const bytes = Buffer.from(`${tag} of ${item.name}`);
        return { tag, name: nameValue(bytes), inline: bytes.toString('base64') };
      }),
      undeclaredMisses: [],
      timings: { fetchMs: 1, layoutMs: 1, runMs: 1, storeMs: 1, cpuMs: 1 },
    })),
    worker: {
      instance: 'simulated',
      served: 1,
      cacheBytes: 0,
      warmBlobs: 0,
      fetchedBlobs: 0,
      fetchedBytes: 0,
      memoryMaxBytes: 0,
    },
  };
  return Buffer.from(JSON.stringify(response));
}

/** Everything an input names is in the remote store already: transfers are the service's time, not ours. */
class FullRemote extends MemoryRemote {
  override known(): boolean {
    return true;
  }
}

export interface BenchEngine {
  readonly reductor: Reductor;
  readonly engine: LambdaEngine;
  readonly failures: string[];
}

export function benchEngine(
  store: LocalStore,
  invoker: Invoker,
  ramp: RampOptions,
  hooks: {
    readonly finished?: () => void;
    readonly expectedMs?: (thunk: ObjectName) => number | undefined;
  } = {},
): BenchEngine {
  const remote = new FullRemote();
  const failures: string[] = [];
  const manifest = store.put(Buffer.from('manifest'), 'V');
  const engine = new LambdaEngine({
    store,
    remote,
    uploads: new Uploads({ store, remote, digestOf: () => undefined }),
    invoker,
    functions: [{ name: 'gg-compile', memoryMb: 1769, ramp: new Ramp(ramp) }],
    functionOf: { compile: 0, link: 0 },
    local: {
      label: 'none',
      slots: 1,
      run: async (job) => {
        failures.push(`${job.name} ran here`);
        return { kind: 'failed', reason: 'start-failed', detail: 'no local engine', transient: false };
      },
      close: async () => {},
    },
    toolchain: async () => ({ manifest, blobs: [{ name: manifest, absPath: '' }] }),
    health: new RemoteHealth((down) => void failures.push(`${down.reason}: ${down.detail}`)),
    cost: new CostMeter(),
    strict: false,
    sharesResults: false,
    problem: (reason, subject, detail) => void failures.push(`${reason} ${subject} ${detail}`),
    inFlightMax: ramp.inFlightMax,
  });
  const twins = new TwinEngine(engine);
  const placement = {
    realTool: '/usr/bin/gcc',
    cwd: '/src',
    pwd: '/src',
    searchPath: '/usr/bin',
    label: 'x.o',
    stage: 'compile',
    command: 'gcc',
    sandbox: 'none',
  } as const;
  const host: ReductorHost = {
    store,
    engineFor: () => twins,
    placementOf: () => placement,
    ...(hooks.expectedMs ? { expectedMs: hooks.expectedMs } : {}),
    started: () => {},
    reduced: () => {
      hooks.finished?.();
      return undefined;
    },
    failed: (node) => void failures.push(JSON.stringify(node.failure)),
    cancelled: () => {},
  };
  return { reductor: new Reductor(host, ramp.inFlightMax), engine, failures };
}
