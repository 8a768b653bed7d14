// The interposer in unusual processes: a C program (interpose/probe.c) looks at itself under it, with a real server and real
// placeholders, and what it prints is compared with a run without.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ran, Rig, root } from './rig.ts';

const OBJECTS = 16;
const source = (name: string): string => join(root, 'test', 'e2e', 'interpose', name);

const rig = new Rig();
const objects = Array.from({ length: OBJECTS }, (_, i) => `o${i}.o`);
const preload = (): string => {
  const native = join(rig.env['GG_DIR']!, 'native');
  const current = readFileSync(join(native, 'current'), 'utf8').trim();
  return join(current, 'gg-interpose.so');
};

/** Sources anew each time, so that no thunk is in the memo. */
let generation = 0;

/** Lays the tree out and leaves OBJECTS placeholders in it. */
function infer(): void {
  generation++;
  for (const [i, name] of objects.entries()) {
    rmSync(join(rig.tree, name), { force: true });
    writeFileSync(
      join(rig.tree, name.replace('.o', '.c')),
      `int f${i}_${generation}(int x) { return x + ${i} + ${generation}; }\n`,
    );
  }
  const ran = rig.sh('gg infer -- make');
  assert.equal(ran.code, 0, ran.err);
  for (const name of objects)
    assert.match(readFileSync(join(rig.tree, name), 'latin1'), /gg-placeholder/, `${name} was deferred`);
}

const isPlaceholder = (name: string): boolean =>
  readFileSync(join(rig.tree, name), 'latin1').includes('gg-placeholder');

/** Runs a command in a session that forces only what is opened. */
const wrapped = (command: string, env: Record<string, string> = {}): Ran =>
  rig.sh(`gg infer -- ${command}`, env);

function quietly(ran: Ran, code = 0): void {
  assert.deepEqual({ code: ran.code, out: ran.out, err: ran.err }, { code, out: '', err: '' });
}

before(() => {
  mkdirSync(rig.tree, { recursive: true });
  writeFileSync(join(rig.tree, 'Makefile'), `all: ${objects.join(' ')}\n%.o: %.c ; @gcc -c $< -o $@\n`);
  const built = rig.sh(`gcc -O1 -o probe ${source('probe.c')} -ldl -lpthread`);
  assert.equal(built.code, 0, built.err);
});
after(() => rig.close());

