// Calls that are left to the real tool, and why.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Bypass } from '../../../../src/models/model.ts';
import { type Case, Rig } from './rig.ts';

const rig = new Rig({
  'a.c': '#include "h.h"\nint a;\n',
  'b.c': 'int b;\n',
  'h.h': '',
  'pch.c': '#include "p.h"\nint a;\n',
  'p.h': '',
  'p.h.gch': 'not really one',
  'conftest.c': 'int main(void) { return 0; }\n',
  'lost.c': '#include "nowhere.h"\n',
  'incbin.i': 'asm(".incbin \\"x\\"");\n',
  'plain.i': 'int i;\n',
  'lib.o': '',
  'odd.rsp': '-DX="a\\\\b" a.c',
  'loop.rsp': '@loop.rsp',
  'nul.rsp': 'a.c\0',
  'dir/keep': '',
});
after(() => rig.close());

const probes = (path: string) => path.includes('conftest') || path.includes('/probe/');

/** Reason and forced inputs (absolute ones relative to the project). */
const BYPASSED: readonly (readonly [line: string, reason: string, inputs: string, more?: Partial<Case>])[] = [
  ['cpp a.c', 'writes-stdout', '', { tool: 'cpp' }],
  ['cpp a.c a.i', 'writes-stdout', '', { tool: 'x86_64-linux-gnu-cpp-12' }],
  ['gcc -E a.c', 'writes-stdout', 'a.c'],
  ['gcc -M a.c', 'writes-stdout', 'a.c', { env: { GG_SHORTCUTS: '0' } }],
  ['gcc -M lost.c', 'scan-incomplete', 'lost.c'],
  ['gcc -M -MF q.d a.c b.c', 'too-hard-flag', 'a.c b.c'],
  ['gcc -MM -MD a.c', 'too-hard-flag', 'a.c'],
  ['gcc -M -MF - a.c', 'too-hard-flag', 'a.c'],
  ['gcc -M -Wp,-MT,t a.c', 'too-hard-flag', 'a.c'],
  ['gcc -M plain.i', 'too-hard-flag', 'plain.i'],
  ['gcc -c a.c', 'too-hard-environment', 'all', { env: { DEPENDENCIES_OUTPUT: 'x' } }],
  ['gcc -c a.c', 'too-hard-environment', 'all', { env: { SUNPRO_DEPENDENCIES: 'x' } }],
  ['gcc -c a.c', 'too-hard-environment', 'all', { env: { GCC_EXEC_PREFIX: '/x' } }],
  ['gcc -c a.c', 'too-hard-environment', '', { env: { COLLECT_GCC_OPTIONS: '' } }],
  ['gcc @odd.rsp', 'bad-response-file', 'all'],
  ['gcc @loop.rsp', 'bad-response-file', 'all'],
  ['gcc @nul.rsp', 'bad-response-file', 'all'],
  ['gcc @dir', 'bad-response-file', 'all'],
  ['gcc -c @nowhere.rsp', 'too-hard-flag', '@nowhere.rsp'],
  ['gcc -c nope.c', 'missing-input', 'nope.c'],
  ['gcc nope.o', 'missing-input', 'nope.o'],
  ['gcc -c dir -x c', 'too-hard-flag', 'dir'],
  ['gcc -c a.c -x c', 'too-hard-flag', 'a.c'],
  ['gcc -x c -c dir', 'unreadable-input', 'dir'],
  ['gcc -x c -c /dev/null', 'unreadable-input', '/dev/null'],
  ['gcc -x c -c -', 'reads-stdin', ''],
  ['gcc -c a.c -o /dev/null', 'writes-special-file', 'a.c'],
  ['gcc -c a.c -o dir', 'unwritable-output', 'a.c'],
  ['gcc -c a.c -o nodir/a.o', 'unwritable-output', 'a.c'],
  ['gcc -c a.c -o dir/', 'unwritable-output', 'a.c'],
  ['gcc -c -MD -MF nodir/a.d a.c', 'unwritable-output', 'a.c'],
  ['gcc -c -MD -MF /dev/null a.c', 'writes-special-file', 'a.c'],
  ['gcc a.c -o dir', 'unwritable-output', 'a.c'],
  ['gcc -c a.c -o h.h', 'output-is-input', 'a.c'],
  ['gcc -c a.c -o ./dir/../a.c', 'output-is-input', 'a.c'],
  ['gcc -c -MD -MF a.o a.c', 'too-hard-flag', 'a.c'],
  ['gcc -c a.c dir/../a.c', 'too-hard-flag', 'a.c dir/../a.c'],
  ['gcc -c pch.c', 'too-hard-flag', 'pch.c'],
  ['gcc -c lost.c', 'scan-incomplete', 'lost.c'],
  ['gcc -c incbin.i', 'scan-incomplete', 'all'],
  ['gcc -E plain.i -o x', 'too-hard-flag', 'plain.i'],
  ['gcc -c conftest.c', 'probe', 'conftest.c'],
  ['gcc -c a.c -o conftest.o', 'probe', 'a.c'],
  ['gcc a.c -o conftest', 'probe', 'a.c'],
  ['gcc lib.o conftest.o -o x', 'probe', 'lib.o conftest.o'],
  ['gcc --version', 'asks-version', ''],
  ['gcc -v', 'asks-version', ''],
  ['gcc -v lib.o -o x', 'asks-version', 'lib.o'],
  ['gcc -dumpmachine', 'asks-version', ''],
  ['gcc -print-prog-name=ld', 'asks-version', ''],
  ['gcc -qversion', 'unknown-flag', ''],
  ['gcc -x c-header h.h -o h.h.gch', 'too-hard-flag', ''],
  ['gcc -B. -c b.c -o x.o', 'too-hard-flag', 'b.c'],
  ['gcc -gsplit-dwarf -g -c b.c -o x.o', 'side-files', 'b.c'],
  ['gcc -fprofile-arcs -ftest-coverage -c b.c -o x.o', 'side-files', 'b.c'],
  ['gcc -fstack-usage -c b.c -o x.o', 'side-files', 'b.c'],
  ['gcc -save-temps -c b.c', 'side-files', 'b.c'],
  ['gcc lib.o -Wl,-Map=p.map -o p', 'output-names-itself', 'all'],
  ['gcc lib.o -Wl,--trace -o p', 'writes-stdout', 'all'],
  ['gcc lib.o -lno-such-library -o p', 'library-not-found', 'all'],
  ['gcc lib.o -L. -lno-such-library -o p', 'library-not-found', 'all'],
  ['gcc lib.o -Wl,--frobnicate -o p', 'unknown-flag', 'all'],
  ['gcc lib.o -Wl,-o,y -o x', 'too-hard-flag', 'all'],
  ['gcc lib.o -Wl,--oformat=binary -o x', 'too-hard-flag', 'all'],
];

