import assert from 'node:assert/strict';
import { chmodSync, linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { nameValue, type ObjectName, parseRef } from '../../../../src/ir/name.ts';
import { DigestCache } from '../../../../src/store/local/digest-cache.ts';
import { collectGarbage } from '../../../../src/store/local/gc.ts';
import { LocalStore } from '../../../../src/store/local/local.ts';
import { decodeReduction, encodeReduction } from '../../../../src/store/reductions.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-store-'));
after(() => rmSync(root, { recursive: true }));
const thunk = `T${'1'.repeat(64)}-5` as ObjectName;
const reduction = (outputs: { tag: string; name: ObjectName }[]) => ({
  thunk,
  outputs,
  exitCode: 0,
  stdout: Buffer.from('out'),
  stderr: Buffer.from([0xff, 0x0a]),
  wallMs: 3,
});

test('a damaged blob is never given out and does not come back', () => {
  const store = new LocalStore(join(root, 'a'));
  const name = store.put(Buffer.from('hello'), 'V');
  assert.equal(store.get(name)?.toString(), 'hello');
  const path = store.path(name)!;
  chmodSync(path, 0o600);
  writeFileSync(path, 'hellO');
  assert.equal(store.get(name), undefined);
  assert.equal(store.has(name), false);
  const fresh = new LocalStore(join(root, 'a'));
  const second = fresh.put(Buffer.from('world'), 'V');
  const file = new LocalStore(join(root, 'a')).path(second)!;
  chmodSync(file, 0o600);
  writeFileSync(file, 'wOrld');
  assert.equal(new LocalStore(join(root, 'a')).path(second), undefined);
});

test('putFile moves a finished file in; nothing is left in tmp', () => {
  const store = new LocalStore(join(root, 'b'));
  for (let i = 0; i < 3; i++) {
    const temporary = store.temporary();
    writeFileSync(temporary, 'the same');
    assert.equal(store.putFile(temporary), nameValue(Buffer.from('the same')));
  }
  assert.deepEqual(readdirSync(join(root, 'b', 'tmp')), []);
});

test('a reduction comes back byte for byte; one that is damaged, foreign or without its blobs is a miss', () => {
  const store = new LocalStore(join(root, 'c'));
  const name = store.put(Buffer.from('x'), 'V');
  const r = reduction([{ tag: 'o', name }]);
  store.putReduction(r);
  assert.deepEqual(store.reduction(thunk), r);
  const bytes = encodeReduction(r);
  assert.equal(decodeReduction(bytes, `T${'2'.repeat(64)}-5` as ObjectName), undefined);
  const damaged = Buffer.from(bytes);
  damaged[bytes.length - 4] = 0x20;
  assert.equal(decodeReduction(damaged, thunk), undefined);
  assert.equal(decodeReduction(bytes.subarray(0, 40), thunk), undefined);
  rmSync(store.path(name)!);
  assert.equal(store.reduction(thunk), undefined);
});

test('a file edited at once with the same size is hashed anew', () => {
  const digests = new DigestCache();
  const file = join(root, 'edited');
  for (let i = 0; i < 50; i++) {
    const bytes = Buffer.from(String(i % 10));
    writeFileSync(file, bytes);
    assert.equal(digests.digest(file), nameValue(bytes));
  }
  assert.equal(digests.digest(root), undefined);
  assert.equal(digests.digest(join(root, 'none')), undefined);
});

test('gc keeps below the limit and never takes what is pinned', () => {
  const store = new LocalStore(join(root, 'd'));
  const names = Array.from({ length: 20 }, (_, i) => store.put(Buffer.alloc(1000, i + 1), 'V'));
  const result = collectGarbage(join(root, 'd'), 5000, new Set([names[0]!, names[1]!]));
  assert.ok(store.has(names[0]!) && store.has(names[1]!));
  assert.ok(names.filter((n) => store.has(n)).length <= 5);
  assert.equal(result.removedFiles, 15);
});

test('names: only well-formed ones are names', () => {
  assert.ok(parseRef(`T${'a'.repeat(64)}-0#o`));
  for (const bad of [
    '',
    'V',
    `V${'a'.repeat(64)}-1#o`,
    `X${'a'.repeat(64)}-1`,
    `V${'A'.repeat(64)}-1`,
    `V${'a'.repeat(64)}-01`,
    `T${'a'.repeat(64)}-1#../x`,
  ]) {
    assert.equal(parseRef(bad), undefined, bad);
  }
});

test('a blob that was looked at before is looked at again when its file is another one', async () => {
  const store = new LocalStore(join(root, 'looked'));
  const name = store.put(Buffer.from('steady'), 'V');
  const path = store.path(name)!;
  // Beyond the clock's tick a look is remembered.
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.equal(store.path(name), path);
  chmodSync(path, 0o600);
  writeFileSync(path, 'unruly');
  assert.equal(store.path(name), undefined);
  assert.equal(store.has(name), false);
});

test('a file with another name is copied in: through that name it could still be changed', () => {
  const store = new LocalStore(join(root, 'linked'));
  const temporary = store.temporary();
  const other = join(root, 'other-name');
  writeFileSync(temporary, 'before');
  linkSync(temporary, other);
  const name = store.putFile(temporary);
  chmodSync(other, 0o600);
  writeFileSync(other, 'after!');
  assert.equal(store.get(name)?.toString(), 'before');
});
