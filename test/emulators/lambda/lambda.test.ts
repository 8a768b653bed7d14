// The stand-in itself, through the engine's own client: limits, errors, bills.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { awsInvoker } from '../../../src/engine/lambda/aws-invoker.ts';
import type { InvokeEnd, Invoker } from '../../../src/engine/lambda/invoker.ts';
import { EMULATOR_KEY, LambdaEmulator, type LambdaEmulatorOptions } from './server.ts';

/** A function that does what its event says, through the Runtime API. */
const PUPPET = Buffer.from(`
const http = require('node:http'), fs = require('node:fs');
const api = process.env.AWS_LAMBDA_RUNTIME_API;
const call = (method, path, body) => new Promise((resolve, reject) => {
  const r = http.request('http://' + api + '/2018-06-01/runtime' + path, { method }, (a) => {
    const c = []; a.on('data', (d) => c.push(d)); a.on('end', () => resolve({ h: a.headers, b: Buffer.concat(c).toString() }));
  });
  r.on('error', reject); r.end(body);
});
const held = [];
let served = 0;
(async () => { for (;;) {
  const n = await call('GET', '/invocation/next');
  const id = n.h['lambda-runtime-aws-request-id'], e = JSON.parse(n.b);
  served++;
  if (e.exit) process.exit(1);
  if (e.sleep) await new Promise((r) => setTimeout(r, e.sleep));
  if (e.eat) { for (let i = 0; i < e.eat; i++) held.push(Buffer.alloc(1 << 20, 1)); await new Promise((r) => setTimeout(r, 5000)); }
  if (e.error) { await call('POST', '/invocation/' + id + '/error', JSON.stringify({ errorType: 'Bad', errorMessage: 'x' })); continue; }
  let wrote = ''; try { fs.writeFileSync(e.write || process.env.TMPDIR + '/f', 'x'); wrote = 'yes'; } catch (x) { wrote = x.code; }
  await call('POST', '/invocation/' + id + '/response', JSON.stringify({ pid: process.pid, uid: process.getuid(), served, wrote, pad: 'x'.repeat(e.pad || 0), left: n.h['lambda-runtime-deadline-ms'] - Date.now() }));
} })();
`);

async function started(
  t: TestContext,
  options: LambdaEmulatorOptions = {},
  fn: { memoryMb?: number; timeoutMs?: number; reserved?: number } = {},
): Promise<{
  emulator: LambdaEmulator;
  invoker: Invoker;
  invoke: (event: unknown) => Promise<InvokeEnd>;
  endpoint: string;
}> {
  const emulator = new LambdaEmulator({ ...options, limits: { coldStartMs: 0, ...options.limits } });
  const endpoint = await emulator.listen();
  emulator.add('f', PUPPET, fn);
  const invoker = await awsInvoker({
    region: 'us-east-1',
    endpoint,
    credentials: EMULATOR_KEY,
    socketsMax: 200,
  });
  t.after(async () => {
    invoker.close();
    await emulator.close();
  });
  const signal = new AbortController().signal;
  return {
    emulator,
    invoker,
    endpoint,
    invoke: (event) => invoker.invoke('f', Buffer.from(JSON.stringify(event)), { signal, timeoutMs: 30_000 }),
  };
}

const said = (end: InvokeEnd): Record<string, never> => {
  assert.equal(end.kind, 'answered', JSON.stringify(end));
  return JSON.parse((end as { payload: Buffer }).payload.toString());
};
const outcome = (end: InvokeEnd): string =>
  end.kind === 'answered' ? 'answered' : `${end.kind} ${end.reason}`;

test('a warm instance serves again, at once another one starts; each its own user and directory', async (t) => {
  const { invoke, emulator } = await started(t);
  const first = said(await invoke({}));
  const second = said(await invoke({}));
  assert.equal(second['pid'], first['pid']);
  assert.equal(second['served'], 2);
  const both = (await Promise.all([invoke({ sleep: 200 }), invoke({ sleep: 200 })])).map(said);
  assert.notEqual(both[0]!['pid'], both[1]!['pid']);
  assert.equal(emulator.pool('f')!.counts.coldStarts, 2);
  assert.equal(first['wrote'], 'yes');
  if (process.getuid?.() === 0) {
    assert.equal(first['uid'], 65534);
    assert.equal(said(await invoke({ write: `${emulator.directory}/x` }))['wrote'], 'EACCES');
  }
});

