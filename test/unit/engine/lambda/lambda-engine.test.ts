import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nameValue } from '../../../../src/ir/name.ts';
import { RemoteError } from '../../../../src/store/remote/remote.ts';
import type { WorkDone, WorkResponse } from '../../../../src/worker/messages.ts';
import { BILLING, fakeTool, LambdaRig } from '../lambda-rig.ts';

function rigged(t: TestContext, options: ConstructorParameters<typeof LambdaRig>[0] = {}): LambdaRig {
  const rig = new LambdaRig(options);
  t.after(() => rig.close());
  return rig;
}

/** The worker's answer with one thing changed. */
function changed(rig: LambdaRig, change: (result: WorkDone, response: WorkResponse) => unknown): void {
  rig.behave = async (_fn, _event, work) => {
    const response = (await work()) as WorkResponse;
    const result = change(response.results[0] as WorkDone, response);
    return { ...response, results: [result] };
  };
}

test('inputs go up, the output comes back and is stored', async (t) => {
  const rig = rigged(t);
  const outcome = await rig.run(rig.job(['a', 'b']));
  assert.ok(outcome.kind === 'done');
  assert.equal(rig.store.get(outcome.outputs[0]!.name)?.toString(), 'abo');
  assert.equal(outcome.stderr.toString(), 'a warning\n');
  assert.equal(rig.invoked[0]!.fn, 'gg-compile');
  assert.deepEqual(rig.ranHere, []);
  assert.equal(rig.cost.counts().invocations, 1);
});

test('a blob travels inline once, is uploaded the second time and known the third', async (t) => {
  const rig = rigged(t);
  for (let i = 0; i < 3; i++) assert.equal((await rig.run(rig.job(['shared', `own${i}`]))).kind, 'done');
  const shared = nameValue(Buffer.from('shared'));
  assert.deepEqual(
    rig.invoked.map((i) => shared in i.event.inline),
    [true, false, false],
  );
  assert.equal(rig.remote.counters.putCount, 2, 'the manifest and the shared blob');
});

test('large inputs and large outputs go through the store', async (t) => {
  const rig = rigged(t);
  const outcome = await rig.run(rig.job(['x'.repeat(4_000_000)]));
  assert.ok(outcome.kind === 'done');
  assert.equal(rig.store.get(outcome.outputs[0]!.name)?.length, 4_000_001);
  assert.deepEqual(rig.invoked[0]!.event.inline, {});
});

test('a request over the limit and an answer over the limit go through the store', async (t) => {
  const rig = rigged(t);
  rig.tool = async (request, options) => {
    const [result] = await fakeTool(request, options);
    return [{ ...(result as WorkDone), stderr: Buffer.alloc(5_000_000, 'w').toString('base64') }];
  };
  const outcome = await rig.run(rig.job(['a'], { args: ['-c', 'y'.repeat(7_000_000)] }));
  assert.ok(outcome.kind === 'done', JSON.stringify(outcome).slice(0, 300));
  assert.equal(outcome.stderr.length, 5_000_000);
  assert.ok('stored' in rig.invoked[0]!.event);
});

test('a non-zero exit is confirmed here; where it is not, the result from here is used and reported', async (t) => {
  const rig = rigged(t);
  changed(rig, (result) => ({ ...result, exitCode: 1, outputs: [] }));
  rig.localExit = 1;
  const bad = await rig.run(rig.job());
  assert.ok(bad.kind === 'done' && bad.exitCode === 1);
  rig.localExit = 0;
  const good = await rig.run(rig.job());
  assert.ok(good.kind === 'done' && good.exitCode === 0);
  assert.deepEqual([rig.engine.counts.confirmed, rig.engine.counts.disagreed], [1, 1]);
  assert.deepEqual(
    rig.problems.map((p) => p.reason),
    ['remote-disagrees'],
  );
});

const WRONG_ANSWERS: Readonly<Record<string, (result: WorkDone, response: WorkResponse) => unknown>> = {
  'an output the thunk does not declare': (r) => ({
    ...r,
    outputs: [...r.outputs, { tag: 'x', name: r.outputs[0]!.name }],
  }),
  'an output with ../ for a tag': (r) => ({ ...r, outputs: [{ ...r.outputs[0], tag: '../../etc/x' }] }),
  'an output missing': (r) => ({ ...r, outputs: [] }),
  'an output twice': (r) => ({ ...r, outputs: [r.outputs[0], r.outputs[0]] }),
  'bytes of another hash': (r) => ({ ...r, outputs: [{ ...r.outputs[0], inline: 'AAAA' }] }),
  'a name that is none': (r) => ({ ...r, outputs: [{ ...r.outputs[0], name: '../x' }] }),
  'the result of another thunk': (r) => ({ ...r, name: `T${'0'.repeat(64)}-1` }),
  'an unknown failure': (r) => ({ kind: 'failed', name: r.name, reason: 'bored', detail: '' }),
};

