// A stored result goes bad while the server lives: what is put into the tree is what its name says, made anew.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Rig } from '../rig.ts';

const rig = new Rig();
after(() => rig.close());

/** Another bit in its middle; size and mode as before. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  chmodSync(path, 0o644);
  writeFileSync(path, bytes);
  chmodSync(path, 0o444);
}

test('one bad bit in the store is a miss, for a library, a program and an object', () => {
  rig.fresh('hello-make');
  assert.equal(rig.sh('make -s').code, 0);
  const plain = rig.shot();
  rig.sh('make -s clean');
  for (const round of ['first', 'memoized']) assert.equal(rig.sh('gg make && make -s clean').code, 0, round);
  const files = [/\.o$/, /\.a$/, /^[a-z-]+$/].map(
    (kind) => [...plain].find(([path, what]) => kind.test(path) && /^\d+ /.test(what))?.[0],
  );
  for (const file of files) {
    assert.ok(file !== undefined, 'hello-make has a file of each kind');
    const [, hash = ''] = plain.get(file)!.split(' ');
    const found = rig.sh(`ls ${rig.env['GG_DIR']}/cas/${hash[0]}`).out.split('\n');
    const name = found.find((entry) => entry.startsWith(`V${hash}`));
    assert.ok(name !== undefined, `the bytes of ${file} are stored`);
    flip(join(rig.env['GG_DIR']!, 'cas', hash[0]!, name));
    const ran = rig.sh('gg make');
    assert.equal(ran.code, 0, `${file}: ${ran.err}`);
    assert.deepEqual(rig.shot(), plain, file);
    rig.sh('make -s clean');
  }
});
