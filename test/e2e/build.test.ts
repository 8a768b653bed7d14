import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig, toolLines } from './rig.ts';

const rig = new Rig();
after(() => rig.close());

describe('hello-make', () => {
  let plain: Map<string, string>;
  before(() => {
    rig.fresh('hello-make');
    assert.equal(rig.sh('make -j2').code, 0);
    plain = rig.shot();
  });

  const ways: [string, string, Record<string, string>?][] = [
    ['gg make', 'gg make -j2'],
    ['the default mode', 'gg make -j2', { GG_MODE: 'auto' }],
    ['gg build', 'gg build -- make -j2'],
    ['infer and force apart', 'gg infer -- make -j2 && gg force'],
    [
      'only compilers named',
      'native=$(gg native) && PATH=$native:$PATH make -j2 CC=gg-cc AR=gg-ar && gg finalize',
    ],
    ['without the preload library', 'gg make --preload=0 -j2'],
    ['every call waits', 'gg make -j2', { GG_MODE: 'sync' }],
    ['switched off', 'gg make -j2', { GG_MODE: 'off' }],
    ['in the sandbox', 'gg clean >/dev/null; gg make --sandbox=namespace -j2'],
  ];
  for (const [name, command, env] of ways) {
    const namespaces = spawnSync('unshare', ['-Urm', 'true']).status === 0;
    const skip = name === 'in the sandbox' && !namespaces ? 'no user namespaces on this machine' : false;
    test(`${name}: the tree is the plain one, and make has nothing left to do`, { skip }, () => {
      rig.fresh('hello-make');
      const ran = rig.sh(command, env);
      assert.equal(ran.code, 0, ran.err);
      assert.deepEqual(rig.shot(), plain);
      assert.match(rig.sh('make').out, /Nothing to be done/);
      assert.equal(rig.sh('make -s check').code, 0);
    });
  }

  test('a second build of a clean tree runs no thunk', () => {
    rig.fresh('hello-make');
    rig.sh('gg make -j2');
    rig.fresh('hello-make');
    const counts = rig.counts(rig.sh('gg --json make -j2'));
    assert.equal(counts.ran, 0);
    assert.ok(counts.memoized >= 6, JSON.stringify(counts));
    assert.deepEqual(rig.shot(), plain);
  });

  test('an edit runs only what depends on it; a flag and a shadowing header are noticed', () => {
    rig.fresh('hello-make');
    rig.sh('gg make -j2');
    appendFileSync(join(rig.tree, 'count.c'), 'int unused_one;\n');
    const edited = rig.counts(rig.sh('gg --json make -j2'));
    assert.equal(edited.ran, 4, 'count.o, the archive, two programs');
    rig.sh('make clean');
    const flagged = rig.counts(rig.sh('gg --json make -j2 CFLAGS=-O1'));
    assert.equal(flagged.ran, 7);
    rig.sh(
      "make clean; mkdir inc; sed 's/greet(/greet(/' greet.h > inc/other.h; printf '#include <other.h>\\nint x = X;\\n' > s.c; echo '#define X 1' > inc/other.h; mkdir first",
    );
    const compile = 'gg --json build -- make -s -f - <<< "all: ; gcc -Ifirst -Iinc -c s.c -o s.o"';
    assert.equal(rig.counts(rig.sh(compile)).ran, 1);
    assert.equal(rig.counts(rig.sh(compile)).ran, 0);
    writeFileSync(join(rig.tree, 'first/other.h'), '#define X 2\n');
    assert.equal(rig.counts(rig.sh(compile)).ran, 1);
    const shadowed = readFileSync(join(rig.tree, 's.o'));
    rig.sh('gcc -Ifirst -Iinc -c s.c -o plain.o');
    assert.ok(shadowed.equals(readFileSync(join(rig.tree, 'plain.o'))));
  });

  test('a header that appears between the call and the run does not shadow what the call saw', {
    skip: spawnSync('unshare', ['-Urm', 'true']).status === 0 ? false : 'no user namespaces on this machine',
  }, () => {
    rig.fresh('hello-make');
    rig.sh('mkdir first inc; echo "#define X 1" >inc/o.h; printf "#include <o.h>\\nint x = X;\\n" >s.c');
    rig.sh('gcc -Ifirst -Iinc -c s.c -o plain.o');
    const compile = 'gg infer -- make -s -f - <<< "all: ; gcc -Ifirst -Iinc -c s.c -o s.o"';
    assert.equal(rig.sh(compile).code, 0);
    writeFileSync(join(rig.tree, 'first/o.h'), '#define X 2\n');
    assert.equal(rig.sh('gg force').code, 0);
    const forced = readFileSync(join(rig.tree, 's.o'));
    assert.ok(forced.equals(readFileSync(join(rig.tree, 'plain.o'))));
    rig.sh('gcc -Ifirst -Iinc -c s.c -o plain.o');
    assert.equal(rig.sh(compile.replace('infer', 'build')).code, 0);
    assert.ok(readFileSync(join(rig.tree, 's.o')).equals(readFileSync(join(rig.tree, 'plain.o'))));
  });

  test("a failing compile: gcc's message, make's code, siblings finished under -k, its depfile left as gcc leaves it", () => {
    rig.fresh('hello-make');
    appendFileSync(join(rig.tree, 'greet.c'), 'int broken = ;\n');
    const plainRun = rig.sh('make -k -j1');
    rig.fresh('hello-make');
    appendFileSync(join(rig.tree, 'greet.c'), 'int broken = ;\n');
    const ran = rig.sh('gg make -k -j1');
    assert.equal(ran.code, plainRun.code);
    assert.deepEqual(toolLines(ran.err).sort(), toolLines(plainRun.err).sort());
    assert.ok(existsSync(join(rig.tree, 'count.o')) && existsSync(join(rig.tree, 'hello.o')));
    // gcc leaves the depfile of a unit with errors.
    assert.ok(!existsSync(join(rig.tree, 'greet.o')) && existsSync(join(rig.tree, 'greet.d')));
    writeFileSync(
      join(rig.tree, 'greet.c'),
      readFileSync(join(rig.tree, 'greet.c'), 'utf8').replace('int broken = ;\n', ''),
    );
    const mended = rig.sh('gg --json make -j2');
    assert.equal(mended.code, 0);
    assert.ok(rig.counts(mended).ran <= 1, 'only what was not known yet');
    assert.deepEqual(rig.shot(), plain);
    rig.fresh('hello-make');
    appendFileSync(join(rig.tree, 'greet.c'), 'int broken = ;\n');
    assert.equal(rig.sh('gg make').code, 2);
  });

  test('a warning is printed under its command, and again when the result is memoized', () => {
    for (const how of ['ran', 'memoized']) {
      rig.fresh('hello-make');
      appendFileSync(join(rig.tree, 'count.c'), 'static int never_used(void) { return 1; }\n');
      const ran = rig.sh('gg make');
      assert.match(
        ran.err,
        /^gg: cc .*count\.c\n(?:.*\n)*?count\.c:\d+:\d+: warning: .never_used. defined but not used/m,
        how,
      );
    }
  });

  test('ten builds at once in two projects leave what one leaves', () => {
    rig.fresh('hello-make');
    rig.sh('cp -r . ../two && cp -r . ../two/sub');
    const r = rig.sh('for d in . ../two ../two/sub; do (cd $d && gg make -j2) & done; wait');
    assert.equal(r.code, 0);
    assert.deepEqual(rig.shot(), plain);
    assert.equal(rig.sh('cd ../two && make -s check && cd sub && make -s check').code, 0);
    rmSync(join(rig.home, 'two'), { recursive: true });
  });

  test('kill -9 of the server in the middle: the next command finishes', () => {
    for (let i = 0; i < 3; i++) {
      rig.fresh('hello-make');
      rig.sh(
        `gg clean --force >/dev/null; (sleep 0.${i * 2 + 1}; kill -9 $(pgrep -f "gg-server.*$XDG_RUNTIME_DIR")) & gg make -j2; wait; gg force; gg make -j2; gg force`,
      );
      assert.deepEqual(rig.shot(), plain, `round ${i}`);
    }
  });

  test('mtimes of placeholders stay to the nanosecond', () => {
    rig.fresh('hello-make');
    rig.sh('gg infer -- make -j2');
    const stat = (f: string) => statSync(join(rig.tree, f), { bigint: true }).mtimeNs;
    const files = ['hello.o', 'libgreet.a', 'hello'];
    const earlier = files.map(stat);
    assert.ok(statSync(join(rig.tree, 'hello')).size < 1000, 'still a placeholder');
    rig.sh('gg force');
    assert.deepEqual(files.map(stat), earlier);
  });

  test('compiles that run are compared with their scans', () => {
    rig.fresh('hello-make');
    rig.sh('gg stop; gg make -j2 CFLAGS="-O3 -DNEW"');
    const { selfCheck } = JSON.parse(rig.sh('gg status --json').out);
    assert.deepEqual([selfCheck.checked, selfCheck.reports], [4, []]);
  });

  test('explain, describe, status and hash say what is there', () => {
    rig.fresh('hello-make');
    rig.sh('gg infer -- make -j2');
    assert.match(rig.sh('gg status').out, /placeholders: 7 here/);
    assert.match(rig.sh('gg describe hello.o').out, /^input {5}V[0-9a-f]{64}-\d+ hello\.c$/m);
    assert.match(rig.sh('gg explain hello.o').out, /is a placeholder for T/);
    rig.sh('gg force hello');
    assert.match(rig.sh('gg explain hello').out, /is a real file/);
    assert.match(rig.sh('gg hash hello.c').out, /^V[0-9a-f]{64}-\d+ {2}hello\.c$/m);
    assert.doesNotMatch(rig.sh('gg status').out, /tree\/hello$/m);
    rig.sh('gg force');
    // A tool as the command itself, answered at once: what is asked twice is made once.
    const once = rig.sh('gg --json build -- gcc -O3 -c hello.c -o once.o');
    const twice = rig.sh('gg --json build -- gcc -O3 -c hello.c -o once.o && gg explain once.o');
    assert.deepEqual([rig.counts(once).ran, rig.counts(twice).memoized], [1, 1]);
    assert.match(twice.out, /forced: the tool ran/);
    for (const [args, code] of [
      ['forse', 64],
      ['build', 64],
      ['build -- no-such-command', 127],
      ['make --sandbox=x', 78],
      ['describe nothing', 64],
    ] as const) {
      const r = rig.sh(`gg ${args}`);
      assert.equal(r.code, code, args);
      assert.match(r.err, /^gg: .+\ngg: {3}.+\n$/, args);
    }
  });
});

