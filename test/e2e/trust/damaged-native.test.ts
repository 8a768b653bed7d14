// Native programs that a full disk or a power cut left damaged are made anew.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Rig } from '../rig.ts';

const rig = new Rig();
after(() => rig.close());

test('each of them, cut or gone', () => {
  rig.fresh('hello-make');
  assert.equal(rig.sh('make').code, 0);
  const plain = rig.shot();
  for (const [name, damage] of [
    ['gg-shim', (path: string) => truncateSync(path, 100)],
    ['gg-spawner', (path: string) => rmSync(path)],
    ['gg-interpose.so', (path: string) => truncateSync(path, 0)],
    ['server', (path: string) => rmSync(path)],
  ] as const) {
    rig.fresh('hello-make');
    const native = rig.sh('gg native; gg stop >/dev/null').out.trim();
    rig.sh(`chmod -R u+w ${native}`);
    damage(join(native, name));
    const ran = rig.sh('gg make');
    assert.equal(ran.code, 0, `${name}: ${ran.err}`);
    assert.deepEqual(rig.shot(), plain, name);
    assert.ok(readFileSync(join(native, name)).length > 0, name);
  }
});
