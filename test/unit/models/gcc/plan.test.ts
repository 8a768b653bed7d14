// What a plan holds beside the bytes it leads to.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { gccModel } from '../../../../src/models/gcc/model.ts';
import type { Plan, PlannedThunk } from '../../../../src/models/model.ts';
import { fakeCall, fakeContext } from '../fake-context.ts';
import { type Case, Rig } from './rig.ts';

const rig = new Rig({
  'a.c': '#include "h.h"\nint a;\n',
  'b.c': 'int b;\n',
  't.c': 'const char *t = __DATE__;\n',
  'ts.c': 'const char *t = __TIMESTAMP__;\n',
  'h.h': '',
  'x.o': '',
  'y.o': '',
  'z.o': '',
});
after(() => rig.close());

async function plan(line: string, more: Partial<Case> = {}): Promise<Plan> {
  const made = await rig.plan({ args: line.split(' '), ...more });
  assert.ok(made.kind === 'plan', JSON.stringify(made));
  return made;
}

async function thunk(line: string, more: Partial<Case> = {}): Promise<PlannedThunk> {
  return (await plan(line, more)).thunks[0]!;
}

function argsText(planned: PlannedThunk): string {
  return planned.args
    .map((arg) => (typeof arg === 'string' ? arg : `${arg.prefix}<${arg.output}>`))
    .join(' ');
}

const QUESTIONS: readonly (readonly [line: string, expected: readonly string[], output?: string])[] = [
  ['-MM a.c -DX b.c', ['-MM a.c -DX', '-MM -DX b.c']],
  ['-M -MP -MT t -MQ q a.c', ['-M -MP -MT t -MQ q a.c']],
  ['-M -MFq.d a.c', ['-M -MF <out> a.c'], 'q.d'],
  ['-M -c a.c -o q.d', ['-M -c a.c -o <out>'], 'q.d'],
];

for (const [line, expected, output] of QUESTIONS)
  test(`gcc ${line} is one question a source`, async () => {
    const { thunks, files, sync } = await plan(line);
    assert.deepEqual(thunks.map(argsText), expected);
    assert.deepEqual(
      thunks.flatMap((each) => each.outputs.map((o) => o.path)),
      output === undefined ? [] : [output],
    );
    assert.deepEqual([files, sync, thunks[0]!.inputs.slice(0, 1)], [[], true, ['a.c']]);
  });

const ARGS: readonly (readonly [line: string, expected: string])[] = [
  ['-O2 -c a.c', '-O2 -c a.c -o <out>'],
  ['-c a.c -o x', '-c a.c -o <out>'],
  ['-c -ox a.c', '-c -o<out> a.c'],
  ['-c --output=x a.c', '-c --output=<out> a.c'],
  ['-c --output x a.c', '-c --output <out> a.c'],
  ['-MMD -MP -MFq.d -MT t -c a.c', '-c a.c -o <out>'],
  ['-Wp,-MMD,q.d -Wp,-DX -Wp,-MT,t,-DY -c a.c', '-Wp,-DX -Wp,-DY -c a.c -o <out>'],
  ['-I . -c a.c -DX', '-I . -c a.c -DX -o <out>'],
  ['x.o -MMD -lm y.o', 'x.o -lm y.o -o <out>'],
];

for (const [line, expected] of ARGS)
  test(`arguments of gcc ${line}`, async () => {
    assert.equal(argsText(await thunk(line)), expected);
  });

test('each source has a thunk of its own', async () => {
  const { thunks, files, sync } = await plan('-x c -MMD -c a.c -x none b.c');
  assert.deepEqual(thunks.map(argsText), ['-x c -c a.c -o <out>', '-x c -c -x none b.c -o <out>']);
  assert.deepEqual(
    thunks.map((each) => each.outputs[0]),
    [
      { tag: 'out', path: 'a.o', form: 'object', mode: 0o666 },
      { tag: 'out', path: 'b.o', form: 'object', mode: 0o666 },
    ],
  );
  assert.deepEqual(thunks[0]!.inputs.slice(0, 1), ['a.c']);
  assert.equal(new Set(thunks[0]!.inputs).size, thunks[0]!.inputs.length);
  assert.deepEqual(
    files.map((file) => [file.path, file.text.toString()]),
    [
      ['a.d', 'a.o: a.c h.h\n'],
      ['b.d', 'b.o: b.c\n'],
    ],
  );
  assert.equal(sync, false);
});

test('text outputs are forced at once', async () => {
  for (const line of ['-S a.c', '-E a.c -o a.i']) {
    const { thunks, sync } = await plan(line);
    assert.equal(sync, true);
    assert.equal(thunks[0]!.outputs[0]!.form, 'text');
    assert.equal(thunks[0]!.needsCwd, true);
  }
});

test('only variables that matter are kept', async () => {
  const env = {
    LANG: 'C.UTF-8',
    CPATH: '/nowhere',
    LIBRARY_PATH: '/nowhere',
    PWD: '/p',
    SOURCE_DATE_EPOCH: '1',
    TZ: 'UTC',
    COLUMNS: '80',
    TMPDIR: '/tmp',
    HOME: '/',
    GCC_VERSION: '12',
  };
  const names = async (line: string) => (await thunk(line, { env })).env.map(([name]) => name);
  assert.deepEqual(await names('-c a.c'), ['CPATH', 'LANG', 'SOURCE_DATE_EPOCH']);
  assert.deepEqual(await names('-g -c a.c'), ['CPATH', 'LANG', 'PWD', 'SOURCE_DATE_EPOCH']);
  assert.deepEqual(await names('-c t.c'), ['CPATH', 'LANG', 'SOURCE_DATE_EPOCH', 'TZ']);
  assert.deepEqual(await names('x.o'), ['LANG', 'LIBRARY_PATH']);
});