for (const [what, change] of Object.entries(WRONG_ANSWERS)) {
  test(`an answer with ${what} is refused and the thunk runs here`, async (t) => {
    const rig = rigged(t);
    changed(rig, change);
    const job = rig.job();
    assert.equal((await rig.run(job)).kind, 'done');
    assert.deepEqual(rig.ranHere, [job.name]);
    assert.equal(rig.engine.counts.local.get('answer-refused'), 1);
    assert.equal(rig.problems[0]?.reason, 'answer-refused');
  });
}

test('an answer of a newer version, to another request, or no JSON at all is refused', async (t) => {
  const rig = rigged(t);
  for (const wrong of [{ protocol: 3 }, { id: 'else' }]) {
    rig.behave = async (_fn, _event, work) => ({ ...((await work()) as object), ...wrong });
    await rig.run(rig.job());
  }
  rig.behave = async () => ({ kind: 'answered', payload: Buffer.from('<html>'), billing: BILLING });
  await rig.run(rig.job());
  assert.equal(rig.engine.counts.local.get('answer-refused'), 3);
});

test('a lookup in vain of a file that exists here makes the result unusable, by name', async (t) => {
  const rig = rigged(t);
  const header = join(rig.home, 'new.h');
  changed(rig, (r) => ({ ...r, undeclaredMisses: ['/no/such/file', header] }));
  assert.equal((await rig.run(rig.job())).kind, 'done');
  assert.deepEqual(rig.ranHere, []);
  writeFileSync(header, '');
  await rig.run(rig.job());
  assert.equal(rig.ranHere.length, 1);
  assert.deepEqual([rig.problems[0]?.reason, rig.problems[0]?.subject], ['undeclared-input', header]);
});

test('a blob lost from the store is put again and the thunk runs again', async (t) => {
  const rig = rigged(t);
  const big = 'x'.repeat(200_000);
  await rig.run(rig.job([big]));
  rig.remote.blobs.delete(nameValue(Buffer.from(big)));
  const outcome = await rig.run(rig.job([big, 'second']));
  assert.equal(outcome.kind, 'done');
  assert.equal(rig.engine.counts.retries.get('missing-blob'), 1);
  assert.deepEqual(rig.ranHere, []);
  rig.remote.blobs.set(nameValue(Buffer.from(big)), Buffer.from('damaged'));
  assert.equal((await rig.run(rig.job([big, 'third']))).kind, 'done');
  assert.equal(rig.engine.counts.retries.get('digest-mismatch'), 1);
  assert.deepEqual(rig.ranHere, []);
});

test('a part of the toolchain that was too little: the whole, counted; after three the kind gets the whole', async (t) => {
  const rig = rigged(t);
  const part = nameValue(Buffer.from('a part'));
  rig.tool = async (request, o) =>
    request.toolchain === part
      ? [
          {
            kind: 'failed',
            name: request.items[0]!.name,
            reason: 'toolchain-part',
            detail: '/usr/bin/cc1plus',
          },
        ]
      : fakeTool(request, o);
  for (let i = 0; i < 5; i++) assert.equal((await rig.run(rig.job())).kind, 'done');
  assert.equal(rig.engine.counts.retries.get('toolchain-part'), 3);
  assert.equal(rig.invoked.length, 5 + 3);
  assert.deepEqual(rig.ranHere, []);
  // A worker that says so of the whole is of another mind: here.
  rig.tool = async (request) => [
    { kind: 'failed', name: request.items[0]!.name, reason: 'toolchain-part', detail: 'anything' },
  ];
  const job = rig.job();
  await rig.run(job);
  assert.deepEqual(rig.ranHere, [job.name]);
});

test('throttles, deaths and timeouts are tried again; out of memory gets the larger function', async (t) => {
  const rig = rigged(t);
  let n = 0;
  rig.behave = async (_fn, _event, work) => {
    switch (n++) {
      case 0:
        return { kind: 'rejected', reason: 'throttled', detail: '' };
      case 1:
        return { kind: 'function-error', reason: 'died', detail: '', billing: BILLING };
      case 2:
        return { kind: 'function-error', reason: 'timeout', detail: '', billing: BILLING };
      case 3:
        return { kind: 'function-error', reason: 'out-of-memory', detail: '', billing: BILLING };
      default:
        return work();
    }
  };
  assert.equal((await rig.run(rig.job())).kind, 'done');
  assert.deepEqual(Object.fromEntries(rig.engine.counts.retries), {
    throttled: 1,
    died: 1,
    timeout: 1,
    'out-of-memory': 1,
  });
  assert.equal(rig.invoked.at(-1)!.fn, 'gg-link');
  assert.equal(rig.cost.counts().invocations, 4, 'what was throttled costs nothing, the rest does');
  assert.deepEqual(rig.ranHere, []);
});