function relative(inputs: Bypass['inputs']): string {
  return inputs === 'all' ? 'all' : inputs.map((path) => path.replace(`${rig.project}/`, '')).join(' ');
}

for (const [line, reason, inputs, more] of BYPASSED)
  test(`${line} is left to the real tool: ${reason}`, async () => {
    const [tool, ...args] = line.split(' ');
    const plan = await rig.plan({ tool: tool!, args, context: { probes }, ...more });
    assert.equal(plan.kind, 'bypass');
    assert.ok(plan.kind === 'bypass');
    assert.equal(`${plan.reason}`, reason, plan.detail);
    assert.equal(relative(plan.inputs), inputs);
  });

test('gcc takes a precompiled header from a directory without the header, and so it is looked for', async () => {
  const trap = new Rig({
    'm.c': '#include "p.h"\nint m;\n',
    'have/p.h': '',
    'have/sub/q.h': '',
    'trap/k': '',
    'sub/n.c': '#include "sub/q.h"\n#include "r.h"\nint n;\n',
    'sub/r.h': '',
  });
  try {
    trap.setup({ args: [], setup: 'gcc -x c-header have/p.h -o trap/p.h.gch' });
    const refused = async (line: string) => (await trap.plan({ args: line.split(' ') })).kind === 'bypass';
    assert.ok(await refused('-Itrap -Ihave -c m.c'));
    assert.ok(await refused('-isystem trap -I have/ -c m.c'));
    assert.ok(!(await refused('-Ihave -c m.c')));
    trap.setup({ args: [], setup: 'mv trap/p.h.gch trap/r.h.gch' });
    assert.ok(await refused('-Itrap -Ihave -c sub/n.c'));
    trap.setup({ args: [], setup: 'mkdir trap/sub; mv trap/r.h.gch trap/sub/q.h.gch' });
    assert.ok(await refused('-Itrap -Ihave -c sub/n.c'));
  } finally {
    trap.close();
  }
});