describe('the interposer, in a process that', () => {
  test('calls everything it wraps: results and errno are those without it', () => {
    const plain = rig.sh('./probe every-call /etc/hostname');
    const under = wrapped('./probe every-call /etc/hostname');
    assert.ok(plain.out.split('\n').length > 60);
    assert.deepEqual(under, plain);
  });

  test('is asked without any placeholder for 1,000 opens: no descriptor stays', () => {
    quietly(wrapped('./probe leak /etc/passwd', { GG_TEST: '1' }));
  });

  for (const [what, mode, files] of [
    ['opens 16 placeholders 1,000 times: no descriptor stays', 'leak', objects.join(' ')],
    ['opens the same 16 placeholders and plain files in 16 threads', 'threads', objects.join(' ')],
    ['changes its environment in one thread while others open', 'setenv', objects.join(' ')],
    ['forks in one thread while others open', 'fork', objects.join(' ')],
    ['opens and starts programs in a thread with a small stack', 'little-stack', 'o0.o'],
    ['opens in a signal handler, and is interrupted all the time', 'signals', objects.join(' ')],
    ['opens in a signal handler with an 8 KB stack', 'signals-own-stack', objects.join(' ')],
    ['has no descriptor left but one', 'few-descriptors', 'o1.o'],
    ['has closed all descriptors above 2', 'closed-descriptors', 'o2.o'],
  ] as const) {
    test(what, () => {
      infer();
      quietly(wrapped(`./probe ${mode} ${files}`));
      for (const name of files.split(' ')) assert.ok(!isPlaceholder(name), `${name} was forced`);
    });
  }

  for (const way of ['vfork', 'spawn']) {
    test(`starts a tool by its full name (${way}): the shim is called, by that name`, () => {
      infer();
      const ran = wrapped(`./probe ${way} /usr/bin/nm o0.o`);
      assert.equal(ran.code, 0, ran.err);
      assert.match(ran.out, new RegExp(`f0_${generation}`));
      assert.equal(ran.err, '');
    });
  }

  test('opens what fails to compile: it is gone, not a placeholder', () => {
    infer();
    writeFileSync(join(rig.tree, 'o0.c'), 'int f( {\n');
    rmSync(join(rig.tree, 'o0.o'));
    rig.sh('gg infer -- make');
    assert.ok(isPlaceholder('o0.o'));
    const ran = wrapped('./probe fails o0.o');
    assert.equal(ran.out, 'open: fails, ENOENT\nfopen: fails, ENOENT\nstat: -1\n');
  });

  test('opens a placeholder when the server was killed: another is started', () => {
    infer();
    const before = rig.sh('gg status --json').out;
    const { pid } = JSON.parse(before) as { pid: number };
    const ran = wrapped(`sh -c 'kill -9 ${pid}; cat o5.o > copy.o'`);
    assert.deepEqual({ code: ran.code, out: ran.out }, { code: 0, out: '' }, ran.err);
    assert.ok(!isPlaceholder('copy.o'));
    assert.notEqual(JSON.parse(rig.sh('gg status --json').out).pid, pid);
  });

  test('opens a placeholder of an unknown thunk: an error, not its bytes', () => {
    infer();
    const bytes = readFileSync(join(rig.tree, 'o3.o'), 'latin1');
    const at = bytes.indexOf('gg-placeholder 1 ') + 'gg-placeholder 1 '.length + 8;
    const other = bytes[at] === 'a' ? 'b' : 'a';
    const changed = bytes.slice(0, at) + other + bytes.slice(at + 1);
    writeFileSync(join(rig.tree, 'strange.o'), changed, 'latin1');
    const ran = wrapped('./probe fails strange.o');
    assert.match(ran.out, /^open: fails, EIO\nfopen: fails, EIO\n/);
    rmSync(join(rig.tree, 'strange.o'));
  });

  test('opens a file that only looks like a placeholder: its own bytes', () => {
    writeFileSync(join(rig.tree, 'alike'), `/* gg-placeholder 1 is a mark */${' '.repeat(480)}`);
    assert.equal(readFileSync(join(rig.tree, 'alike')).length, 512);
    const ran = wrapped('cat alike');
    assert.equal(ran.out, readFileSync(join(rig.tree, 'alike'), 'latin1'));
    assert.equal(ran.code, 0);
  });

  test('loads a library that loads its neighbour by RUNPATH', () => {
    rig.sh(`mkdir -p lib/deep
      printf 'int seven(void) { return 7; }' | gcc -shared -fPIC -x c - -o lib/deep/libneighbour.so
      printf '#include <dlfcn.h>\\nint load_neighbour(void) { return dlopen("libneighbour.so", RTLD_NOW) ? 0 : 9; }' |
        gcc -shared -fPIC -x c - -Wl,-rpath,'$ORIGIN/deep' -o lib/libloader.so -ldl`);
    quietly(rig.sh('./probe dlopen lib/libloader.so'));
    quietly(wrapped('./probe dlopen lib/libloader.so'));
  });

  test('calls __xstat as programs of glibc before 2.33 do: the real size', () => {
    infer();
    const ran = wrapped('./probe size o4.o');
    assert.equal(ran.err, '');
    assert.ok(!isPlaceholder('o4.o'));
    assert.equal(Number(ran.out), readFileSync(join(rig.tree, 'o4.o')).length);
  });
});

describe('the size of a placeholder', () => {
  const real = (name: string): number => readFileSync(join(rig.tree, name)).length;

  test('node asks for it: the real one', () => {
    infer();
    const ran = wrapped(`${process.execPath} -p "fs.statSync('o6.o').size"`);
    assert.deepEqual({ code: ran.code, err: ran.err }, { code: 0, err: '' });
    assert.ok(!isPlaceholder('o6.o'));
    assert.equal(Number(ran.out), real('o6.o'));
  });

  const noCmake = spawnSync('cmake', ['--version']).status === 0 ? false : 'cmake is not installed';

  test('a script of cmake asks for it: the real one', { skip: noCmake }, () => {
    infer();
    writeFileSync(join(rig.tree, 'size.cmake'), `file(SIZE o6.o size)\nmessage(\${size})\n`);
    const ran = wrapped('cmake -P size.cmake');
    assert.equal(ran.code, 0, ran.err);
    assert.equal(Number(ran.err), real('o6.o'));
    assert.ok(!isPlaceholder('o6.o'));
  });

  test('make and cmake -E cmake_depends ask for its time only: nothing is forced', { skip: noCmake }, () => {
    infer();
    assert.match(wrapped('make').out, /Nothing to be done/);
    wrapped('cmake -E cmake_depends "Unix Makefiles" . . . . nothing');
    for (const name of objects) assert.ok(isPlaceholder(name), name);
  });
});