describe('hello-cmake: a generated header, an object library, a shared and a static library', () => {
  for (const [generator, tool] of [
    ['Ninja', 'ninja'],
    ['Unix Makefiles', 'make'],
  ] as const) {
    const found =
      spawnSync('cmake', ['--version']).status === 0 && spawnSync(tool, ['--version']).status === 0;
    test(`${generator}: configured and built inside`, { skip: found ? false : `no cmake or ${tool}` }, () => {
      const command = `cmake -B b -G '${generator}' >/dev/null && ${tool} -C b`;
      rig.fresh('hello-cmake');
      assert.equal(rig.sh(command).code, 0);
      const plain = rig.shot();
      rig.fresh('hello-cmake');
      const ran = rig.sh(`gg build -- sh -c "${command}"`);
      assert.equal(ran.code, 0, ran.err);
      // CMake's own logs and orders differ from run to run; what was built does not.
      const built = (shot: Map<string, string>) =>
        [...shot].filter(
          ([p]) =>
            /\.(?:o|a|so[.\d]*|h|txt|d)$|\/(?:app|gen)$/.test(p) &&
            !/CMakeFiles\/(?:\d|TargetDirectories|CMakeDirectory)|CMakeCache|CMakeLists|Progress/.test(p),
        );
      assert.ok(built(plain).length >= 12, String(built(plain).length));
      assert.deepEqual(built(rig.shot()), built(plain));
      assert.match(
        rig.sh(`${tool} -C b`).out,
        tool === 'ninja' ? /\[1\/1\] cd .* > out\.txt/ : /Built target app/,
      );
    });
  }
});
