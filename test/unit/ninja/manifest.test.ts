import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NinjaError } from '../../../src/ninja/error.ts';
import {
  depfileOf,
  depsOf,
  descriptionOf,
  isGenerator,
  isRestat,
  responseFileOf,
} from '../../../src/ninja/evaluate.ts';
import { loadManifest, type Manifest } from '../../../src/ninja/manifest.ts';
import type { ParseOptions } from '../../../src/ninja/parser.ts';

/** The manifest of files in memory. */
function load(files: Readonly<Record<string, string>>, options: Partial<ParseOptions> = {}): Manifest {
  const readFile = (path: string): Buffer => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
    return Buffer.from(text);
  };
  return loadManifest('build.ninja', { readFile, ...options });
}

function paths(nodes: readonly { readonly path: string }[]): readonly string[] {
  return nodes.map((node) => node.path);
}

function thrown(act: () => unknown): NinjaError {
  try {
    act();
  } catch (error) {
    if (error instanceof NinjaError) return error;
    throw error;
  }
  return assert.fail('nothing was thrown');
}

const CC = 'rule cc\n  command = cc $in -o $out\n';

test('final outputs: phony names resolved, all outputs of a statement, validations, no sources', () => {
  const manifest = load({
    'build.ninja': `${CC}build all: phony lib app.stamp src.c\nbuild lib: phony a.so | a.h || doc\n${
      'build a.so | a.map: cc a.o |@ lint\nbuild a.o: cc a.c |@ check\nbuild app.stamp: cc app.c\n' +
      'build doc: cc d.txt\nbuild lint: phony lint.out\nbuild lint.out: cc a.c\nbuild check: cc b.c\nbuild other: cc c.c\n'
    }`,
  });
  const finals = manifest.finalOutputs(manifest.targetsFor(['all']));
  assert.deepEqual(paths(finals), ['a.so', 'a.map', 'doc', 'app.stamp', 'check', 'lint.out']);
});

test('edges for targets: what is needed first, validations after, nothing else', () => {
  const manifest = load({
    'build.ninja': `${CC}build a: cc b | c || d |@ v\nbuild d: cc\nbuild v: cc\nbuild x: cc\n`,
  });
  const edges = manifest.edgesFor(manifest.targetsFor(['a']));
  assert.deepEqual(
    edges.flatMap((edge) => manifest.outputsOf(edge)),
    ['d', 'a', 'v'],
  );
});

test('details of a statement', () => {
  const manifest = load({
    'build.ninja':
      'rule r\n  command = c @$out.rsp\n  description = D $out\n  depfile = $out.d\n  deps = gcc\n  restat = 1\n' +
      '  rspfile = $out.rsp\n  rspfile_content = $in_newline\nbuild a$ b: r x$ 1 y\n  generator = 1\n',
  });
  const edge = manifest.edges[0]!;
  assert.equal(manifest.command(edge), "c @'a b'.rsp");
  assert.equal(descriptionOf(edge), "D 'a b'");
  assert.equal(depfileOf(edge), 'a b.d');
  assert.equal(depsOf(edge), 'gcc');
  assert.ok(isRestat(edge) && isGenerator(edge));
  assert.deepEqual(responseFileOf(edge), { path: 'a b.rsp', content: "'x 1'\ny" });
  assert.equal(manifest.binding(edge, 'generator'), '1');
});

test('a binding of the rule may be used twice', () => {
  const manifest = load({
    'build.ninja': 'rule r\n  command = $depfile $depfile\n  depfile = $out.d\nbuild a: r\n',
  });
  assert.equal(manifest.command(manifest.edges[0]!), 'a.d a.d');
});

test('settings of the whole manifest', () => {
  const manifest = load({
    'build.ninja': 'ninja_required_version = 1.5\nbuilddir = out\npool p\n  depth = 3\ninclude b.ninja\n',
    'b.ninja': '',
  });
  assert.equal(manifest.buildDirectory, 'out');
  assert.equal(manifest.requiredVersion, '1.5');
  assert.deepEqual(
    [...manifest.pools.values()].map(({ name, depth }) => [name, depth]),
    [
      ['', 0],
      ['console', 1],
      ['p', 3],
    ],
  );
  assert.deepEqual(manifest.files, ['build.ninja', 'b.ninja']);
});