test('workers that answer but never reach the store: an outage like any other, bounded', async (t) => {
  let clock = 0;
  const rig = rigged(t, { now: () => clock });
  rig.tool = async (request) => {
    clock += 20_000;
    return [
      { kind: 'failed', name: request.items[0]!.name, reason: 'fetch-inputs-failed', detail: 's3:GetObject' },
    ];
  };
  const job = rig.job();
  assert.equal((await rig.run(job)).kind, 'done');
  assert.deepEqual(rig.ranHere, [job.name]);
  assert.deepEqual(rig.down, { reason: 'fetch-inputs-failed', detail: 's3:GetObject' });
});

test('an instance that dies every time: bounded tries, then here; with --strict a failure', async (t) => {
  for (const strict of [false, true]) {
    const rig = rigged(t, { strict });
    rig.behave = async () => ({ kind: 'function-error', reason: 'died', detail: '', billing: BILLING });
    const outcome = await rig.run(rig.job());
    assert.equal(rig.invoked.length, 5);
    assert.equal(outcome.kind, strict ? 'failed' : 'done');
    assert.equal(rig.ranHere.length, strict ? 0 : 1);
  }
});

for (const reason of ['no-credentials', 'expired-credentials', 'denied', 'no-such-function'] as const) {
  test(`${reason}: the cloud is given up at once, with one word about it`, async (t) => {
    const rig = rigged(t);
    rig.behave = async () => ({ kind: 'rejected', reason, detail: 'lambda:InvokeFunction on gg-compile' });
    const outcomes = await Promise.all([rig.run(rig.job()), rig.run(rig.job()), rig.run(rig.job())]);
    assert.ok(outcomes.every((o) => o.kind === 'done'));
    assert.equal(rig.ranHere.length, 3);
    assert.deepEqual(rig.down, { reason, detail: 'lambda:InvokeFunction on gg-compile' });
    await rig.run(rig.job());
    assert.ok(rig.invoked.length <= 3, 'nothing is sent any more');
  });
}

test('a store that is away for a while is waited for; for good, the build ends here', async (t) => {
  let now = 0;
  const rig = rigged(t, { now: () => now });
  rig.remote.fault = new RemoteError('connection-lost', 'PUT s3://b/p: connection refused');
  setTimeout(() => {
    rig.remote.fault = undefined;
  }, 500);
  assert.equal((await rig.run(rig.job())).kind, 'done');
  assert.deepEqual(rig.ranHere, []);
  rig.remote.fault = new RemoteError('connection-lost', 'PUT s3://b/p: connection refused');
  const big = 'y'.repeat(200_000);
  const late = rig.run(rig.job([big]));
  setTimeout(() => {
    now = 100_000;
  }, 200);
  assert.equal((await late).kind, 'done');
  assert.equal(rig.ranHere.length, 1);
  assert.equal(rig.down?.reason, 'connection-lost');
});

test('the budget is not exceeded: what could exceed it is not started', async (t) => {
  const rig = rigged(t, { budgetUsd: 0.02 });
  for (let i = 0; i < 3; i++) await rig.run(rig.job());
  assert.equal(rig.invoked.length, 3);
  rig.behave = async () => ({
    kind: 'function-error',
    reason: 'unhandled',
    detail: '',
    billing: { ...BILLING, billedMs: 400_000 },
  });
  for (let i = 0; i < 3; i++) await rig.run(rig.job());
  assert.equal(rig.invoked.length, 4);
  assert.equal(rig.down?.reason, 'budget');
  assert.ok(rig.cost.usd <= 0.02, `${rig.cost.usd}`);
});

test('a small budget is spent one after the other, not given up because much is in flight', async (t) => {
  const rig = rigged(t, { budgetUsd: 0.02 });
  let now = 0;
  let most = 0;
  rig.behave = async (_fn, _event, work) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setTimeout(resolve, 20));
    now--;
    return work();
  };
  await Promise.all(Array.from({ length: 8 }, () => rig.run(rig.job())));
  assert.equal(rig.invoked.length, 8);
  assert.equal(most, 1, 'two at their worst would exceed it');
  assert.equal(rig.down, undefined);
  assert.ok(rig.cost.usd <= 0.02);
});

test('a worker refuses what it must not do, and writes nothing', async (t) => {
  const rig = rigged(t);
  const up = rig.job(['a'], { outputs: [{ tag: 'o', path: '../../escaped' }] });
  assert.equal((await rig.run(up)).kind, 'done');
  assert.equal(rig.engine.counts.local.get('refused'), 1);
  assert.match(rig.problems[0]!.detail, /outside of the root/);
  assert.ok(!existsSync(join(rig.home, 'escaped')));
});