test('billing: rounded up to a millisecond, a cold start is told', async (t) => {
  const { invoke } = await started(t, { limits: { coldStartMs: 120 } }, { memoryMb: 512 });
  const cold = await invoke({ sleep: 100 });
  assert.ok(cold.kind === 'answered' && cold.billing.exact);
  assert.ok(cold.billing.initMs >= 119 && cold.billing.billedMs >= 219, JSON.stringify(cold.billing));
  assert.equal(cold.billing.memoryMb, 512);
  assert.ok(cold.billing.memoryUsedMb > 10);
  const warm = await invoke({ sleep: 100 });
  assert.ok(warm.kind === 'answered' && warm.billing.initMs === 0);
  assert.ok(warm.billing.billedMs >= 100 && warm.billing.billedMs < 200, JSON.stringify(warm.billing));
});

test('limits: reserved concurrency, the ramp, payloads both ways', async (t) => {
  const { invoke } = await started(t, {}, { reserved: 3 });
  const ends = await Promise.all(Array.from({ length: 8 }, () => invoke({ sleep: 400 })));
  assert.equal(ends.filter((e) => e.kind === 'answered').length, 3);
  assert.equal(ends.filter((e) => outcome(e) === 'rejected throttled').length, 5);
  assert.equal(outcome(await invoke({ pad: 'x'.repeat(6_400_000) })), 'rejected request-too-large');
  assert.equal(outcome(await invoke({ pad: 6_400_000 })), 'function-error response-too-large');
  const ramp = await started(t, { limits: { rampInstances: 2, rampMs: 700 } });
  const four = () => Promise.all(Array.from({ length: 4 }, () => ramp.invoke({ sleep: 300 })));
  assert.equal((await four()).filter((e) => e.kind === 'answered').length, 2);
  await new Promise((r) => setTimeout(r, 700));
  assert.equal((await four()).filter((e) => e.kind === 'answered').length, 4);
});

test('ends that are no answer: timeout, exit, out of memory, an error of the function', async (t) => {
  const { invoke } = await started(t, {}, { timeoutMs: 600, memoryMb: 256 });
  assert.equal(outcome(await invoke({ sleep: 5000 })), 'function-error timeout');
  assert.equal(outcome(await invoke({ exit: true })), 'function-error died');
  assert.equal(outcome(await invoke({ error: true })), 'function-error unhandled');
  assert.equal(outcome(await invoke({})), 'answered');
  const big = await started(t, {}, { memoryMb: 192 });
  assert.equal(outcome(await big.invoke({ eat: 400 })), 'function-error out-of-memory');
  assert.equal(outcome(await big.invoke({})), 'answered');
});

test('signatures: a wrong secret, an unknown key, another region', async (t) => {
  const { endpoint } = await started(t);
  const signal = new AbortController().signal;
  const as = async (change: object): Promise<string> => {
    const invoker = await awsInvoker({
      region: 'us-east-1',
      endpoint,
      credentials: EMULATOR_KEY,
      socketsMax: 2,
      ...change,
    });
    const end = await invoker.invoke('f', Buffer.from('{}'), { signal, timeoutMs: 5000 });
    invoker.close();
    return outcome(end);
  };
  assert.equal(await as({}), 'answered');
  assert.equal(
    await as({ credentials: { ...EMULATOR_KEY, secretAccessKey: 'x' } }),
    'rejected no-credentials',
  );
  assert.equal(await as({ credentials: { ...EMULATOR_KEY, accessKeyId: 'x' } }), 'rejected no-credentials');
  assert.equal(await as({ region: 'eu-west-1' }), 'rejected no-credentials');
  assert.equal(await as({ endpoint: 'http://127.0.0.1:9' }), 'rejected connection-lost');
  const invoker = await awsInvoker({
    region: 'us-east-1',
    endpoint,
    credentials: EMULATOR_KEY,
    socketsMax: 2,
  });
  const end = await invoker.invoke('absent', Buffer.from('{}'), { signal, timeoutMs: 5000 });
  assert.equal(outcome(end), 'rejected no-such-function');
  const gone = await invoker.invoke('f', Buffer.from('{"sleep":3000}'), {
    signal: AbortSignal.timeout(300),
    timeoutMs: 5000,
  });
  assert.equal(outcome(gone), 'rejected cancelled');
  invoker.close();
});

test('faults come in the shares asked for', async (t) => {
  const { invoke, emulator } = await started(t, {
    faults: { throttles: 0.2, deaths: 0.1, timeouts: 0.1 },
    limits: { faultTimeoutMs: 20 },
    seed: 7,
  });
  const counts = new Map<string, number>();
  for (let i = 0; i < 60; i++) {
    const what = outcome(await invoke({ sleep: 5 }));
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  assert.equal(counts.get('rejected throttled'), emulator.faults.counts.throttles);
  assert.ok(emulator.faults.counts.throttles > 3 && emulator.faults.counts.deaths > 0);
  assert.ok((counts.get('answered') ?? 0) > 20, JSON.stringify([...counts]));
});
