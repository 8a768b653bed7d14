import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Changes, describeChanges } from '../../../../src/cli/watching/watch-changes.ts';
import { IgnoreRules } from '../../../../src/cli/watching/watch-filter.ts';
import { exhausted } from '../../../../src/cli/watching/watch-tree.ts';

describe('changes', () => {
  test("outside of builds they count, the session's own outputs apart", () => {
    const changes = new Changes();
    changes.begin();
    assert.equal(changes.end(['/t/a.o'], 100), false);
    assert.equal(changes.note('/t/a.o', 'change', 200), false);
    assert.equal(changes.note('/t/a.c', 'change', 200), true);
    assert.deepEqual(changes.begin(), ['/t/a.c']);
  });

  test('a file made by a build is an output until somebody else changes it', () => {
    const changes = new Changes();
    changes.begin();
    assert.equal(changes.note('/t/x.h', 'add', 50), false);
    assert.equal(changes.end([], 100), false);
    changes.begin();
    assert.equal(changes.note('/t/x.h', 'change', 150), false);
    assert.equal(changes.end([], 200), false);
    assert.equal(changes.note('/t/x.h', 'change', 300), true);
  });

  test('a change that is heard of late belongs to the build it was made in', () => {
    const changes = new Changes();
    changes.begin();
    changes.end([], 100);
    assert.equal(changes.note('/t/late', 'change', 90), false);
    assert.equal(changes.note('/t/later', 'change', 110), true);
  });

  test('an edit while a build runs asks for one more build, and no third', () => {
    const changes = new Changes();
    changes.begin();
    changes.note('/t/a.c', 'change', 50);
    assert.equal(changes.end([], 100), true);
    assert.deepEqual(changes.begin(), ['/t/a.c']);
    changes.note('/t/a.c', 'change', 150);
    assert.equal(changes.end([], 200), false);
  });

  test('names are few', () => {
    assert.equal(describeChanges(['a']), 'a');
    assert.equal(describeChanges(['a', 'b', 'c']), 'a, b and c');
    assert.equal(describeChanges(['a', 'b', 'c', 'd', 'e']), 'a, b, c and 2 more');
  });
});

describe('.gitignore', () => {
  const root = mkdtempSync(join(tmpdir(), 'gg-ignore-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, '.git/info'), { recursive: true });
  mkdirSync(join(root, 'sub/deep'), { recursive: true });
  writeFileSync(join(root, '.gitignore'), '*.log\n/build/\nsub/deep/*.tmp\n');
  writeFileSync(join(root, '.git/info/exclude'), 'mine\n');
  writeFileSync(join(root, 'sub/.gitignore'), '!kept.log\n*.gen\n');
  const cases: readonly [string, 'file' | 'directory', boolean][] = [
    ['a.c', 'file', false],
    ['a.log', 'file', true],
    ['sub/a.log', 'file', true],
    ['sub/kept.log', 'file', false],
    ['sub/deep/kept.log', 'file', false],
    ['kept.log', 'file', true],
    ['build', 'directory', true],
    ['build', 'file', false],
    ['build/x.c', 'file', true],
    ['sub/build', 'directory', false],
    ['sub/x.gen', 'file', true],
    ['x.gen', 'file', false],
    ['sub/deep/x.tmp', 'file', true],
    ['mine', 'file', true],
    ['.git/HEAD', 'file', true],
    ['node_modules/x.js', 'file', true],
    ['sub/.gg-12-3', 'file', true],
  ];
  for (const top of [root, join(root, 'sub')]) {
    const rules = new IgnoreRules(top);
    for (const [path, kind, ignored] of cases) {
      const absolute = join(root, path);
      if (!absolute.startsWith(`${top}/`)) continue;
      test(`${path} (${kind}), watched from ${top === root ? 'the root' : 'below'}`, () => {
        assert.equal(rules.ignores(absolute, kind), ignored);
      });
    }
  }
});

test('running out of watches is told apart from other errors', () => {
  for (const code of ['ENOSPC', 'EMFILE', 'ENFILE'])
    assert.ok(exhausted(Object.assign(new Error(), { code })));
  assert.ok(!exhausted(Object.assign(new Error(), { code: 'EACCES' })));
});
