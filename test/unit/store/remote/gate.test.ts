import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Budget, Gate } from '../../../../src/store/remote/gate.ts';

test('no more than the limit at one time, first come first served', async () => {
  const gate = new Gate(3);
  let open = 0;
  let openMax = 0;
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      gate
        .run(async () => {
          order.push(i);
          openMax = Math.max(openMax, ++open);
          if (i % 3 === 0) await turn();
          open--;
          if (i % 7 === 0) throw new Error('a failure gives its place back');
        })
        .catch(() => {}),
    ),
  );
  assert.equal(openMax, 3);
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  assert.equal(await gate.run(async () => 'free'), 'free');
});

test('the limit halves at most once in a while, has a floor, and comes back', () => {
  const gate = new Gate(64);
  gate.slowDown(0);
  gate.slowDown(100);
  assert.equal(gate.limit, 32);
  for (let ms = 1000; ms < 20_000; ms += 1000) gate.slowDown(ms);
  assert.equal(gate.limit, 4);
  for (let i = 0; i < 4; i++) gate.wentWell();
  assert.ok(gate.limit >= 4 && gate.limit <= 5);
  for (let i = 0; i < 10_000; i++) gate.wentWell();
  assert.equal(gate.limit, 64);
  const narrow = new Gate(2);
  narrow.slowDown(0);
  assert.equal(narrow.limit, 2);
});

test('a lowered limit holds for those who wait', async () => {
  const gate = new Gate(8);
  let open = 0;
  let late = 0;
  const work = Array.from({ length: 40 }, (_, i) =>
    gate.run(async () => {
      open++;
      if (i >= 8) late = Math.max(late, open);
      await turn();
      open--;
    }),
  );
  gate.slowDown(0);
  await Promise.all(work);
  assert.equal(late, 4);
});

test('a budget holds bytes, lets the large ones through, and keeps the order', async () => {
  const budget = new Budget(100);
  let used = 0;
  let usedMax = 0;
  const order: number[] = [];
  const sizes = [60, 30, 500, 10, 100, 1, 1, 0];
  await Promise.all(
    sizes.map((size, i) =>
      budget.run(size, async () => {
        order.push(i);
        used += Math.min(size, 100);
        usedMax = Math.max(usedMax, used);
        await turn();
        used -= Math.min(size, 100);
      }),
    ),
  );
  assert.equal(usedMax, 100);
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
  await assert.rejects(budget.run(100, () => Promise.reject(new Error('x'))));
  assert.equal(await budget.run(100, async () => 'free'), 'free');
});
