// Lists of numbers survive packing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packNumbers, unpackNumbers } from '../../../../src/scan/memory/number-list.ts';

const LISTS: readonly (readonly number[])[] = [
  [],
  [0],
  [63, 64, 127, 128],
  [5, 4, 3, 3, 1000, 0],
  [2 ** 30 - 1, 0, 2 ** 30 - 1],
  Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 65_537),
];

test('lists come back as they were', () => {
  for (const list of LISTS) assert.deepEqual(unpackNumbers(packNumbers(list)), list);
});

test('neighbours take a byte', () => {
  assert.equal(packNumbers(Array.from({ length: 1000 }, (_, i) => i)).length, 1000);
});
