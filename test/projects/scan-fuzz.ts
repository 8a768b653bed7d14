// Random preprocessor text, scanned and listed by gcc -M: quotes, comments, splices, macros and conditions in a muddle.
//
// Usage: node test/projects/scan-fuzz.ts [--units N] [--seed N]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FastScanner } from '../../src/scan/fast-scanner.ts';
import { GccMScanner } from '../../src/scan/gcc-m.ts';
import { query } from './compile-commands.ts';

const { values } = parseArgs({
  options: { units: { type: 'string', default: '500' }, seed: { type: 'string', default: '1' } },
});

let state = Number(values.seed);
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}
function pick<T>(list: readonly T[]): T {
  return list[random(list.length)]!;
}

const HEADERS = Array.from({ length: 12 }, (_, i) => `h${i}.h`);
const NAMES = ['A', 'B', 'C', 'F', 'G', 'D', 'X'];
const LEX = [
  '"',
  "'",
  '/*',
  '*/',
  '//',
  '\\',
  '\\\n',
  '\\ \n',
  'R"(',
  ')"',
  'R"x(',
  ')x"',
  'u8',
  'L',
  ' ',
  '\t',
  '\n',
  '#',
  '%:',
  '1',
  "1'0",
  'x',
  '(',
  ')',
  '??/',
  '\\"',
  '\r\n',
  '/',
  '*',
  '.',
  "'a'",
  '"s"',
];
const OPERATORS = [
  '+',
  '-',
  '*',
  '&&',
  '||',
  '==',
  '!=',
  '<',
  '>',
  '<=',
  '>=',
  '<<',
  '>>',
  '&',
  '|',
  '^',
  '?',
  ':',
  ',',
  '/',
  '%',
];

function include(): string {
  return pick([
    () => `#include "${pick(HEADERS)}"`,
    () => `#include <${pick(HEADERS)}>`,
    () => `#include ${pick(NAMES)}`,
    () => `# include /* c */ "./${pick(HEADERS)}"`,
  ])();
}
function operand(): string {
  return pick([
    () => String(random(4)),
    () => pick(NAMES),
    () => `defined ${pick(NAMES)}`,
    () => `defined(${pick(NAMES)})`,
    () => `${pick(NAMES)}(${operand()})`,
    () => `${pick(NAMES)}(${operand()}, ${operand()})`,
    () => `(${expression(2)})`,
    () => `!${operand()}`,
    () => `-${operand()}`,
    () => `__has_include("${pick([...HEADERS, 'nope.h'])}")`,
    () => pick(['0u', '0x7fffffffffffffff', '18446744073709551615', "'a'", "'\\377'", '1L', '077']),
  ])();
}
function expression(depth: number): string {
  let text = operand();
  for (let i = random(depth + 1); i > 0; i--) {
    const operator = pick(OPERATORS);
    text +=
      operator === '?'
        ? ` ? ${operand()} : ${operand()}`
        : operator === ':'
          ? ''
          : ` ${operator} ${operand()}`;
  }
  return text;
}
function body(): string {
  return Array.from({ length: random(5) }, () =>
    pick([
      'a',
      'b',
      '##',
      '#',
      pick(NAMES),
      pick(NAMES),
      '(',
      ')',
      ',',
      '1',
      '0',
      '+',
      '__VA_ARGS__',
      '"h1.h"',
      '<h2.h>',
      'defined X',
    ]),
  ).join(pick([' ', '']));
}
function define(): string {
  const params = pick(['', '', '(a)', '(a, b)', '(a, ...)', '(...)', '(b...)', '()']);
  return `#define ${pick(NAMES)}${params} ${body()}`;
}
function line(depth: number): string {
  return pick([
    include,
    include,
    define,
    define,
    () => `#undef ${pick(NAMES)}`,
    () => `#pragma ${pick(['push_macro', 'pop_macro'])}("${pick(NAMES)}")`,
    () => Array.from({ length: random(8) }, () => pick(LEX)).join(''),
    () => `int x${random(9)}; ${pick(LEX)}${pick(LEX)}`,
    () => (depth > 0 ? conditional(depth - 1) : include()),
    () => (depth > 0 ? conditional(depth - 1) : include()),
  ])();
}
function conditional(depth: number): string {
  const first = pick([
    () => `#if ${expression(2)}`,
    () => `#ifdef ${pick(NAMES)}`,
    () => `#ifndef ${pick(NAMES)}`,
    () => '#if 0',
  ])();
  let text = `${first}\n${lines(depth)}`;
  for (let i = random(2); i > 0; i--)
    text += `${pick([`#elif ${expression(2)}`, `#elifdef ${pick(NAMES)}`])}\n${lines(depth)}`;
  if (random(2) === 0) text += `#else\n${lines(depth)}`;
  return `${text}#endif`;
}
function lines(depth: number): string {
  return Array.from({ length: random(4) }, () => `${line(depth)}\n`).join('');
}

const FLAGS = [[], ['-std=c11'], ['-std=gnu2x'], ['-ansi'], ['-std=c99', '-trigraphs']];
const FLAGS_CXX = [[], ['-std=c++11'], ['-std=c++17'], ['-std=gnu++98']];

const directory = mkdtempSync(join(tmpdir(), 'scan-fuzz-'));
const truth = new GccMScanner(query, { system: false });
const scanner = new FastScanner({
  query,
  fallback: {
    scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
  },
  watch: true,
});
const counts = { equal: 0, unequal: 0, bothFail: 0, onlyWeFail: 0, onlyGccFails: 0 };
const units = Number(values.units);
for (let i = 0; i < units; i++) {
  const language = pick(['c', 'c', 'c++', 'assembler-with-cpp']);
  for (const header of HEADERS) writeFileSync(join(directory, header), random(3) === 0 ? lines(1) : '');
  const source = `u${i}.x`;
  const text = Array.from({ length: 1 + random(5) }, () => lines(2)).join('');
  writeFileSync(join(directory, source), text);
  const request = {
    driver: '/usr/bin/gcc',
    toolchain: 'test',
    flags: [
      '-I.',
      '-nostdinc',
      ...(language === 'c++' ? pick(FLAGS_CXX) : language === 'c' ? pick(FLAGS) : []),
    ],
    language,
    source,
    cwd: directory,
    env: new Map<string, string>(),
  };
  const ours = await scanner.scan(request);
  const theirs = await truth.scan(request);
  if (theirs.kind !== 'found') counts[ours.kind === 'found' ? 'onlyGccFails' : 'bothFail']++;
  else if (ours.kind !== 'found') counts.onlyWeFail++;
  else if (JSON.stringify(ours.files) === JSON.stringify(theirs.files)) counts.equal++;
  else {
    counts.unequal++;
    console.log(`--- ${language} ${request.flags.join(' ')} (unit ${i})\n${text}`);
    for (const header of HEADERS)
      if (theirs.files.includes(header) || ours.files.includes(header)) console.log(`[${header}]`);
    console.log(`ours ${ours.files.join(' ')}\ngcc  ${theirs.files.join(' ')}`);
    break;
  }
}
console.log(JSON.stringify(counts), JSON.stringify(scanner.stats().handedOver));
await scanner.close();
if (counts.unequal === 0) rmSync(directory, { recursive: true });
else console.log(`left in ${directory}`);
process.exitCode = counts.unequal > 0 ? 1 : 0;
