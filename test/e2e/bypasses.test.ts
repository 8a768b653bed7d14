// Each bypass reason of the README is reached by a real command line below make, counted under its name, and leaves what the
// real tool leaves.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Rig, root } from './rig.ts';

const seed = join(root, 'test', 'cases', 'seed');

/** Makes a compiler of one's own. */
const script = (text: string): string =>
  `mkdir b; printf '%s\\n' '#!/bin/sh' '${text}' > b/gcc; chmod +x b/gcc;`;

/** Recipes in a copy of test/cases/seed, and options of ours. */
const REACHED: readonly (readonly [reason: string, recipe: string, options?: string])[] = [
  ['asks-version', 'gcc --version'],
  ['reads-stdin', 'gcc -x c -c - -o x.o < add.c'],
  ['probe', 'cp add.c conftest.c; gcc -c conftest.c'],
  ['writes-stdout', 'gcc -E add.c'],
  ['writes-special-file', 'mkfifo f; cat f & gcc -S add.c -o f; wait'],
  ['unknown-flag', 'ld --frobnicate add.o'],
  ['too-hard-flag', 'gcc -fplugin=none -c add.c'],
  ['too-hard-environment', 'GCC_COMPARE_DEBUG=-g gcc -c add.c'],
  [
    'too-hard-environment',
    'gcc -shared -fPIC add.c -o l.so; LD_PRELOAD="$LD_PRELOAD $PWD/l.so" gcc -c add.c',
  ],
  ['no-input', 'gcc -c'],
  ['missing-input', 'gcc -c nothing.c'],
  ['unreadable-input', 'gcc -c add.c -o x.o; nm x.o; chmod 0 x.o; gcc main.c x.o -o p'],
  ['unwritable-output', 'gcc -c add.c -o nowhere/x.o'],
  ['bad-response-file', 'gcc -c add.c -o x.o; echo x.o > o.rsp; ar rc l.a @o.rsp'],
  ['unknown-language', 'gcc -x ada -c add.c'],
  ['scan-incomplete', 'gcc -DLATER -include nothing.h -c add.c'],
  ['library-not-found', 'gcc add.c main.c -lnothing -o p'],
  ['odd-linker-script', "echo 'STARTUP(x.o)' > libodd.so; gcc add.c main.c -L. -lodd -o p"],
  ['odd-archive', 'gcc -c add.c -o x.o; cp x.o y.o; ar rc l.a x.o; ar rb x.o l.a y.o'],
  ['thin-archive', 'gcc -c add.c -o x.o; ar rcT l.a x.o'],
  ['side-files', 'gcc -fstack-usage -c add.c -o x.o'],
  ['output-names-itself', 'gcc -c add.c -o x.o; gcc -shared x.o -Wl,-Map,x.map -o l.so'],
  ['output-is-input', 'cp add.c x.c; gcc -E x.c -o x.c'],
  ['reader', 'gcc -c add.c -o x.o; nm x.o'],
  ['inside-driver', 'COLLECT_GCC=gcc ld -v', '--preload=0'],
  ['not-utf8', "printf 'int x;' > \"$(printf '\\351.c')\"; gcc -c \"$(printf '\\351.c')\" -o x.o"],
  ['unusual-process', 'gcc -c add.c -o x.o >&-'],
  ['unusual-process', 'ulimit -s 512; gcc -c add.c -o x.o'],
  [
    'toolchain-query-failed',
    'gcc -c add.c -o x.o; mkdir b; cp /usr/bin/ar b; chmod 111 b/ar; PATH=$PWD/b:$PATH ar rcD l.a x.o',
  ],
  ['unknown-tool', `${script('exit 0')} PATH=$PWD/b:$PATH gcc -c add.c`],
];

/** compiler-cache: test/e2e/make.test.ts; unreachable-program: test/e2e/barrier.test.ts. internal-error is a bug of ours, and no command line is known to reach it. */
const ELSEWHERE = ['compiler-cache', 'internal-error', 'unreachable-program'];

const rig = new Rig({ unprivileged: true });
after(() => rig.close());

function bypasses(): Record<string, number> {
  const sessions = (
    JSON.parse(rig.sh('gg status --json').out) as { sessions: { bypasses: Record<string, number> }[] }
  ).sessions;
  return sessions.at(-1)?.bypasses ?? {};
}

for (const [reason, recipe, options = ''] of REACHED)
  test(reason, () => {
    rig.fresh(seed);
    writeFileSync(join(rig.tree, 'M'), `SHELL = /bin/bash\nall: ; -${recipe.replaceAll('$', '$$$$')}\n`);
    const plain = rig.sh('make -s -f M');
    const shot = rig.shot();
    rig.fresh(seed);
    writeFileSync(join(rig.tree, 'M'), `SHELL = /bin/bash\nall: ; -${recipe.replaceAll('$', '$$$$')}\n`);
    const ran = rig.sh(`gg ${options} build -- make -s -f M`);
    assert.deepEqual([ran.code, ran.out], [plain.code, plain.out], ran.err);
    assert.deepEqual(rig.shot(), shot);
    assert.ok((bypasses()[reason] ?? 0) > 0, `${JSON.stringify(bypasses())}\n${ran.err}`);
  });

test('every reason of the README is reached', () => {
  const source = /export type BypassReason =([^;]*);/.exec(
    readFileSync(join(root, 'src/models/model.ts'), 'utf8'),
  )![1]!;
  const reasons = [...source.matchAll(/'([a-z0-9-]+)'/g)].map((m) => m[1]!).sort();
  assert.deepEqual([...new Set(REACHED.map(([r]) => r)), ...ELSEWHERE].sort(), reasons);
});

test('a target that a depfile is to name is not forced for it', () => {
  rig.fresh(seed);
  writeFileSync(
    join(rig.tree, 'target.mk'),
    'all:\n\tgcc -c add.c -o x.o\n\tgcc -MM -MT x.o -o x.d add.c\n\tgcc -MM -MQ x.o add.c > y.d\n',
  );
  const { code, err } = rig.sh('gg make --json -f target.mk');
  assert.equal(code, 0, err);
  assert.doesNotMatch(err, /"type":"midway"/);
  const rules = rig.sh('gcc -MM -MT x.o add.c').out;
  assert.equal(rig.sh('cat x.d y.d').out, rules + rules);
});
