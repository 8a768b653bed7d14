import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { RunDone, RunOutcome } from '../../../src/engine/engine.ts';
import { nameValue, type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { encodeThunk } from '../../../src/ir/thunk.ts';
import type { WorkDone, WorkResponse } from '../../../src/worker/messages.ts';
import { BILLING, fakeTool, LambdaRig } from './lambda-rig.ts';

function rigged(t: TestContext, options: ConstructorParameters<typeof LambdaRig>[0] = {}): LambdaRig {
  const rig = new LambdaRig(options);
  t.after(() => rig.close());
  return rig;
}

function done(outcome: RunOutcome): RunDone {
  assert.ok(outcome.kind === 'done' && outcome.exitCode === 0, JSON.stringify(outcome).slice(0, 300));
  return outcome;
}

/** The worker's answer with the second result changed. */
function second(rig: LambdaRig, change: (result: WorkDone) => unknown): void {
  rig.behave = async (_fn, _event, work) => {
    const response = (await work()) as WorkResponse;
    const [first, next] = response.results;
    return { ...response, results: next ? [first, change(next as WorkDone)] : [first] };
  };
}

const text = (rig: LambdaRig, run: RunDone): string | undefined =>
  rig.store.get(run.outputs[0]!.name)?.toString();
const items = (rig: LambdaRig): number[] => rig.invoked.map((i) => i.event.items.length);

test('a link and a strip: one invocation of the larger function; names are those of thunks that came alone', async (t) => {
  const rig = rigged(t);
  const job = rig.chain(rig.job(['a']), [rig.job(['b'], {}, 'link'), rig.job([], {}, 'link')]);
  const run = done(await rig.run(job));
  assert.deepEqual(items(rig), [3]);
  assert.equal(rig.invoked[0]!.fn, 'gg-link');
  assert.equal(text(rig, run), 'ao');
  assert.deepEqual(
    run.also!.map((a) => text(rig, a.run)),
    ['aobo', 'aoboo'],
  );
  const alone = job.followers![0]!;
  const inputs = [{ path: 'made', name: run.outputs[0]!.name }, ...alone.thunk.inputs.slice(1)];
  assert.equal(run.also![0]!.name, encodeThunk({ ...alone.thunk, inputs }).name);
  assert.deepEqual([rig.engine.counts.done, rig.engine.counts.chained], [3, 3]);
  assert.equal(rig.cost.counts().invocations, 1);
});

test('what only the second wants stays there: by name alone', async (t) => {
  const rig = rigged(t);
  const run = done(
    await rig.run(rig.chain(rig.job(['x'.repeat(2_000_000)]), [rig.job([])], { alone: true })),
  );
  assert.equal(run.withheld, true);
  assert.equal(rig.store.has(run.outputs[0]!.name), false);
  assert.equal(rig.remote.known(run.outputs[0]!.name), false);
  assert.ok(rig.store.has(run.also![0]!.run.outputs[0]!.name));
});

test('the second fails, is not there or looked for a file that is here: it is left out, the first counts', async (t) => {
  const rig = rigged(t);
  const header = join(rig.home, 'new.h');
  writeFileSync(header, '');
  const ways: readonly ((result: WorkDone) => unknown)[] = [
    (r) => ({ ...r, exitCode: 1, outputs: [] }),
    (r) => ({ kind: 'failed', name: r.name, reason: 'timeout', detail: '' }),
    (r) => ({ kind: 'failed', name: r.name, reason: 'toolchain-part', detail: '/usr/bin/ld' }),
    (r) => ({ ...r, undeclaredMisses: [header] }),
  ];
  for (const way of ways) {
    second(rig, way);
    const run = done(await rig.run(rig.chain(rig.job(), [rig.job([])])));
    assert.equal(run.also, undefined);
    assert.equal(text(rig, run), 'texto');
  }
  rig.behave = async (_fn, _event, work) => {
    const response = (await work()) as WorkResponse;
    return { ...response, results: response.results.slice(0, 1) };
  };
  assert.equal(done(await rig.run(rig.chain(rig.job(), [rig.job([])]))).also, undefined);
  assert.deepEqual(items(rig), [2, 2, 2, 2, 2], 'nothing is asked for twice');
  assert.deepEqual([rig.ranHere, rig.problems, rig.engine.counts.confirmed], [[], [], 0]);
});

test('a second that is not used after the first’s bytes were withheld: the first runs again, alone', async (t) => {
  const rig = rigged(t);
  const header = join(rig.home, 'new.h');
  writeFileSync(header, '');
  second(rig, (r) => ({ ...r, undeclaredMisses: [header] }));
  const run = done(await rig.run(rig.chain(rig.job(), [rig.job([])], { alone: true })));
  assert.deepEqual(items(rig), [2, 1]);
  assert.equal(run.withheld, undefined);
  assert.equal(text(rig, run), 'texto');
});

const WRONG: Readonly<Record<string, (response: WorkResponse) => unknown>> = {
  'more results than thunks': (r) => [...r.results, r.results[1]],
  'results in another order': (r) => r.results.toReversed(),
  'bytes of another hash in the second': (r) => [
    r.results[0],
    { ...r.results[1], outputs: [{ ...(r.results[1] as WorkDone).outputs[0], inline: 'AAAA' }] },
  ],
  'an output of the second that it does not declare': (r) => [
    r.results[0],
    {
      ...r.results[1],
      outputs: [...(r.results[1] as WorkDone).outputs, { tag: 'x', name: nameValue(Buffer.from('x')) }],
    },
  ],
  'an output withheld that is wanted': (r) => [
    { ...r.results[0], outputs: [{ tag: 'o', name: nameValue(Buffer.from('x')), withheld: true }] },
    r.results[1],
  ],
  'an output of the last withheld': (r) => [
    r.results[0],
    { ...r.results[1], outputs: [{ tag: 'o', name: nameValue(Buffer.from('x')), withheld: true }] },
  ],
};

for (const [what, change] of Object.entries(WRONG)) {
  test(`an answer with ${what} is refused; the first runs here, the second comes alone`, async (t) => {
    const rig = rigged(t);
    rig.behave = async (_fn, _event, work) => {
      const response = (await work()) as WorkResponse;
      return { ...response, results: change(response) };
    };
    const job = rig.chain(rig.job(), [rig.job([])]);
    assert.equal(done(await rig.run(job)).also, undefined);
    assert.deepEqual(rig.ranHere, [job.name]);
    assert.equal(rig.problems[0]?.reason, 'answer-refused');
  });
}

test('the first fails over there: it is confirmed here, and nothing is said of the second', async (t) => {
  const rig = rigged(t);
  rig.localExit = 1;
  rig.tool = async (request, o) => {
    const [first] = await fakeTool(request, o);
    return [{ ...(first as WorkDone), exitCode: 1, outputs: [] }];
  };
  const job = rig.chain(rig.job(), [rig.job([])], { alone: true });
  const outcome = await rig.run(job);
  assert.ok(outcome.kind === 'done' && outcome.exitCode === 1 && outcome.also === undefined);
  assert.deepEqual([rig.ranHere, rig.engine.counts.confirmed], [[job.name], 1]);
});

test('throttled, it keeps its company; after a death it comes alone', async (t) => {
  const rig = rigged(t);
  let n = 0;
  rig.behave = async (_fn, _event, work) => {
    switch (n++) {
      case 0:
        return { kind: 'rejected', reason: 'throttled', detail: '' };
      case 1:
        return { kind: 'function-error', reason: 'died', detail: '', billing: BILLING };
      default:
        return work();
    }
  };
  assert.equal(done(await rig.run(rig.chain(rig.job(), [rig.job([])]))).also, undefined);
  assert.deepEqual(items(rig), [2, 2, 1]);
});

test('not along: what runs only here, and what had much to send first', async (t) => {
  const rig = rigged(t);
  const large = (letter: string): string => letter.repeat(700_000);
  await rig.run(rig.chain(rig.job(), [rig.job([], { tool: 'static' }), rig.job([])]));
  await rig.run(rig.chain(rig.job(), [rig.job([large('a')]), rig.job([large('b')])]));
  assert.deepEqual(items(rig), [1, 2]);
  await rig.run(rig.chain(rig.job(), [rig.job([large('a')]), rig.job([large('b')])]));
  assert.deepEqual(items(rig), [1, 2, 3], 'by now the first of them is there');
  assert.equal(rig.engine.counts.local.size, 0);
});

test('a budget that does for one and not for two', async (t) => {
  // The worst case of a compile here is 360 s of 1,769 MB: 0.0104 USD; of a link with another 0.04.
  const rig = rigged(t, { budgetUsd: 0.02 });
  const run = done(await rig.run(rig.chain(rig.job(), [rig.job([], {}, 'link')])));
  assert.deepEqual(items(rig), [1]);
  assert.equal(rig.invoked[0]!.fn, 'gg-compile');
  assert.equal(run.also, undefined);
  assert.equal(rig.down, undefined);
});

test('what is known of the second and which toolchain it wants travel with it', async (t) => {
  const rig = rigged(t);
  const known = [`T${'a'.repeat(64)}-1` as ObjectName];
  const job = rig.chain(rig.job(), [rig.job([])], { known, alone: true });
  await rig.run(job);
  const [one, two] = rig.invoked[0]!.event.items;
  assert.deepEqual(
    [one!.internal, one!.known, two!.internal, two!.known],
    ['kept', undefined, undefined, known],
  );
  assert.equal(two!.toolchain, rig.invoked[0]!.event.toolchain);
  assert.ok(two!.thunk.includes(outputRef(one!.name, 'o')));
});
