import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type NasmCommand, parseNasm } from '../../../../src/models/nasm/parse.ts';

const FOLLOWED: readonly (readonly [args: string, what: Partial<NasmCommand>])[] = [
  [
    '-f elf64 a.asm -o a.o',
    { source: 'a.asm', format: 'elf64', output: { index: 4, prefix: '', value: 'a.o' } },
  ],
  ['-felf64 -oa.o a.asm', { output: { index: 1, prefix: '-o', value: 'a.o' }, format: 'elf64' }],
  ['-Ia -I b -ic a.asm -o a.o', { directories: ['a', 'b', 'c'] }],
  ['-Pp -p q a.asm -o a.o', { before: ['p', 'q'] }],
  ['-DX=1 -D Y -UZ a.asm -o a.o -w+all -w-x -O2 -Ox -Wfoo', { source: 'a.asm', debug: false }],
  ['-g -F dwarf a.asm -o a.o', { debug: true }],
  ['-gdwarf a.asm -o a.o', { debug: true }],
  ['-MD a.d a.asm -o a.o', { depfile: { index: 1, prefix: '', value: 'a.d' }, namesTarget: false }],
  ['-MD a.d -MT t -MP a.asm -o a.o', { namesTarget: true }],
  ['-MD a.d -MQ t a.asm -o a.o', { namesTarget: true }],
];
for (const [args, what] of FOLLOWED)
  test(`nasm ${args}`, () => {
    const parsed = parseNasm(args.split(' ')) as unknown as Record<string, unknown>;
    assert.equal(parsed['kind'], 'command');
    for (const [key, wanted] of Object.entries(what)) assert.deepEqual(parsed[key], wanted);
  });

const REFUSED: readonly (readonly [args: string, reason: string])[] = [
  ['-v', 'asks-version'],
  ['-f elf64 a.asm', 'too-hard-flag'],
  ['-f elf64 -o a.o', 'no-input'],
  ['a.asm b.asm -o a.o', 'no-input'],
  ['-M a.asm -o a.o', 'writes-stdout'],
  ['-MG a.asm -o a.o', 'writes-stdout'],
  ['-MF a.d a.asm -o a.o', 'writes-stdout'],
  ['-MD -o a.o a.asm', 'too-hard-flag'],
  ['-E a.asm -o a.i', 'unknown-flag'],
  ['-l a.lst a.asm -o a.o', 'unknown-flag'],
  ['-@ r', 'unknown-flag'],
  ['-s a.asm -o a.o', 'unknown-flag'],
  ['-Zerr a.asm -o a.o', 'unknown-flag'],
  ['-t a.asm -o a.o', 'unknown-flag'],
  ['--prefix x a.asm -o a.o', 'unknown-flag'],
  ['-- a.asm -o a.o', 'unknown-flag'],
  ['a.asm -o', 'unknown-flag'],
];
for (const [args, reason] of REFUSED)
  test(`nasm ${args} is left to nasm`, () => {
    const parsed = parseNasm(args.split(' '));
    assert.equal(parsed.kind === 'refused' ? parsed.reason : 'followed', reason);
  });

const help = spawnSync('nasm', ['-h'], { encoding: 'utf8' });
test("every option of nasm's help is followed or left to nasm by name", {
  skip: help.error ? 'no nasm' : false,
}, () => {
  const letters = new Set([...help.stdout.matchAll(/^ {4}-([A-Za-z])/gm)].map((m) => m[1]!));
  assert.ok(letters.size > 15);
  const left = [...letters].filter((letter) => {
    const parsed = parseNasm([`-${letter}x`, 'a.asm', '-o', 'a.o']);
    return parsed.kind === 'refused';
  });
  // Dependencies alone, listings, other streams, preprocessing alone, questions, TASM's language, optimisation by -L.
  assert.deepEqual(
    left.sort(),
    ['E', 'L', 'M', 'Z', 'a', 'e', 'h', 'l', 's', 't', 'v', 'y'].filter((l) => letters.has(l)),
  );
});