test('the version is checked only against a known ninja', () => {
  const files = { 'build.ninja': 'ninja_required_version = 9.1\n' };
  assert.equal(load(files).requiredVersion, '9.1');
  assert.ok(thrown(() => load(files, { ninjaVersion: '1.11.1' })).fatal);
  assert.equal(load(files, { ninjaVersion: '9.2.git' }).warnings.length, 0);
  assert.equal(load(files, { ninjaVersion: '10.0' }).warnings.length, 1);
});

test('duplicate outputs can be a warning', () => {
  const text = `${CC}build a: cc b\nbuild c | a d: cc e\nbuild a: cc f\n`;
  const manifest = load({ 'build.ninja': text }, { dupbuild: 'warn' });
  assert.deepEqual(
    manifest.edges.map((edge) => manifest.outputsOf(edge)),
    [['a'], ['c', 'd']],
  );
  assert.equal(manifest.edges[1]!.implicitOutputCount, 1);
  assert.equal(manifest.warnings.length, 2);
});

test('a phony that names itself loses that input unless told otherwise', () => {
  const text = 'build a: phony a b\n';
  assert.deepEqual(paths(load({ 'build.ninja': text }).edges[0]!.inputs), ['b']);
  const strict = load({ 'build.ninja': text }, { phonycycle: 'err' });
  const error = thrown(() => strict.edgesFor(strict.targetsFor(['a'])));
  assert.equal(error.message, 'dependency cycle: a -> a [-w phonycycle=err]');
});

test('an error says where, as a value and in words', () => {
  const error = thrown(() => load({ 'build.ninja': 'x = 1\nbuild a: nope b\n' }));
  assert.deepEqual(error.place, { file: 'build.ninja', line: 2, column: 9 });
  assert.equal(error.reason, 'graph');
  assert.equal(
    error.report,
    "ninja: error: build.ninja:2: unknown build rule 'nope'\nbuild a: nope b\n         ^ near here\n",
  );
});

test('a file that includes itself is an error, not the end', () => {
  assert.match(thrown(() => load({ 'build.ninja': 'include build.ninja\n' })).message, /includes itself/);
});

test('a missing manifest', () => {
  const error = thrown(() => load({}));
  assert.equal(error.reason, 'load');
  assert.equal(error.message, "loading 'build.ninja': No such file or directory");
});

test('the user of a file can come from the dependency log', () => {
  const manifest = load({ 'build.ninja': `${CC}build a: cc b\nbuild h: phony\n` });
  assert.deepEqual(paths(manifest.targetsFor(['b^'])), ['a']);
  assert.match(thrown(() => manifest.targetsFor(['h^'])).message, /has no out edge/);
  assert.deepEqual(paths(manifest.targetsFor(['h^'], { firstReverseDependency: () => 'a' })), ['a']);
});

test('dyndep: inputs and outputs appear, restat too', () => {
  const manifest = load({
    'build.ninja': `${CC}build a: cc b || dd\n  dyndep = dd\nbuild m.h: cc c\n`,
    dd: 'ninja_dyndep_version = 1\nbuild a | a.mod: dyndep | m.h\n  restat = 1\n',
  });
  const edge = manifest.edges[0]!;
  manifest.loadDyndep(edge.dyndep!);
  assert.deepEqual(manifest.outputsOf(edge), ['a', 'a.mod']);
  assert.deepEqual(paths(edge.inputs), ['b', 'm.h', 'dd']);
  assert.equal(manifest.command(edge), 'cc b -o a');
  assert.ok(isRestat(edge));
  assert.equal(edge.dyndep!.dyndepPending, false);
});

test('100,000 statements, as wide and as deep as they get', () => {
  const count = 100_000;
  const lines = [CC];
  for (let i = 0; i < count; i++) lines.push(`# ${i}\nbuild ${i}.o: cc ${i}.c\n`);
  lines.push(
    `build wide: cc ${Array.from({ length: count }, (_, i) => `${i}.o`).join(' ')}\nbuild c0: cc wide\n`,
  );
  for (let i = 1; i < count; i++) lines.push(`build c${i}: phony c${i - 1}\n`);
  const manifest = load({ 'build.ninja': lines.join('') });
  const targets = manifest.targetsFor([]);
  assert.deepEqual(paths(targets), [`c${count - 1}`]);
  assert.equal(manifest.edgesFor(targets).length, 2 * count + 1);
  assert.deepEqual(paths(manifest.finalOutputs(targets)), ['c0']);
});