describe('a search along PATH', () => {
  const told = (path: string, command: string): Ran => wrapped(`env PATH=${path}:$PATH ${command}`);
  const search = './probe search gcc --version';

  before(() => {
    mkdirSync(join(rig.tree, 'own'), { recursive: true });
    for (const place of ['own/gcc', 'gcc'])
      writeFileSync(join(rig.tree, place), `#!/bin/sh\necho ${place}\n`, { mode: 0o755 });
  });
  after(() => rmSync(join(rig.tree, 'gcc')));

  test('finds a program in a directory with a relative or an empty name first', () => {
    assert.equal(told('nothing:own', search).out, 'own/gcc\nown/gcc\n');
    assert.equal(told('', search).out, 'gcc\ngcc\n');
    assert.equal(told('./own', search).out, 'own/gcc\nown/gcc\n');
  });

  test('passes over one that has no such program: the call is ours', () => {
    writeFileSync(join(rig.tree, 'once.c'), 'int once;\n');
    rig.sh('gg force');
    const ran = rig.sh('gg --json build -- env PATH=nothing:$PATH ./probe search gcc -c once.c');
    assert.equal(ran.code, 0, ran.err);
    const { memoized, ran: made } = rig.counts(ran);
    assert.equal(made + memoized, 2);
  });
});

describe('a process the interposer does not reach', () => {
  const own = (): void => {
    infer();
  };

  test('one with GG_PRELOAD=0, one with an empty environment: a barrier stands before it', () => {
    for (const clear of ['GG_PRELOAD=0', '-i']) {
      own();
      quietly(wrapped(`env ${clear} ./probe real o0.o`));
      assert.ok(!isPlaceholder('o0.o'));
    }
  });

  test('a static program', () => {
    own();
    assert.equal(rig.sh(`gcc -static -DSTATIC_PROGRAM -o static ${source('probe.c')} 2>/dev/null`).code, 0);
    quietly(wrapped('./static real o0.o'));
    assert.ok(!isPlaceholder('o0.o'));
  });

  test('a setuid program: not a word', { skip: noSetuid() }, () => {
    const made = rig.sh('cp probe setuid && chown nobody setuid && chmod 4755 setuid && chmod 711 ..');
    assert.equal(made.code, 0, made.err);
    own();
    quietly(wrapped('./setuid real /etc/passwd'));
    assert.ok(!isPlaceholder('o0.o'), 'a barrier: what lies below the build is real');
  });

  test('a program of another class: the preload is taken from its environment, the rest of it stays', (t) => {
    const made = rig.sh(
      `gcc -m32 -static -nostdlib -ffreestanding -fno-pie -no-pie -O1 -o other ${source('other.c')}`,
    );
    if (made.code !== 0 || rig.sh('./other').code !== 0) {
      t.skip(`no 32-bit programs here: ${made.err.split('\n')[0]}`);
      return;
    }
    const seen = wrapped('sh -c "./other; :"', { OTHER: 'x' }).out;
    assert.match(seen, /^OTHER=x$/m);
    assert.doesNotMatch(seen, /^LD_PRELOAD=/m);
    assert.match(wrapped('sh -c "./other; :"').out, /^GG_SESSION=/m);
    // A user's own library is for the program's own class.
    assert.match(
      wrapped('sh -c "./other; :"', { LD_PRELOAD: '/lib/x86_64-linux-gnu/libm.so.6' }).out,
      /^LD_PRELOAD=[^:]*libm.so.6$/m,
    );
    // A toolchain of another class, which the shim starts.
    rig.sh('mkdir -p tools && cp other tools/arm-none-eabi-gcc');
    const tool = wrapped('sh -c "tools/arm-none-eabi-gcc --version; :"', {
      PATH: `${rig.tree}/tools:${rig.env['PATH']}`,
    });
    assert.doesNotMatch(tool.out, /^LD_PRELOAD=/m);
    const called = wrapped('sh -c "arm-none-eabi-gcc --version; :"', {
      PATH: `${rig.tree}/tools:${rig.env['PATH']}`,
    });
    assert.match(called.out, /^OTHER=|^PATH=/m);
    assert.doesNotMatch(called.out, /^LD_PRELOAD=/m);
  });

  test('a 32-bit program with its own loader: not a word on stderr', (t) => {
    const made = rig.sh(`gcc -m32 -o probe32 ${source('probe.c')} -ldl -lpthread`);
    if (made.code !== 0) {
      t.skip('gcc -m32 cannot link here (gcc-multilib is not installed)');
      return;
    }
    quietly(wrapped('./probe32 real /etc/passwd'));
    quietly(wrapped('sh -c "./probe32 real /etc/passwd; exit $?"'));
  });

  test('one below another root', { skip: process.getuid?.() === 0 ? false : 'only root may chroot' }, () => {
    rig.sh(
      'mkdir -p jail/bin && for f in $(ldd /bin/true | grep -o "/[^ ]*"); do mkdir -p jail/$(dirname $f); cp $f jail/$f; done; cp /bin/true jail/bin/',
    );
    quietly(rig.sh('chroot jail /bin/true'));
    quietly(wrapped('chroot jail /bin/true'));
  });

  test('ldd tells the libraries of the program alone, also of a placeholder', () => {
    const plain = rig.sh('ldd ./probe | sed "s/ (0x.*//"').out;
    assert.match(plain, /libc/);
    assert.equal(wrapped('sh -c \'ldd ./probe | sed "s/ (0x.*//"\'').out, plain);
  });
});

