import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRedirected, looksAtStatus } from '../../../src/session/recipe.ts';

const RECIPES: readonly (readonly [looks: boolean, script: string, flags?: string])[] = [
  [false, 'gcc -c a.c -o a.o'],
  [false, 'cd sub && gcc -c a.c -o a.o && mv a.o b.o'],
  [false, 'echo CC a.o; gcc -c a.c -o a.o'],
  [
    false,
    "base=`echo a.o | sed 's|[^/]*$|d/&|;s|\\.o$||'`; gcc -MF $base.Tpo -c a.c && mv $base.Tpo $base.Po",
  ],
  [false, 'test -d d || mkdir d; gcc -c a.c'],
  [false, 'test -f a.o || gcc -c a.c'],
  [false, 'set -e; gcc -c a.c; fixdep a.d'],
  [false, 'gcc -c a.c; fixdep a.d', 'ec'],
  [false, 'gcc -c "a;b||c.c"'],
  [false, 'gcc -c a.c # or || true; not'],
  [false, './build.sh; echo $?'],
  [true, 'gcc -c a.c || echo no'],
  [true, 'if gcc -c a.c; then echo yes; fi'],
  [true, 'gcc -c a.c; echo $?'],
  [true, 'gcc -c a.c && echo yes || echo no'],
  [true, '! gcc -c a.c'],
  [true, 'for f in a b; do gcc -c $f.c; done'],
  [true, 'gcc -c a.c 2>&1 | tee log'],
  [true, 'set -e; gcc -c a.c | cat'],
  [true, 'gcc -c a.c\necho'],
  [true, 'gcc -c a.c & wait'],
  [true, 'x=$(gcc -c a.c); echo $x'],
];
for (const [looks, script, flags = 'c'] of RECIPES) {
  test(`${script}: ${looks ? 'is a question' : 'can wait'}`, () => {
    assert.equal(looksAtStatus(script, flags, 'gcc'), looks);
  });
}

test('a descriptor is redirected when it differs from one on the way up', () => {
  assert.equal(isRedirected(['/log', '/log', '/log'], 'make'), false);
  assert.equal(isRedirected(['/dev/null', '/log', '/log'], 'make'), true);
  assert.equal(isRedirected(['/mine', '/dev/pts/1'], 'make'), true);
  assert.equal(isRedirected(['/tmp/Gmab12XY (deleted)', '/tmp/Gmab12XY (deleted)', '/log'], 'make'), false);
  assert.equal(isRedirected(['pipe:[1]', 'pipe:[1]', '/log'], 'ninja'), false);
  assert.equal(isRedirected(['pipe:[2]', 'pipe:[1]', '/log'], 'ninja'), true);
  assert.equal(isRedirected(['/dev/null', '/log'], 'ninja'), true);
  assert.equal(isRedirected([undefined, '/log'], 'make'), false);
});
