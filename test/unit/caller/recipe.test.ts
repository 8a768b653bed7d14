import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRedirected, looksAtStatus } from '../../../src/caller/recipe.ts';

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
  [false, '$CC -c a.c'],
  [false, 'exec "$0" "$@"'],
  [false, 'echo gcc -c a.c; gcc -c a.c'],
  [false, ': && gcc a.o -o a && :'],
  [false, ': && rm -f l.a && /usr/bin/gcc -c b.c && /usr/bin/gcc-ar qc l.a b.o && ranlib l.a && :'],
  [false, 'gcc -c d/a.c && ar rc l.a a.o'],
  [false, 'gcc a.o -o d/p && cd d && strip p && chmod 755 p'],
  [false, 'gcc a.o -op && strip p'],
  [false, 'gcc a.o -o p || { rm -f p; exit 1; }'],
  [true, 'gcc -c a.c && gcc -c b.c'],
  [true, 'gcc -c a.c && gcc -S a.c'],
  [true, 'gcc -c a.c -o x.o && gcc -c b.c -o x.o'],
  [true, 'gcc -c a.c && gcc --version'],
  [true, 'gcc -c a.c && rm a.c'],
  [true, 'gcc -c a.c && chmod 600 a.c'],
  [true, 'gcc -c a.c && mkdir d'],
  [true, 'gcc -c a.c && echo yes'],
  [true, 'gcc -c a.c || { echo no; exit 1; }'],
  [false, 'if gcc -c a.c; then mv -f a.Tpo a.Po; else rm -f a.Tpo; exit 1; fi'],
  [false, 'gcc -c a.c || exit 1'],
  [false, 'gcc -c a.c || { rm -f a.o; exit 1; }'],
  [false, 'for f in a b; do $CC -c $f.c || exit $?; done'],
  [false, 'if test -f a.o; then :; else gcc -c a.c; fi'],
  [false, 'case $x in a|b) gcc -c a.c ;; *) echo no ;; esac'],
  [false, '(cd d && gcc -c a.c)'],
  [false, 'LC_ALL=C nice -n 5 gcc -c a.c'],
  [false, "sh -c 'gcc -c a.c'"],
  [false, 'set -e; for f in a b; do gcc -c $f.c; done'],
  [false, 'gcc -c probe.c -o a.tmp && mv a.tmp a.o'],
  [true, './build.sh; echo $?'],
  [true, './build.sh gcc'],
  [true, 'if $CC -c a.c; then echo yes; fi'],
  [true, '$CC -c a.c && touch stamp'],
  [true, 'gcc -c a.c && touch stamp'],
  [true, 'gcc -c a.c && echo yes > have'],
  [true, 'gcc -c probe.c && cp good.h config.h'],
  [true, 'gcc -c a.c || exit 0'],
  [true, '(gcc -c a.c || exit 1) || true'],
  [true, '(set -e; gcc -c a.c; fixdep a.d) || true'],
  [true, '{ gcc -c a.c || exit 1; } | cat'],
  [true, 'if test -f a && gcc -c a.c; then echo yes; fi'],
  [true, 'while true; gcc -c a.c; do :; done'],
  [true, 'set -e; gcc -c a.c && mv a.o b.o; echo $?'],
  [true, 'cat > a.c <<X\ngcc\nX\ngcc -c a.c'],
  [true, 'f() { gcc -c a.c; }; f'],
  [true, 'gcc -c "a.c'],
  [true, "eval 'gcc -c a.c'; echo $?"],
  [true, 'case $(gcc -c a.c) in 0) echo yes ;; esac'],
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
    assert.equal(looksAtStatus(script, flags, ['gcc']), looks);
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
