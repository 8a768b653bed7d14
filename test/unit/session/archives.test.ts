import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ForceNode } from '../../../src/force/node.ts';
import { type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { writePlaceholder, X86_64 } from '../../../src/ir/placeholder.ts';
import { type HealParts, healArchive } from '../../../src/session/archives.ts';
import type { Forcer } from '../../../src/session/forcer.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import { tryStatNs } from '../../../src/base/stat.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'gg-archives-')));
after(() => rmSync(root, { recursive: true, force: true }));
const ESTALE = 116;
const thunk = `T${'1'.repeat(64)}-10` as ObjectName;
const store = new LocalStore(join(root, 'state'));
const value = store.put(Buffer.from('\x7fELF, more or less'), 'V');
const node = { state: 'done', outputs: [{ tag: 'o', name: value }] } as unknown as ForceNode;

/** @param meanwhile happens just before the healed archive takes its place. */
function parts(log: string[], meanwhile: () => void): HealParts {
  const forcer = {
    reductor: { force: async () => node },
    withPath: async (path: string, write: () => Promise<unknown>) => {
      log.push(`lock ${path}`);
      const result = await write();
      log.push('unlock');
      return result;
    },
  };
  return {
    forcer: forcer as unknown as Forcer,
    store,
    ranlib: 'ranlib',
    runner: {
      run: async ({ argv }: { argv: readonly string[] }) => {
        const r = spawnSync(argv[0]!, argv.slice(1));
        return { startErrno: 0, exitCode: r.status };
      },
    } as unknown as HealParts['runner'],
    place: async ({ source, dest, inode }) => {
      meanwhile();
      log.push('place');
      if (tryStatNs(dest)?.ino !== inode) return ESTALE;
      copyFileSync(source, dest);
      return 0;
    },
  };
}

function archive(name: string, member: Buffer): string {
  const object = join(root, 'm.o');
  const path = join(root, name);
  rmSync(path, { force: true });
  writeFileSync(object, member);
  assert.equal(spawnSync('ar', ['rcS', path, object]).status, 0);
  return path;
}

const placeholder = writePlaceholder('object', outputRef(thunk, 'o'), {
  interpreter: '/x/gg-run',
  target: X86_64,
});

test('an archive of placeholders is healed under its lock', async () => {
  const path = archive('a.a', placeholder);
  const log: string[] = [];
  assert.equal(
    await healArchive(
      path,
      'x',
      parts(log, () => {}),
    ),
    true,
  );
  assert.deepEqual(log, [`lock ${path}`, 'place', 'unlock']);
  assert.ok(readFileSync(path).includes('ELF, more or less'));
});

test('an archive that was replaced meanwhile is left alone, and healed if it needs it', async () => {
  for (const needs of [false, true]) {
    const path = archive('b.a', placeholder);
    const other = archive('c.a', needs ? placeholder : Buffer.from('real'));
    let times = 0;
    const log: string[] = [];
    const replace = (): void => {
      if (times++ === 0) renameSync(other, path);
    };
    assert.equal(await healArchive(path, 'x', parts(log, replace)), true);
    assert.equal(readFileSync(path).includes('ELF, more or less'), needs);
    assert.equal(readFileSync(path).includes('real'), !needs);
    assert.equal(log.filter((l) => l === 'place').length, needs ? 2 : 1);
  }
});
