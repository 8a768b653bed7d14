import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayNameFiles, parseLibraryScript } from '../../../../src/models/binutils/linker-script.ts';

const NAMING: readonly (readonly [text: string, wanted: boolean])[] = [
  ['SECTIONS { .text : { *(.text) } }', false],
  ['ENTRY(start) OUTPUT_FORMAT(elf64-x86-64) OUTPUT_ARCH(i386:x86-64)', false],
  ['INCLUDE more.ld', true],
  ['INPUT(a.o)', true],
  ['INPUT\n(\na.o)', true],
  ['INPUT/**/(a.o)', true],
  ['GROUP ( a.o )', true],
  ['STARTUP(a.o)', true],
  ['SEARCH_DIR("/x")', true],
  ['OUTPUT(b)', true],
  ['TARGET(binary)', true],
  ['SYSLIB(x)', true],
  ['HLL(x)', true],
  ['SECTIONS { .text : { INCLUDE more.ld } }', true],
  ['/* INPUT(a.o) */ ENTRY(start)', false],
  ['/* one */ ENTRY(start) /* INPUT */', false],
  ['"INPUT" = 1;', false],
  ['"/*" = 1; INPUT(a.o) "*/" = 1;', true],
  // `k/*(.foo)` is a name, no comment.
  ['SECTIONS { .f : { k/*(.foo) } } INPUT(a.o) /* */', true],
  // A quote behind "#" or in a comment opens nothing.
  ['# say "\nINPUT(a.o)\n# "', true],
  ['/* " */ INPUT(a.o) /* " */', true],
  ['x = 1; /* open', false],
  ['/* open INPUT(a.o)', true],
  ['{ global: INPUTS; MY_INPUT; INPUT.1; local: *; };', false],
];
for (const [text, wanted] of NAMING)
  test(`${JSON.stringify(text)} names ${wanted ? 'files' : 'nothing'}`, () =>
    assert.equal(mayNameFiles(text), wanted));

const file = (name: string) => ({ kind: 'file', name });
const library = (name: string) => ({ kind: 'library', name });
const FOLLOWED: readonly (readonly [
  text: string,
  items: readonly object[],
  directories?: readonly string[],
])[] = [
  [
    '/* GNU ld script */\nGROUP ( /lib/libc.so.6 libn.a AS_NEEDED ( -lm ) )',
    [file('/lib/libc.so.6'), file('libn.a'), library('m')],
  ],
  ['OUTPUT_FORMAT(elf64-x86-64)\nINPUT("a b.o", c.o);', [file('a b.o'), file('c.o')]],
  ['SEARCH_DIR(l)\nINPUT(-ladd)', [library('add')], ['l']],
  ['INPUT(/* a.o */ b.o)', [file('b.o')]],
];
for (const [text, items, searchDirectories = []] of FOLLOWED)
  test(`${JSON.stringify(text)} is followed`, () =>
    assert.deepEqual(parseLibraryScript(text), { items, searchDirectories }));

for (const text of [
  'STARTUP(a.o)',
  'INCLUDE b.ld',
  'OUTPUT(x)',
  'TARGET(binary) INPUT(a.o)',
  'SYSLIB(x)',
  'HLL(x)',
  'VERSION { global: x; }',
  '"INPUT"(a.o)',
  'INPUT(a/*b.o c*/d.o)',
  'INPUT(=/x/a.o)',
  'INPUT($SYSROOT/a.o)',
  'SEARCH_DIR(=/x)',
  'INPUT(a.o',
  'INPUT(a.o) # "\nINPUT(b.o)',
])
  test(`${JSON.stringify(text)} is left to ld`, () => assert.equal(parseLibraryScript(text), undefined));
