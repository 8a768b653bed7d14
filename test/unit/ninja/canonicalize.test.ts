import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalize } from '../../../src/ninja/canonicalize.ts';

const PATHS: readonly (readonly [path: string, canonical: string])[] = [
  ['', ''],
  ['a', 'a'],
  ['a/b.c', 'a/b.c'],
  ['./a', 'a'],
  ['a/./b', 'a/b'],
  ['a//b', 'a/b'],
  ['a/', 'a'],
  ['a/..', '.'],
  ['a/../b', 'b'],
  ['a/../../b', '../b'],
  ['..', '..'],
  ['../', '..'],
  ['../../a/..', '../..'],
  ['../a/../../b', '../../b'],
  ['.', '.'],
  ['./', '.'],
  ['./.', '.'],
  ['./..', '..'],
  ['.a', '.a'],
  ['..a/b', '..a/b'],
  ['a/.b/..c/...', 'a/.b/..c/...'],
  ['a/...', 'a/...'],
  ['/', ''],
  ['//', ''],
  ['/a', '/a'],
  ['//a', '/a'],
  ['/a/..', ''],
  ['/..', '/..'],
  ['/../a', '/../a'],
  ['/a/../../b', '/../b'],
  ['/a/b/../../..', '/..'],
];

for (const [path, canonical] of PATHS) {
  test(`"${path}" is "${canonical}"`, () => assert.equal(canonicalize(path), canonical));
}
