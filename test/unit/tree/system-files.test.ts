import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isPackaged } from '../../../src/tree/system-files.ts';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'gg-packaged-')));
after(() => rmSync(directory, { recursive: true, force: true }));

test('what a package manager put there', () => {
  assert.equal(isPackaged('/usr/include/stdio.h'), true);
  assert.equal(isPackaged('/usr/lib/gcc/../../include/stdio.h'), true);
});

test("a user's file, wherever below /usr it is", () => {
  for (const path of [
    '/usr/local/include/x.h',
    '/usr/src/x/x.c',
    '/home/u/x.c',
    '/usr/lib/../local/include/x.h',
  ])
    assert.equal(isPackaged(path), false, path);
});

test('a directory of packages that leads elsewhere', () => {
  const roots = [join(directory, 'usr')];
  mkdirSync(join(directory, 'usr/own'), { recursive: true });
  mkdirSync(join(directory, 'home'));
  symlinkSync('../home', join(directory, 'usr/mine'));
  assert.equal(isPackaged(join(directory, 'usr/own/x.h'), roots), true);
  assert.equal(isPackaged(join(directory, 'usr/mine/x.h'), roots), false);
  assert.equal(isPackaged(join(directory, 'usr/gone/x.h'), roots), false);
});
