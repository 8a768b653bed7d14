import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Parsed, parseGcc } from '../../../../src/models/gcc/parse.ts';

function parse(line: string, cplusplus = false): Parsed {
  return parseGcc(line.split(' '), { cplusplus, librarySearch: false });
}

/** goal, sources with languages, objects, output; '!' reason */
function brief(parsed: Parsed): string {
  if (parsed.declined) return `!${parsed.declined.reason}`;
  const sources = parsed.sources.map((source) => `${source.path}(${source.language.name})`);
  const objects = parsed.objects.map((object) => object.path);
  return [parsed.goal, ...sources, ...objects, ...(parsed.output ? [`> ${parsed.output.path}`] : [])].join(
    ' ',
  );
}

const LINES: readonly (readonly [line: string, expected: string])[] = [
  ['-c a.c', 'assemble a.c(c)'],
  ['-c a.c -o a.o', 'assemble a.c(c) > a.o'],
  ['-oa.o -c a.c', 'assemble a.c(c) > a.o'],
  ['--output=a.o -c a.c', 'assemble a.c(c) > a.o'],
  ['--output a.o -c a.c', 'assemble a.c(c) > a.o'],
  ['-S a.c', 'compile a.c(c)'],
  ['-S -c a.c', 'compile a.c(c)'],
  ['-E -S -c a.c -o x', 'preprocess a.c(c) > x'],
  ['-c -E a.c -o x', 'preprocess a.c(c) > x'],
  ['-E a.c', '!writes-stdout'],
  ['a.c b.o lib.a -o p', 'link a.c(c) b.o lib.a > p'],
  ['-c a.cc b.cpp c.C d.cxx', 'assemble a.cc(c++) b.cpp(c++) c.C(c++) d.cxx(c++)'],
  [
    '-c a.s b.S c.sx d.i e.ii',
    'assemble a.s(assembler) b.S(assembler-with-cpp) c.sx(assembler-with-cpp) d.i(cpp-output) e.ii(c++-cpp-output)',
  ],
  ['-x c a.x -x none b.cc -c', 'assemble a.x(c) b.cc(c++)'],
  ['-xc++ a.c -c', 'assemble a.c(c++)'],
  ['-c -x assembler-with-cpp a', 'assemble a(assembler-with-cpp)'],
  ['-c -I inc -D X -U Y -include z.h -isystem s a.c', 'assemble a.c(c)'],
  ['-c -lm -Lx -Wl,-z,now -shared a.c', 'assemble a.c(c)'],
  ['-c -Wl,-Map=x a.c', 'assemble a.c(c)'],
  ['--coverage a.o -o p', 'link a.o > p'],
  ['-fprofile-generate a.o', 'link a.o'],
  ['-T s.ld -u x -z now -e main a.o', 'link a.o'],
  ['-Xlinker -s a.o', 'link a.o'],
  ['-fno-profile-arcs -c a.c', 'assemble a.c(c)'],
  ['dir.d/file', 'link dir.d/file'],
  ['-c a.c -pipe -pthread -ansi -std=gnu11 --param max=1 --param=min=2', 'assemble a.c(c)'],
  ['-c a.c -Wa,--noexecstack', 'assemble a.c(c)'],
  ['-c a.c -Wp,-D_FORTIFY_SOURCE=2', 'assemble a.c(c)'],

  ['--version', '!asks-version'],
  ['-v', '!asks-version'],
  ['-v -c a.c', '!asks-version'],
  ['-dumpmachine', '!asks-version'],
  ['-print-prog-name=ld', '!asks-version'],
  ['-print-search-dirs', '!asks-version'],
  ['--help=common', '!asks-version'],
  ['-###', '!asks-version'],
  ['-x c -', '!reads-stdin'],
  ['-M -MG a.c', '!too-hard-flag'],
  ['-MM -MD a.c', '!too-hard-flag'],
  ['-S a.c -o -', '!writes-stdout'],
  ['-O2', '!no-input'],
  ['-frobnicate=1 --frobnicate a.c', '!unknown-flag'],
  ['-Z a.c', '!unknown-flag'],
  ['-c a.f90', '!unknown-language'],
  ['-c a.m', '!unknown-language'],
  ['-x go a.c', '!unknown-language'],
  ['a.h', '!too-hard-flag'],
  ['-x c++-header a.hh', '!too-hard-flag'],
  ['-c a.c b.o', '!too-hard-flag'],
  ['-c a.c b.c -o x.o', '!too-hard-flag'],
  ['-c a.c -o x.o -o y.o', '!too-hard-flag'],
  ['-c a.c -o', '!too-hard-flag'],
  ['-B. -c a.c', '!too-hard-flag'],
  ['-specs=x -c a.c', '!too-hard-flag'],
  ['-wrapper x -c a.c', '!too-hard-flag'],
  ['-fplugin=x -c a.c', '!too-hard-flag'],
  ['-fmodules-ts -c a.cc', '!too-hard-flag'],
  ['-fprofile-use=x -c a.c', '!too-hard-flag'],
  ['-fsyntax-only a.c', '!too-hard-flag'],
  ['-I- a.c', '!too-hard-flag'],
  ['-Wa,-adhln=x a.c', '!too-hard-flag'],
  ['-Xassembler -a a.c', '!too-hard-flag'],
  ['-Wp,-MD a.c', '!too-hard-flag'],
  ['-Wp,-C a.c', '!too-hard-flag'],
  ['-dM -E a.c -o x', '!too-hard-flag'],
  ['-gsplit-dwarf -c a.c', '!side-files'],
  ['--coverage -c a.c', '!side-files'],
  ['--coverage a.c -o p', '!side-files'],
  ['-fprofile-arcs -ftest-coverage -c a.c', '!side-files'],
  ['-fstack-usage -c a.c', '!side-files'],
  ['-save-temps -c a.c', '!side-files'],
  ['-save-temps=obj a.o', '!side-files'],
  ['-fdump-tree-all -c a.c', '!side-files'],
  ['-fdump-ipa-all -flto a.o', '!side-files'],
  ['-fcallgraph-info -c a.c', '!side-files'],
  ['-da -c a.c', '!side-files'],
  ['-frecord-gcc-switches -c a.c', '!output-names-itself'],
  ['-t a.o', '!writes-stdout'],
  ['-P -c a.S', '!too-hard-flag'],
  ['-P -E a.S -o x', 'preprocess a.S(assembler-with-cpp) > x'],

  ['-c -MF a.d a.c', '!too-hard-flag'],
  ['-c -MP a.c', '!too-hard-flag'],
  ['-c -MG -MD a.c', '!too-hard-flag'],
  ['-c -MD -MF - a.c', '!too-hard-flag'],
  ['-c -MD -MF x.d a.c b.c', '!too-hard-flag'],
  ['-c -MD -Wp,-MD,x a.c', '!too-hard-flag'],
  ['-MD a.c b.c', '!too-hard-flag'],
  ['-E -MD a.c -o a.i', '!too-hard-flag'],
  ['-MD a.o', 'link a.o'],
  ['-MMD -MP -MF x a.o -o p', 'link a.o > p'],
  ['-c -MD a.s', 'assemble a.s(assembler)'],
];

