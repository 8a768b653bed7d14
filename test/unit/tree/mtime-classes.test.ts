import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mtimeClassOf } from '../../../src/engine/local/sandbox.ts';
import { nameValue } from '../../../src/ir/name.ts';
import { mtimeClasses } from '../../../src/tree/mtime-classes.ts';

test('equal headers of different seconds are told apart, where #pragma once would', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'gg-once-'));
  try {
    const put = (path: string, second: number) => {
      writeFileSync(join(cwd, path), '#pragma once\n');
      utimesSync(join(cwd, path), second, second + 0.25);
      return { path, name: nameValue(Buffer.from('#pragma once\n')) };
    };
    const [a, b, c] = [put('a.h', 50), put('b.h', 40), put('c.h', 50)] as const;
    const salt = mtimeClasses([a, b, c], cwd, () => true);
    assert.deepEqual(salt, ['mtime-class:1:a.h', 'mtime-class:0:b.h', 'mtime-class:1:c.h']);
    assert.deepEqual(
      [...mtimeClassOf(['native:x', ...salt])],
      [
        ['a.h', 2],
        ['b.h', 1],
        ['c.h', 2],
      ],
    );
    assert.deepEqual(
      mtimeClasses([a, c], cwd, () => true),
      [],
    );
    assert.deepEqual(
      mtimeClasses([a, b], cwd, () => false),
      [],
    );
    assert.deepEqual(
      mtimeClasses([a], cwd, () => true),
      [],
    );
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
});