test('a unit with the time in it is never the same twice', async () => {
  const first = await thunk('-c t.c');
  const second = await thunk('-c t.c');
  assert.match(first.salt[0]!, /^time:/);
  assert.notDeepEqual(first.salt, second.salt);
  assert.deepEqual((await thunk('-c a.c')).salt, []);
});

test('SOURCE_DATE_EPOCH fixes __DATE__ but not __TIMESTAMP__', async () => {
  const env = { SOURCE_DATE_EPOCH: '1' };
  assert.deepEqual((await thunk('-c t.c', { env })).salt, []);
  assert.match((await thunk('-c ts.c', { env })).salt[0]!, /^time:/);
});

test('this machine is spelled out, or salts the thunk', async () => {
  const plain = await thunk('-march=native -O2 -c a.c');
  const withDebug = await thunk('-march=native -O2 -g -c a.c');
  assert.ok(!plain.args.includes('-march=native') || plain.salt.length === 1);
  assert.ok(withDebug.args.includes('-march=native'));
  assert.match(withDebug.salt[0]!, /^native:-march=/);
});

const COLOR = '-fdiagnostics-color=always';
const LINKS = '-fdiagnostics-urls=always';
const TERMINALS: readonly (readonly [
  line: string,
  env: Readonly<Record<string, string>>,
  expected: readonly string[],
])[] = [
  ['-c a.c', { TERM: 'xterm-256color' }, [COLOR, LINKS]],
  ['a.c', { TERM: 'xterm-256color' }, [COLOR, LINKS]],
  ['x.o', { TERM: 'xterm-256color' }, []],
  ['-c a.c', { TERM: 'xterm' }, [COLOR]],
  ['-c a.c', { TERM: 'xterm', COLORTERM: 'truecolor' }, [COLOR, LINKS]],
  ['-c a.c', { TERM: 'xterm-256color', COLORTERM: 'gnome-terminal' }, [COLOR]],
  ['-c a.c', { TERM: 'linux' }, [COLOR]],
  ['-c a.c', { TERM: 'linux', TERM_URLS: 'st' }, [COLOR, LINKS]],
  ['-c a.c', { TERM: 'dumb' }, []],
  ['-c a.c', {}, []],
  ['-c a.c', { TERM: 'xterm', GCC_COLORS: '' }, []],
  ['-c a.c', { TERM: 'xterm', GCC_COLORS: 'error=1' }, [COLOR]],
  ['-c a.c -fno-diagnostics-color', { TERM: 'xterm' }, []],
  ['-c a.c -fdiagnostics-color=never', { TERM: 'screen' }, [LINKS]],
  ['-c a.c -fdiagnostics-urls=never', { TERM: 'screen' }, [COLOR]],
  ['-c a.c -fdiagnostics-color=never -fdiagnostics-color=auto', { TERM: 'xterm' }, [COLOR]],
  ['-c a.c -fdiagnostics-plain-output', { TERM: 'screen' }, []],
];

for (const [line, env, expected] of TERMINALS)
  test(`on a terminal: ${line} ${JSON.stringify(env)}`, async () => {
    const added = async (stderrTty: boolean) =>
      (await thunk(line, { env, stderrTty })).args.filter((arg) => arg === COLOR || arg === LINKS);
    assert.deepEqual(await added(true), expected);
    assert.deepEqual(await added(false), []);
  });

test('objects that do not exist yet are inputs like others', async () => {
  const placeholders = new Map([[`${rig.project}/x.o`, ['/nowhere']]]);
  const { inputs, needsCwd } = await thunk('x.o y.o -o p', { context: { placeholders } });
  assert.ok(inputs.includes('x.o') && inputs.includes('y.o'));
  assert.equal(needsCwd, false);
});

test('libraries that flags bring are inputs', async () => {
  for (const [flag, library] of [
    ['--coverage', 'libgcov.a'],
    ['-fprofile-generate', 'libgcov.a'],
    ['-fopenmp', 'libgomp.so'],
    ['-pg', 'gcrt1.o'],
  ] as const) {
    const { inputs } = await thunk(`${flag} x.o -o p`);
    assert.ok(
      inputs.some((input) => input.endsWith(`/${library}`)),
      `${flag}: ${library}`,
    );
  }
});

test('links with the same flags share one question', async () => {
  const context = fakeContext();
  const link = async (line: string) => {
    const made = await gccModel.plan(fakeCall('gcc', line.split(' '), { cwd: rig.project }), context);
    assert.ok(made.kind === 'plan', JSON.stringify(made));
    return made.thunks[0]!.inputs.filter((input) => !input.startsWith('/'));
  };
  assert.deepEqual(await link('-O2 x.o y.o -o p -lm'), ['x.o', 'y.o']);
  const asked = context.queries.length;
  assert.deepEqual(await link('-O2 z.o y.o x.o -o other -lm'), ['z.o', 'y.o', 'x.o']);
  assert.equal(context.queries.length, asked);
});

test('a file named like a stand-in is not mistaken for one', async () => {
  const files = new Map([[`${rig.project}/gg-stand-in-0.o`, '']]);
  const { inputs } = await thunk('gg-stand-in-0.o x.o -o p', { context: { files } });
  assert.deepEqual(
    inputs.filter((input) => !input.startsWith('/')),
    ['gg-stand-in-0.o', 'x.o'],
  );
});
