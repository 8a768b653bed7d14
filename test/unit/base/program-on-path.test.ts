import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programOnPath } from '../../../src/base/program-on-path.ts';

test('a program is what a shell would find', () => {
  assert.equal(programOnPath('sh', '/nonexistent:/bin:/usr/bin'), '/bin/sh');
  assert.equal(programOnPath('/bin/sh', ''), '/bin/sh');
  assert.ok(programOnPath('sh') !== undefined);
  for (const none of ['no-such-program', '/etc/passwd', '/etc']) assert.equal(programOnPath(none), undefined);
  assert.equal(programOnPath('sh', '/etc'), undefined);
});
