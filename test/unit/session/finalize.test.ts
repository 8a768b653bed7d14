import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { writePlaceholder, X86_64 } from '../../../src/ir/placeholder.ts';
import { findPlaceholders } from '../../../src/session/finalize.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'gg-finalize-')));
after(() => rmSync(root, { recursive: true, force: true }));

const ref = outputRef(`T${'0'.repeat(64)}-10` as ObjectName, 'o');
const bytes = writePlaceholder('object', ref, { interpreter: '/x/gg-run', target: X86_64 });

function put(path: string): string {
  const full = join(root, path);
  mkdirSync(join(full, '..'), { recursive: true });
  writeFileSync(full, bytes);
  return full;
}

test('placeholders below .git are found, but not among what git alone writes', async () => {
  for (const name of ['HEAD', 'refs/x', 'objects/aa/bb', 'objects/x.o']) put(`.git/${name}`);
  const wanted = [put('.git/build/x.o'), put('.git/HEAD'), put('objects/x.o'), put('sub/.git/x.o')];
  const { files } = await findPlaceholders([root], 0);
  assert.deepEqual([...files].sort(), wanted.sort());
});
