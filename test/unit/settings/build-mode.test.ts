import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMode, MODES, resolveMode } from '../../../src/settings/build-mode.ts';

test('auto defers with wide engines and where nothing is forced, and nowhere else', () => {
  assert.equal(resolveMode('auto', 'local', true).mode, 'sync');
  assert.equal(resolveMode('auto', 'local', false).mode, 'defer');
  for (const engine of ['lambda', 'lambda,local', 'grpc://h:1', 'grpcs://h:1/i,local'] as const)
    assert.equal(resolveMode('auto', engine, true).mode, 'defer');
});

test('a mode that is asked for is that mode', () => {
  for (const mode of MODES)
    if (mode !== 'auto')
      for (const forces of [true, false])
        assert.deepEqual(resolveMode(mode, 'lambda', forces), { mode, reason: 'asked' });
});

test('each has a line of its own', () => {
  const lines = new Set(
    (['local', 'lambda'] as const).flatMap((engine) =>
      MODES.flatMap((mode) => [true, false].map((forces) => describeMode(resolveMode(mode, engine, forces)))),
    ),
  );
  assert.equal(lines.size, 6);
});
