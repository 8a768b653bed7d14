import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLAGS, matchFlag } from '../../../../src/models/gcc/flags.ts';

test('the table is sorted by spelling, each spelling once', () => {
  const spellings = FLAGS.map((flag) => flag.spelling);
  assert.deepEqual(spellings, [...new Set(spellings)].sort());
});

test('every row is found by its own spelling', () => {
  for (const flag of FLAGS) {
    const word = flag.style === 'joined' ? `${flag.spelling}value` : flag.spelling;
    const match = matchFlag(word);
    assert.equal(match?.flag.spelling, flag.spelling, word);
    assert.equal(match?.value, flag.style === 'joined' ? 'value' : undefined, word);
  }
});

const MATCHES: readonly (readonly [word: string, spelling: string | undefined, value?: string])[] = [
  ['-DX=1', '-D', 'X=1'],
  ['-D', '-D'],
  ['-I-', '-I-'],
  ['-I-x', '-I', '-x'],
  ['-O2', '-O', '2'],
  ['-Wall', '-W', 'all'],
  ['-Wl,-rpath,/x', '-Wl,', '-rpath,/x'],
  ['-Wp,-MD,f', '-Wp,', '-MD,f'],
  ['-f', '-f'],
  ['-fPIC', '-f', 'PIC'],
  ['-flto=auto', '-flto', '=auto'],
  ['-fno-lto', '-f', 'no-lto'],
  ['-fprofile-use=x', '-fprofile-use', '=x'],
  ['-fprofile-values', '-fprofile-values'],
  ['-fprofile-dir=x', '-fprofile-', 'dir=x'],
  ['-fplugin-arg-x-y', '-fplugin', '-arg-x-y'],
  ['-g', '-g'],
  ['-g0', '-g0'],
  ['-g3', '-g', '3'],
  ['-gsplit-dwarf', '-gsplit-dwarf'],
  ['-march=native', '-march=native'],
  ['-march=nativex', '-m', 'arch=nativex'],
  ['-no-pie', '-no-pie'],
  ['-nostdinc++', '-nostdinc++'],
  ['-oo', '-o', 'o'],
  ['-pthreads', undefined],
  ['-rpath', undefined],
  ['-std=c99', '-std=', 'c99'],
  ['-std', undefined],
  ['-MDx', undefined],
  ['-MFx', '-MF', 'x'],
  ['-xc', '-x', 'c'],
  ['-Z', undefined],
  ['--frobnicate', undefined],
  ['--sysroot=/x', '--sysroot=', '/x'],
  ['--param=a=1', '--param=', 'a=1'],
];

for (const [word, spelling, value] of MATCHES)
  test(`${word} is ${spelling ?? 'unknown'}`, () => {
    const match = matchFlag(word);
    assert.equal(match?.flag.spelling, spelling);
    if (value !== undefined) assert.equal(match?.value, value);
  });