for (const [line, expected] of LINES)
  test(`gcc ${line}`, () => {
    assert.equal(brief(parse(line)), expected);
  });

test('g++ takes C files for C++', () => {
  assert.equal(
    brief(parse('-c a.c b.i c.s d.S', true)),
    'assemble a.c(c++) b.i(c++-cpp-output) c.s(assembler) d.S(assembler-with-cpp)',
  );
  assert.equal(brief(parse('-x c a.c -c', true)), 'assemble a.c(c)');
});

const DEPFILES: readonly (readonly [line: string, expected: unknown])[] = [
  ['-MD', { userOnly: false, path: undefined, targets: [], phony: false, viaPreprocessor: false }],
  ['-MMD', { userOnly: true, path: undefined, targets: [], phony: false, viaPreprocessor: false }],
  ['-MD -MMD', { userOnly: true, path: undefined, targets: [], phony: false, viaPreprocessor: false }],
  [
    '-MD -MP -MT x -MQ y$ -MFf -MF g',
    {
      userOnly: false,
      path: 'g',
      targets: [
        { text: 'x', quote: false },
        { text: 'y$', quote: true },
      ],
      phony: true,
      viaPreprocessor: false,
    },
  ],
  [
    '-Wp,-MMD,f -Wp,-MT,t -Wp,-DX',
    {
      userOnly: true,
      path: 'f',
      targets: [{ text: 't', quote: false }],
      phony: false,
      viaPreprocessor: true,
    },
  ],
  ['-O2', undefined],
];

for (const [line, expected] of DEPFILES)
  test(`depfile of ${line}`, () => {
    const parsed = parse(`${line} -c a.c`);
    assert.equal(parsed.declined, undefined);
    assert.deepEqual(parsed.depfile, expected);
  });

const CWD: readonly (readonly [line: string, matters: boolean])[] = [
  ['-c a.c', false],
  ['-O2 -Wall -fPIC -c a.c', false],
  ['-g0 -c a.c', false],
  ['a.o -o p', false],
  ['-g -c a.c', true],
  ['-g -g0 -c a.c', true],
  ['-ggdb3 -c a.c', true],
  ['-flto -c a.c', true],
  ['-fdebug-prefix-map=/a=b -c a.c', true],
  ['-Wa,--gdwarf-5 -c a.s', true],
  ['-S a.c', true],
  ['-E a.c -o x', true],
];

for (const [line, matters] of CWD)
  test(`${line} ${matters ? 'depends' : 'does not depend'} on the directory`, () => {
    assert.equal(parse(line).cwdMatters, matters);
  });

const FORCES: readonly (readonly [line: string, forces: readonly string[] | 'all'])[] = [
  ['-c -fsyntax-only a.c b.cc', ['a.c', 'b.cc']],
  ['--version', []],
  ['-x c - -o x', []],
  ['a.c b.o lib.a -lm -o p', ['a.c', 'b.o', 'lib.a']],
  ['a.o lib.so', 'all'],
  ['a.o -L. -lx', 'all'],
  ['a.o -Wl,--whole-archive', 'all'],
  ['a.o -Xlinker lib.a', 'all'],
  ['-c a.c -L.', ['a.c']],
];

for (const [line, forces] of FORCES)
  test(`the real gcc ${line} reads ${forces}`, () => {
    assert.deepEqual(parse(line).forces, forces);
  });

test('library directories in the environment make every library a possible input', () => {
  assert.equal(parseGcc(['a.o'], { cplusplus: false, librarySearch: true }).forces, 'all');
});
