import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ramp } from '../../../../src/engine/cloud/ramp.ts';

const never = new AbortController().signal;

/** A clock of the test's own. */
function clock() {
  let nowMs = 0;
  const due: { atMs: number; act: () => void }[] = [];
  return {
    now: () => nowMs,
    later: (delayMs: number, act: () => void) => void due.push({ atMs: nowMs + delayMs, act }),
    async advance(ms: number): Promise<void> {
      const end = nowMs + ms;
      for (;;) {
        due.sort((a, b) => a.atMs - b.atMs);
        const next = due[0];
        if (!next || next.atMs > end) break;
        due.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.act();
        await new Promise((resolve) => setImmediate(resolve));
      }
      nowMs = end;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('in flight up to the limit, in the order they came', async () => {
  const ramp = new Ramp({ inFlightMax: 2 });
  const order: number[] = [];
  const all = [0, 1, 2, 3].map((i) => ramp.acquire(never).then(() => order.push(i)));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(order, [0, 1]);
  assert.equal(ramp.waiting, 2);
  ramp.release();
  await all[2];
  ramp.release();
  await all[3];
  assert.deepEqual(order, [0, 1, 2, 3]);
});

test('never more than so many new instances in any ten seconds; warm ones cost nothing', async () => {
  const time = clock();
  const ramp = new Ramp({ inFlightMax: 1000, instancesPerRamp: 10, now: time.now, later: time.later });
  let going = 0;
  for (let i = 0; i < 35; i++) void ramp.acquire(never).then(() => going++);
  await time.advance(0);
  assert.equal(going, 10);
  await time.advance(9000);
  assert.equal(going, 10);
  await time.advance(1500);
  assert.equal(going, 20);
  for (let i = 0; i < 8; i++) ramp.release();
  await time.advance(10);
  assert.equal(going, 28, 'eight warm instances take the next eight');
  await time.advance(10_000);
  assert.equal(going, 35);
});

test('a throttle pauses everybody, once', async () => {
  const time = clock();
  const ramp = new Ramp({ inFlightMax: 10, now: time.now, later: time.later });
  await ramp.acquire(never);
  ramp.throttled(500);
  ramp.release();
  let going = 0;
  for (let i = 0; i < 3; i++) void ramp.acquire(never).then(() => going++);
  await time.advance(400);
  assert.equal(going, 0);
  await time.advance(200);
  assert.equal(going, 3);
});

test('who is taken back waits no longer and holds nothing', async () => {
  const ramp = new Ramp({ inFlightMax: 1 });
  await ramp.acquire(never);
  const abort = new AbortController();
  const taken = ramp.acquire(abort.signal);
  const next = ramp.acquire(never);
  abort.abort();
  assert.equal(await taken, false);
  ramp.release();
  assert.equal(await next, true);
  assert.equal(ramp.inFlight, 1);
});
