import assert from 'node:assert/strict';
import { test } from 'node:test';
import { marksOf } from '../../../../src/scan/text/file-facts.ts';

const assemblerOf = (text: string, assembler = false) => marksOf(Buffer.from(text), assembler).assembler;

test('files that assembler code in C includes', () => {
  const file = (name: string, code: boolean) => [{ name, code }];
  const table: readonly [string, ReturnType<typeof assemblerOf>][] = [
    ['asm(".incbin \\"a.bin\\"");', file('a.bin', false)],
    ['asm("x:\\n.incbin \\"a.bin\\"\\n");', file('a.bin', false)],
    ['asm("\\t.include \\"a.s\\"");', file('a.s', true)],
    ['M(".include \\"a.s\\"");', file('a.s', true)],
    ['#define I(f) __asm__(".incbin \\"" f "\\"")', undefined],
    ['asm(".include" " \\"a.s\\"");', file('a.s', true)],
    ['if (strcmp(word, ".include") == 0) x.include = 1;', []],
    ['#include "mesh.include"\nint x;', []],
    ['p->include("x"); q.include(y);', []],
    ['// .incbin "a"\n', []],
  ];
  for (const [text, expected] of table) assert.deepEqual(assemblerOf(text), expected, text);
});

test('directives put together from pieces in C', () => {
  const file = [{ name: 'f', code: false }];
  const table: readonly (readonly [text: string, wanted: object[] | undefined])[] = [
    ['asm(".inc" "bin \\"f\\"");', file],
    ['asm(".inc"\n /* more */ "bin \\"" "f\\"");', file],
    ['asm("\\56incbin \\"f\\"");', file],
    ['asm("\\x2eincbin \\"f\\"");', file],
    ['asm(".INCBIN \\"f\\"");', file],
    ['asm(".inc\\\nbin \\"f\\"");', file],
    ['asm(STR(.incbin "f"));', undefined],
    ['asm(STR(.CAT(inc,bin) "f"));', undefined],
    ['asm(STR(DOT) "incbin \\"f\\"");', undefined],
    ['#define INC ".inc"\nasm(INC "bin \\"f\\"");', undefined],
    ['asm(".inc" REST);', undefined],
    ['__asm__ volatile (A B " \\"f\\"");', undefined],
    ['asm("nop"); f("x" NAME "\\"f\\"");', []],
    ['asm(".macro m x\\n.\\\\x \\"f\\"\\n.endm\\nm incbin");', undefined],
    ['asm(".macro m x\\n.\\\\x \\"f\\"\\n.endm\\nm y");', undefined],
    ['asm(".inc{bin|lude} \\"f\\"");', undefined],
    ['asm(".%c0 \\"f\\"" :: "i"(incbin));', undefined],
    ['asm(".mri 1\\n include f\\n");', undefined],
    ['asm(R"(.incbin "f")");', undefined],
    ['asm(".include %0" :: "i"(x));', undefined],
    ['#define EXT ".inc"\n#define DOT "."\nint x;', []],
    ['asm("nop"); f("." NAME); s.name(x);', undefined],
    ['asm("nop"); f("%d." , name); s = {.include = 1}; s\n .name(x);', []],
    ['asm("1: .long 1b - .\\n\\t.section .x");', []],
    ['#include <asm/types.h>\nchar *s = "\\\\_SB." NAME "." OTHER;', []],
  ];
  for (const [text, wanted] of table) assert.deepEqual(assemblerOf(text), wanted, text);
});

test('directives put together from pieces in assembler code', () => {
  const undecided = [
    '.CAT(inc,bin) "f"\n',
    '#define C(a,b) a##b\n.C(inc, bin) "f"\n',
    '#define INC incbin\n.INC "f"\n',
    '.INCD "f"\n',
    '#define d C(x,y)\n.d "f"\n',
    '#define D(x) .x\nD(y) "f"\n',
    '#define DOT .\nM(DOT)M(word) "f"\n',
    '.##incbin "f"\n',
    '#define P(x) .## x\n',
    'M(.)incbin "f"\n',
    '#define M include\n',
    'M(include) "f"\n',
    '.inc/**/bin "f"\n',
    '.macro m x\n.\\x "f"\n.endm\nm y\n',
    '.macro m x\n.inc\\x "f"\n.endm\nm bin\n',
    '.irp d,inc\n.\\d\\()bin "f"\n.endr\n',
    '.macro m a b\n\\a\\b "f"\n.endm\nm .inc, bin\n',
    '.altmacro\n.macro m x\n.&x "f"\n.endm\n',
    '.irpc c,incbin\n.endr\n',
    '.mri 1\n include "f"\n',
    '.incbin\n',
  ];
  for (const text of undecided) assert.equal(assemblerOf(text, true), undefined, text);
  const clear = [
    '#define GLUE(a, b) a ## b\n#define L(x) .L ## x\n.L0: .long (1 + 2), . - x\n',
    '.altmacro\n.macro m x\n ldr\\x r0, .L\\@\n.endm\n.noaltmacro\n',
    '.section .ARM.exidx\n.LC0: .word 0\n#define V(a, b) a ##.## b\n',
    '#include "some.inc"\n x = ABS(.)\n vld1.\\size {d0}\n .ascii "a.\\n"\n',
    '/* .incbin "f" */ nop // .include "g"\n',
  ];
  for (const text of clear) assert.deepEqual(assemblerOf(text, true), [], text);
  assert.deepEqual(assemblerOf('.INCBIN "f"\n.inc\\\nlude "g"\n', true), [
    { name: 'f', code: false },
    { name: 'g', code: true },
  ]);
});

test('files that assembler code includes', () => {
  assert.deepEqual(assemblerOf('\t.include "a.s"; .incbin "b"\n', true), [
    { name: 'a.s', code: true },
    { name: 'b', code: false },
  ]);
  assert.equal(assemblerOf('.include NAME\n', true), undefined);
  assert.deepEqual(assemblerOf('call my.include\n', true), []);
});
