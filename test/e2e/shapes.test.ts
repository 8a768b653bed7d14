// Builds of unusual shape, plain beside wrapped at one path.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());

/** Builds a tree plainly and wrapped; both are given by `prepare`, which fills rig.tree. */
function same(prepare: () => void, command: string, wrapped: string): Map<string, string> {
  prepare();
  const own = rig.sh(command);
  assert.equal(own.code, 0, own.err);
  const plain = rig.shot();
  const quiet = rig.sh('make -n').out;
  prepare();
  const ran = rig.sh(wrapped);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(rig.shot(), plain);
  assert.equal(rig.sh('make -n').out, quiet);
  return plain;
}

test('a kernel-like build: thin archives, nm and objcopy midway, a host program, two links', () => {
  const plain = same(() => rig.fresh('kbuild-like'), 'make -j2', 'gg make -j2');
  assert.ok(plain.has('image.bin') && plain.has('symbols.txt') && plain.has('core/.main.o.cmd'));
  assert.match(rig.sh('./image').out, /^1246 1$/m);
  rig.sh('gg make clean');
  rig.fresh('kbuild-like');
  assert.equal(rig.sh('gg make -j2 && gg make -j2 clean').code, 0);
  const left = [...rig.shot().keys()].filter(
    (path) => !/^(?:Makefile|core|drivers|include|lib|scripts)\b/.test(path),
  );
  assert.deepEqual(left, []);
});

test('a generator of two objects makes a header that another directory includes', () => {
  const prepare = (): void => {
    rig.fresh('hello-make');
    for (const directory of ['gen', 'use']) mkdirSync(join(rig.tree, directory));
    const put = (path: string, text: string): void => writeFileSync(join(rig.tree, path), text);
    put(
      'gen/main.c',
      '#include <stdio.h>\nint value(void);\nint main(void) { printf("#define V %d\\n", value()); return 0; }\n',
    );
    put('gen/value.c', 'int value(void) { return 7; }\n');
    put('use/a.c', '#include "made.h"\nint a(void) { return V; }\n');
    put('use/main.c', '#include "made.h"\nint a(void);\nint main(void) { return a() - V; }\n');
    put(
      'Makefile',
      [
        'CFLAGS = -g -MMD -Iout',
        'all: use/prog',
        'gen/gen: gen/main.o gen/value.o',
        '\t$(CC) -o $@ $^',
        'out:',
        '\tmkdir out',
        'out/made.h: gen/gen | out',
        '\t./gen/gen > $@',
        'use/a.o use/main.o: out/made.h',
        'use/prog: use/a.o use/main.o',
        '\t$(CC) -o $@ $^ && ./use/prog',
        'clean: ; rm -rf out */*.o */*.d use/prog gen/gen',
        '-include use/a.d use/main.d',
        '',
      ].join('\n'),
    );
  };
  for (const wrapped of ['gg make -j2', 'gg make --preload=0 -j2']) same(prepare, 'make -j2', wrapped);
});

test('one huge source, as an amalgamation is', () => {
  const lines = Array.from(
    { length: 20_000 },
    (_, i) => `static int f${i}(int x) { return x * ${i} + (x > 2 ? f${Math.max(0, i - 1)}(x - 1) : 0); }`,
  );
  lines[0] = 'static int f0(int x) { return x; }';
  const prepare = (): void => {
    rig.fresh('hello-make');
    writeFileSync(join(rig.tree, 'huge.c'), `${lines.join('\n')}\nint top(int x) { return f19999(x); }\n`);
    writeFileSync(join(rig.tree, 'Makefile'), 'huge.o: huge.c\n\t$(CC) -g -MD -c -o $@ $<\n');
  };
  same(prepare, 'make', 'gg make');
});
