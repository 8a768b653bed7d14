import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { absoluteSearchPath } from '../../../src/caller/call-request.ts';

const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'gg-path-')));
after(() => rmSync(cwd, { recursive: true, force: true }));
mkdirSync(join(cwd, 'b'));
mkdirSync(join(cwd, 'empty'));
writeFileSync(join(cwd, 'b', 'as'), '');

test('relative entries are the caller’s, and only those with tools stay', () => {
  assert.equal(absoluteSearchPath('/usr/bin:/bin', cwd), '/usr/bin:/bin');
  assert.equal(absoluteSearchPath('b:/usr/bin', cwd), `${cwd}/b:/usr/bin`);
  assert.equal(absoluteSearchPath('./b/:/usr/bin', cwd), `${cwd}/b:/usr/bin`);
  assert.equal(absoluteSearchPath('empty:/usr/bin:.', cwd), '/usr/bin');
  assert.equal(absoluteSearchPath(':/usr/bin:', join(cwd, 'b')), `${cwd}/b:/usr/bin:${cwd}/b`);
  assert.equal(absoluteSearchPath('', cwd), '');
});
