import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS, nearestCommand } from '../../../src/cli/command-names.ts';

test('a near word is offered, a far one is not', () => {
  assert.equal(nearestCommand('exlpain'), 'explain');
  assert.equal(nearestCommand('forc'), 'force');
  for (const far of ['cachexyz', 'frobnicate', 'x', 'go', 'gc1234'])
    assert.equal(nearestCommand(far), undefined, far);
  for (const name of COMMANDS) assert.equal(nearestCommand(name), name.length > 0 ? name : undefined);
});
