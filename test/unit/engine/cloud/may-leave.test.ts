import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Thunk } from '../../../../src/ir/thunk.ts';
import { placeOf } from '../../../../src/engine/cloud/may-leave.ts';

const THUNK: Thunk = {
  tool: 'gcc',
  toolchain: '',
  args: ['-c', 'a.c', '-o', { prefix: '', output: 'o' }],
  env: [],
  cwd: '',
  inputs: [],
  absent: [],
  outputs: [{ tag: 'o', path: 'a.o' }],
  salt: [],
};

const ROWS: readonly (readonly [expected: string, more: Partial<Thunk>])[] = [
  ['anywhere', {}],
  ['anywhere', { salt: ['mtime-class:1:a.h'] }],
  ['anywhere', { salt: ['clock-unused'] }],
  ['native-flags', { salt: ['native:-march=znver3'] }],
  ['time', { salt: ['time:1700000000000:00'] }],
  ['unknown-salt', { salt: ['mtime-class:1:a.h', 'moon:full'] }],
  ['output-above', { outputs: [{ tag: 'o', path: '../a.o' }] }],
  ['anywhere', { outputs: [{ tag: 'o', path: 'a..b/..c.o' }] }],
  ['asks-for-directories', { args: ['-Wmissing-include-dirs'] }],
  ['charset', { args: ['-fexec-charset=latin1'] }],
  ['linker', { args: ['-fuse-ld=lld'] }],
  ['anywhere', { args: ['-fuse-ld=gold'] }],
  [
    'anywhere',
    {
      env: [
        ['LANG', 'C.UTF-8'],
        ['LC_ALL', ''],
      ],
    },
  ],
  [
    'anywhere',
    {
      env: [
        ['LANG', 'en_US.UTF-8'],
        ['LANGUAGE', 'en_US:en'],
      ],
    },
  ],
  ['locale', { env: [['LANG', 'de_DE.UTF-8']] }],
  ['locale', { env: [['LC_MESSAGES', 'fr_FR']] }],
  ['locale', { env: [['LANGUAGE', 'en:de']] }],
];

for (const [expected, more] of ROWS)
  test(`${JSON.stringify(more)} is ${expected}`, () => {
    const place = placeOf({ ...THUNK, ...more });
    assert.equal(place.kind === 'anywhere' ? place.kind : place.reason, expected);
  });
