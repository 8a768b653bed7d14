import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type ArCommand, parseAr } from '../../../../src/models/binutils/ar.ts';

const PARSED: readonly (readonly [args: string, what: readonly [string, string, string, string]])[] = [
  // arguments; operation, letters, archive, members
  ['rc l.a x.o', ['r', 'cr', 'l.a', 'x.o']],
  ['-rc l.a x.o', ['r', 'cr', 'l.a', 'x.o']],
  ['-r -c -s l.a x.o y.o', ['r', 'crs', 'l.a', 'x.o y.o']],
  ['crsD l.a', ['r', 'Dcrs', 'l.a', '']],
  ['q l.a x.o', ['q', 'q', 'l.a', 'x.o']],
  ['s l.a', ['s', 's', 'l.a', '']],
  ['rs l.a x.o', ['r', 'rs', 'l.a', 'x.o']],
  ['cDPrST l.a x.o', ['r', 'DPSTcr', 'l.a', 'x.o']],
  ['t l.a', ['t', 't', 'l.a', '']],
  ['x l.a x.o', ['x', 'x', 'l.a', 'x.o']],
  ['--plugin p.so rc l.a x.o', ['r', 'cr', 'l.a', 'x.o']],
];
for (const [args, wanted] of PARSED)
  test(`ar ${args}`, () => {
    const c = parseAr(args.split(' ')) as ArCommand;
    const letters = [...c.modifiers].sort().join('');
    assert.deepEqual([c.operation, letters, c.archive, c.members.join(' ')], wanted);
  });

for (const args of [
  '',
  'rc',
  'rq l.a',
  '--thin rc l.a',
  '-X32_64 rc l.a',
  'rc --plugin p.so x.o',
  'r l.a -c x.o',
  'rcz l.a',
  'c l.a',
  '-M',
  '--output=d x l.a',
])
  test(`ar ${args} is left to ar`, () =>
    assert.equal(parseAr(args === '' ? [] : args.split(' ')), undefined));

test("every letter of ar's own usage line is an operation or a modifier that is followed or refused", () => {
  const { stdout } = spawnSync('ar', ['--help'], { encoding: 'utf8' });
  const [, operations, modifiers] = /\{(\w+)\}\[(\w+)\]/.exec(stdout)!;
  for (const letter of operations!) assert.equal(parseAr([letter, 'l.a'])?.operation, letter);
  for (const letter of modifiers!.replace('M', ''))
    assert.ok(parseAr([`r${letter}`, 'l.a'])?.modifiers.has(letter));
});
