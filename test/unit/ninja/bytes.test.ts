import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBytes, decodeLatin1, encodeBytes } from '../../../src/ninja/bytes.ts';

const BYTES: readonly (readonly [hex: string, text: string])[] = [
  ['', ''],
  ['612f62', 'a/b'],
  ['c3a9', 'é'],
  ['f09f9880', '😀'],
  ['ff', '\udcff'],
  ['61ff62', 'a\udcffb'],
  ['c3', '\udcc3'],
  ['c32fa9', '\udcc3/\udca9'],
  ['f09f9861', '\udcf0\udc9f\udc98a'],
  ['c080', '\udcc0\udc80'],
  ['eda080', '\udced\udca0\udc80'],
  ['e697a5ffc3a9', '日\udcffé'],
];

for (const [hex, text] of BYTES) {
  test(`bytes ${hex || '(none)'} come in and go out`, () => {
    const bytes = Buffer.from(hex, 'hex');
    assert.equal(decodeBytes(bytes), text);
    assert.equal(decodeLatin1(bytes.toString('latin1')), text);
    assert.deepEqual(encodeBytes(text), bytes);
  });
}

test('every pair of bytes survives', () => {
  for (let i = 0; i < 0x10000; i++) {
    const bytes = Buffer.of(i >> 8, i & 0xff);
    assert.ok(encodeBytes(decodeBytes(bytes)).equals(bytes));
  }
});
