import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DigestCache } from '../../../../src/store/local/digest-cache.ts';
import { hashFile, LARGE_BYTES_MIN, LocalStore } from '../../../../src/store/local/local.ts';

const home = mkdtempSync(join(tmpdir(), 'gg-digest-'));
after(() => rmSync(home, { recursive: true, force: true }));

function large(name: string, fill: string): string {
  const path = join(home, name);
  writeFileSync(path, Buffer.alloc(4 * LARGE_BYTES_MIN, fill));
  utimesSync(path, 1, 1);
  return path;
}

test('a large file: the same name, and turns for others between', async () => {
  const path = large('a', 'x');
  const digests = new DigestCache();
  let turns = 0;
  const count = (): void => {
    turns++;
    timer = setImmediate(count);
  };
  let timer = setImmediate(count);
  const names = await Promise.all([digests.digestSoon(path), digests.digestSoon(path)]);
  clearImmediate(timer);
  assert.deepEqual(names, [hashFile(path), hashFile(path)]);
  assert.ok(turns >= 4, String(turns));
  assert.equal(digests.digest(path), names[0]);
});

test('a large file that changes while it is hashed has the name of what it is then', async () => {
  const path = large('b', 'x');
  const digests = new DigestCache();
  const hashing = digests.digestSoon(path);
  writeFileSync(path, Buffer.alloc(4 * LARGE_BYTES_MIN, 'y'));
  assert.equal(await hashing, hashFile(path));
  assert.equal(await digests.digestSoon(path), hashFile(path));
});

test('a large file that goes away, a directory, nothing', async () => {
  const path = large('c', 'x');
  const digests = new DigestCache();
  const hashing = digests.digestSoon(path);
  rmSync(path);
  assert.equal(await hashing, undefined);
  assert.equal(await digests.digestSoon(home), undefined);
  assert.equal(await digests.digestSoon(join(home, 'nothing')), undefined);
});

test('a large copy: under its name, or not at all', async () => {
  const path = large('d', 'x');
  const store = new LocalStore(join(home, 'store'));
  const name = hashFile(path);
  assert.equal(await store.putCopySoon(path, name), true);
  assert.equal(store.get(name)?.length, 4 * LARGE_BYTES_MIN);
  truncateSync(path, LARGE_BYTES_MIN);
  assert.equal(await store.putCopySoon(path, name), true, 'it is there');
  const other = large('e', 'y');
  const otherName = hashFile(other);
  writeFileSync(other, Buffer.alloc(4 * LARGE_BYTES_MIN, 'z'));
  assert.equal(await store.putCopySoon(other, otherName), false);
  assert.equal(store.has(otherName), false);
});