test('a precompiled header without its header is seen, wherever it stands', async () => {
  const found = {
    kind: 'found',
    files: ['a.c'],
    system: [false],
    extra: [],
    absent: [],
    usesTime: false,
  } as const;
  for (const more of [
    { absent: ['nowhere/p.h', 'p.h'] },
    { extra: ['p.h.gch'] },
    { files: ['a.c', 'p.h.gch'], system: [false, false] },
    { files: ['a.c', 'p.h'], system: [false, true] },
  ]) {
    const plan = await rig.plan({ args: ['-c', 'a.c'], context: { scan: () => ({ ...found, ...more }) } });
    assert.ok(plan.kind === 'bypass' && plan.reason === 'too-hard-flag', JSON.stringify(more));
  }
});

test('a source that is not built yet is not read', async () => {
  const placeholders = new Map([[`${rig.project}/a.c`, []]]);
  const plan = await rig.plan({ args: ['-c', 'a.c'], context: { placeholders } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'scan-incomplete');
  assert.deepEqual(plan.inputs, [`${rig.project}/a.c`]);
});

test('assembler code whose includes nobody can name forces everything', async () => {
  const scan = () => ({ kind: 'incomplete', reason: 'asm-include', detail: 'a.c' }) as const;
  const plan = await rig.plan({ args: ['-c', 'a.c'], context: { scan } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'scan-incomplete');
  assert.equal(plan.inputs, 'all');
});

test('what assembler code includes is forced before the real tool runs', async () => {
  const scan = () =>
    ({
      kind: 'found',
      files: ['a.c'],
      system: [false],
      extra: ['x.bin'],
      absent: [],
      usesTime: false,
    }) as const;
  const plan = await rig.plan({ args: ['-c', '-fstack-usage', 'a.c'], context: { scan } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'side-files');
  assert.equal(relative(plan.inputs), 'a.c x.bin');
});

const GCC = 'gcc (Some 9.4.0-1) 9.4.0\nCopyright (C) 2019 Free Software Foundation, Inc.\n';

test('a driver that answers no questions is not modelled', async () => {
  const query = (args: readonly string[]) =>
    args[0] === '--version'
      ? { code: 0, stdout: GCC, stderr: '' }
      : { code: 1, stdout: '', stderr: args[0] === '-v' ? 'COLLECT_GCC=/usr/bin/gcc\n' : '' };
  for (const args of [['lib.o'], ['-march=native', '-c', 'a.c']]) {
    const plan = await rig.plan({ args, context: { query } });
    assert.ok(plan.kind === 'bypass' && plan.reason === 'toolchain-query-failed');
  }
});

test('a program that only leads to a driver is not modelled', async () => {
  const query = (args: readonly string[]) =>
    args[0] === '-v' ? { code: 0, stdout: '', stderr: 'COLLECT_GCC=/opt/gcc\n' } : undefined;
  const plan = await rig.plan({ args: ['-c', 'a.c'], context: { query } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'unknown-tool');
});

test('a compiler that is not GCC is not modelled', async () => {
  const query = () => ({ code: 0, stdout: 'Debian clang version 14.0.6\nTarget: x\n', stderr: '' });
  const plan = await rig.plan({ args: ['-c', 'a.c'], context: { query } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'unknown-tool');
});

test('an old GCC names the depfile of a link otherwise', async () => {
  const query = (args: readonly string[]) =>
    args[0] === '--version' ? { code: 0, stdout: GCC, stderr: '' } : undefined;
  const plan = await rig.plan({ args: ['-MMD', 'a.c', '-o', 'p'], context: { query } });
  assert.ok(plan.kind === 'bypass' && plan.reason === 'too-hard-flag');
  const compile = await rig.plan({ args: ['-MMD', '-c', 'a.c'], context: { query } });
  assert.equal(compile.kind, 'plan');
});