describe('the environment of a build', () => {
  test("a user's own preload library works beside ours, before and inside", () => {
    infer();
    rig.sh(
      `printf '#include <stdlib.h>\\n__attribute__((constructor)) static void on(void) { setenv("MINE", "seen", 1); }' | gcc -shared -fPIC -x c - -o mine.so`,
    );
    const mine = join(rig.tree, 'mine.so');
    const before = wrapped(`sh -c 'echo $MINE; exec ./probe real o0.o'`, { LD_PRELOAD: mine });
    assert.deepEqual(before, { code: 0, out: 'seen\n', err: '' });
    const inside = wrapped(
      `sh -c 'LD_PRELOAD=${mine}:$LD_PRELOAD ./probe real o1.o && LD_PRELOAD=${mine} env | grep ^MINE'`,
    );
    assert.deepEqual(inside, { code: 0, out: 'MINE=seen\n', err: '' });
  });

  for (const name of ['with a space', 'with:colon']) {
    test(`a state directory ${name} in its name`, () => {
      const other = { GG_DIR: join(rig.home, `state ${name}`) };
      for (const object of objects) rmSync(join(rig.tree, object), { force: true });
      const ran = rig.sh('gg make o0.o && test "$(wc -c <o0.o)" -gt 1024', other);
      rig.sh('gg stop', other);
      assert.deepEqual({ code: ran.code, out: ran.out, err: ran.err }, { code: 0, out: '', err: '' });
      assert.ok(!isPlaceholder('o0.o'));
    });
  }

  test('a command that is not there: said at once, as a shell would', () => {
    const missing = rig.sh(
      'timeout -s KILL 20 gg make ./no-such-file; timeout -s KILL 20 gg build -- ./no-such-program',
    );
    assert.equal(missing.code, 127);
    assert.match(missing.err, /gg: \.\/no-such-program: command not found/);
    writeFileSync(join(rig.tree, 'not-executable'), '');
    assert.equal(rig.sh('timeout -s KILL 20 gg build -- ./not-executable').code, 126);
  });

  test('no process is started and nothing said for a plain program', () => {
    const ran = wrapped(
      "sh -c 'cat /etc/passwd >/dev/null; ls /proc/self/task | wc -l; cat /proc/$$/task/$$/children'",
    );
    const plain = rig.sh(
      "sh -c 'cat /etc/passwd >/dev/null; ls /proc/self/task | wc -l; cat /proc/$$/task/$$/children'",
    );
    assert.equal(ran.out.trim().split(/\s+/).length, plain.out.trim().split(/\s+/).length);
    assert.equal(ran.err, '');
    assert.ok(existsSync(preload()));
  });
});

function noSetuid(): string | false {
  if (process.getuid?.() !== 0) return 'only root may give a file away';
  const options = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === '/tmp' || (line.split(' ')[1] === '/' && !existsSync('/tmp/.')))
    ?.split(' ')[3];
  return options?.split(',').includes('nosuid') ? 'the temporary directory is mounted nosuid' : false;
}
