// Another C library: a preload library that this machine's programs cannot load is left out, and one for musl works in musl's programs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Rig, root, toolLines } from './rig.ts';

const READER =
  '#include <stdio.h>\n#include <sys/stat.h>\nint main(int n, char **a) { struct stat st; unsigned long h = 5381; int c; FILE *f = fopen(a[1], "rb"); if (n < 2 || !f || stat(a[1], &st)) return 1; while ((c = getc(f)) != EOF) h = h * 33 + c; printf("%lu %ld\\n", h, (long)st.st_size); return 0; }\n';
const skip = spawnSync('musl-gcc', ['--version']).status === 0 ? false : 'no musl-gcc';

describe('musl', { skip }, () => {
  const rig = new Rig();
  after(() => rig.close());

  test('GG_HOST_CC=musl-gcc where programs have another C library: shims alone, artifacts as plain', () => {
    const env = { GG_HOST_CC: 'musl-gcc', GG_MODE: 'defer' };
    rig.fresh('hello-make');
    rig.sh('make clean');
    const plain = rig.sh('make -s && cksum *.o');
    const tree = rig.shot();
    rig.fresh('hello-make');
    rig.sh('make clean');
    const wrapped = rig.sh('gg --json make -s && cksum *.o', env);
    assert.equal(wrapped.code, 0, wrapped.err);
    assert.equal(wrapped.out, plain.out);
    assert.deepEqual(toolLines(wrapped.err.replaceAll(/^\{.*\n/gm, '')), toolLines(plain.err));
    assert.deepEqual(rig.shot(), tree);
    const { added, ran } = rig.counts(wrapped);
    assert.equal(added, 0, 'nothing is deferred without a preload library');
    assert.ok(ran > 0, 'the shims catch the calls');
    assert.match(rig.sh('gg doctor', env).out, /no preload library/);
    const [native] = readdirSync(join(rig.home, 'state/native')).filter((name) =>
      /^[0-9a-f]{16}$/.test(name),
    );
    assert.ok(!readdirSync(join(rig.home, 'state/native', native!)).includes('gg-interpose.so'));
    rig.sh('gg stop');
  });

  test("the library for musl makes a placeholder real in musl's programs", () => {
    rig.fresh('hello-make');
    writeFileSync(join(rig.tree, 'reader.c'), READER);
    writeFileSync(join(rig.tree, 'once.c'), 'int once(int x) { return x * 3; }\n');
    writeFileSync(join(rig.tree, 'M'), 'once.o: once.c\n\tgcc -O1 -c once.c -o once.o\n');
    const built = rig.sh(
      `musl-gcc -O1 reader.c -o reader && musl-gcc -std=gnu11 -O2 -shared -fPIC -o mine.so ${root}/wrappers/interpose.c && make -s -f M && ./reader once.o`,
    );
    assert.equal(built.code, 0, built.err);
    rig.sh('rm once.o');
    rig.sh('gg infer -- make -s -f M', { GG_MODE: 'defer' });
    const socket = rig.sh("gg infer -- sh -c 'echo $GG_SOCKET'").out.trim();
    assert.match(readFileSync(join(rig.tree, 'once.o'), 'latin1'), /gg-placeholder/);
    const env = { GG_SESSION: 'none', GG_SHIM_DIR: '/nowhere', GG_SOCKET: socket };
    const read = rig.sh('LD_PRELOAD=./mine.so ./reader once.o', env);
    assert.deepEqual(read, { code: 0, out: built.out, err: '' });
  });
});
