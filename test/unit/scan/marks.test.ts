import assert from 'node:assert/strict';
import { test } from 'node:test';
import { marksOf } from '../../../src/scan/marks.ts';

const assemblerOf = (text: string, assembler = false) => marksOf(Buffer.from(text), assembler).assembler;

test('files that assembler code in C includes', () => {
  const file = (name: string, code: boolean) => [{ name, code }];
  const table: readonly [string, ReturnType<typeof assemblerOf>][] = [
    ['asm(".incbin \\"a.bin\\"");', file('a.bin', false)],
    ['asm("x:\\n.incbin \\"a.bin\\"\\n");', file('a.bin', false)],
    ['asm("\\t.include \\"a.s\\"");', file('a.s', true)],
    ['M(".include \\"a.s\\"");', file('a.s', true)],
    ['#define I(f) __asm__(".incbin \\"" f "\\"")', undefined],
    ['asm(".include" " \\"a.s\\"");', undefined],
    ['if (strcmp(word, ".include") == 0) x.include = 1;', []],
    ['#include "mesh.include"\nint x;', []],
    ['p->include("x"); q.include(y);', []],
    ['// .incbin "a"\n', []],
  ];
  for (const [text, expected] of table) assert.deepEqual(assemblerOf(text), expected, text);
});

test('files that assembler code includes', () => {
  assert.deepEqual(assemblerOf('\t.include "a.s"; .incbin "b"\n', true), [
    { name: 'a.s', code: true },
    { name: 'b', code: false },
  ]);
  assert.equal(assemblerOf('.include NAME\n', true), undefined);
  assert.deepEqual(assemblerOf('call my.include\n', true), []);
});
