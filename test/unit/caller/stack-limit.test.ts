import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hasOtherStack, stackOf } from '../../../src/caller/stack-limit.ts';

const line = (soft: string, hard: string) =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax stack size            ${soft}              ${hard}            bytes\n`;

test('the stack that gcc would have', () => {
  assert.equal(stackOf(line('8388608', 'unlimited')), 65536);
  assert.equal(stackOf(line('unlimited', 'unlimited')), 0xffffffff);
  assert.equal(stackOf(line('524288', '524288')), 512);
  assert.equal(stackOf(line('8388608', '16777216')), 16384);
  assert.equal(stackOf(line('134217728', 'unlimited')), 131072);
  assert.equal(stackOf(''), 0);
});

test('a process with a limit of its own is told apart', () => {
  const ours = stackOf(readFileSync('/proc/self/limits', 'latin1'));
  assert.equal(hasOtherStack(ours), false);
  assert.equal(hasOtherStack(0), false);
  const theirs = stackOf(
    spawnSync('sh', ['-c', 'ulimit -s 512; cat /proc/self/limits'], { encoding: 'utf8' }).stdout,
  );
  assert.equal(theirs, 512);
  assert.equal(hasOtherStack(theirs), ours !== 512);
});
