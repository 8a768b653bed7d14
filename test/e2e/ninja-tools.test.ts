// Our manifest against ninja's own tools, on hand-written files, on mutated ones and on what CMake writes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { encodeBytes } from '../../src/ninja/bytes.ts';
import { NinjaError } from '../../src/ninja/error.ts';
import type { Node } from '../../src/ninja/graph.ts';
import { loadManifest, type Manifest } from '../../src/ninja/manifest.ts';
import { readFileIn } from '../../src/ninja/read-file.ts';
import { BROKEN, SAMPLES, type Sample, UNBUILDABLE } from '../unit/ninja/corpus.ts';
import {
  normalizeGraph,
  renderCommands,
  renderCompdb,
  renderGraph,
  renderInputs,
  renderQuery,
  renderTargetsAll,
} from '../unit/ninja/render-tools.ts';

const root = mkdtempSync(join(tmpdir(), 'ninja-tools-'));
after(() => rmSync(root, { recursive: true, force: true }));

const version = spawnSync('ninja', ['--version'], { encoding: 'utf8' }).stdout?.trim();
const options = { skip: version === undefined ? 'ninja is not installed' : false };

interface Printed {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Output as latin1: bytes that compare. */
function ninja(directory: string, args: readonly string[], file = 'build.ninja'): Printed {
  const run = spawnSync('ninja', ['-f', file, ...args], {
    cwd: directory,
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  assert.equal(run.error, undefined);
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

let count = 0;
function unpack(files: Sample['files']): string {
  const directory = join(root, String(count++));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  return directory;
}

function load(directory: string, file = 'build.ninja'): Manifest {
  return loadManifest(file, { readFile: readFileIn(directory), ninjaVersion: version! });
}

/** What ninja would print and how it would end, had it our code inside. */
function attempt(directory: string, render: (manifest: Manifest) => string, file?: string): Printed {
  const stderr: string[] = [];
  try {
    const manifest = load(directory, file);
    for (const warning of manifest.warnings) stderr.push(`ninja: warning: ${warning}\n`);
    const stdout = render(manifest);
    return { code: 0, stdout, stderr: latin1(stderr.join('')) };
  } catch (error) {
    if (!(error instanceof NinjaError)) throw error;
    return { code: 1, stdout: '', stderr: latin1(stderr.join('') + error.report) };
  }
}

function latin1(text: string): string {
  return encodeBytes(text).toString('latin1');
}

/** Nodes that can be named in any locale of this process. */
function nameable(manifest: Manifest): readonly Node[] {
  const plain = (path: string): boolean => path.isWellFormed() && path !== '' && !path.endsWith('^');
  return [...manifest.nodeByPath.values()].filter(({ path }) => plain(path) && !path.startsWith('-'));
}

function compare(directory: string, file?: string): void {
  const check = (render: (manifest: Manifest) => string, args: readonly string[]): void =>
    assert.deepEqual(attempt(directory, render, file), ninja(directory, args, file), args.join(' '));
  check(renderTargetsAll, ['-t', 'targets', 'all']);
  check((m) => renderCommands(m, m.targetsFor([])), ['-t', 'commands']);
  check((m) => renderInputs(m.targetsFor([])), ['-t', 'inputs']);
  const graph = normalizeGraph(ninja(directory, ['-t', 'graph'], file).stdout);
  assert.equal(attempt(directory, (m) => renderGraph(m, m.targetsFor([])), file).stdout, graph);

  const paths = nameable(load(directory, file)).map((node) => node.path);
  for (const path of paths.slice(0, TARGETS_MAX)) {
    check((m) => renderCommands(m, m.targetsFor([path])), ['-t', 'commands', path]);
  }
  for (let start = 0; start < paths.length; start += 500) {
    const some = paths.slice(start, start + 500);
    const fresh = load(directory, file);
    const nodes = some.map((path) => fresh.nodeByPath.get(path)!);
    assert.equal(renderQuery(fresh, nodes), ninja(directory, ['-t', 'query', ...some], file).stdout);
  }
  compareCompdb(directory, file);
}

/** Targets asked for one by one; more only take time. */
const TARGETS_MAX = 40;

function compareCompdb(directory: string, file?: string): void {
  const manifest = load(directory, file);
  // ninja writes bytes that are no UTF-8 into its JSON; JSON.parse then sees replacement characters.
  if (!manifest.edges.every((edge) => manifest.command(edge).isWellFormed())) return;
  const printed = ninja(directory, ['-t', 'compdb', '-x'], file);
  const text = Buffer.from(printed.stdout, 'latin1').toString();
  const entries = JSON.parse(text) as { readonly output: string; readonly command: string }[];
  assert.deepEqual(
    renderCompdb(manifest),
    entries.map(({ output, command }) => [output, command]),
  );
}

for (const { name, files } of SAMPLES) {
  test(`sample: ${name}`, options, () => compare(unpack(files)));
}

for (const { name, files } of BROKEN) {
  test(`broken: ${name}`, options, () => {
    const directory = unpack(files);
    const commands = attempt(directory, (m) => renderCommands(m, m.targetsFor([])));
    assert.deepEqual(commands, ninja(directory, ['-t', 'commands']));
    assert.equal(commands.code, 1);
  });
}

/** As far as a build gets before its first command, with every dyndep file at hand. */
function planAll(manifest: Manifest): string {
  const targets = manifest.targetsFor(['all']);
  for (const edge of manifest.edgesFor(targets)) if (edge.dyndep) manifest.loadDyndep(edge.dyndep);
  manifest.edgesFor(targets);
  return '';
}

for (const { name, files } of UNBUILDABLE) {
  test(`unbuildable: ${name}`, options, () => {
    const directory = unpack(files);
    const own = attempt(directory, planAll);
    assert.deepEqual(own, ninja(directory, ['--quiet', 'all']));
    assert.equal(own.code, 1);
  });
}

const UNKNOWN_TARGETS = [
  '',
  'aa',
  'clean',
  'help',
  'b.c^',
  'nope^',
  './out/../aaa.p',
  'far-from-everything',
  'größe',
  'a.c^',
];

test('targets on the command line are found, or not, as ninja finds them', options, () => {
  const directory = unpack({
    'build.ninja':
      'rule cc\n  command = cc $in -o $out\nbuild aaa.o out/x.o: cc a.c\nbuild grösse: cc aaa.o | b.c\nbuild b2: cc b.c\n',
  });
  for (const target of [...UNKNOWN_TARGETS, 'out/x.o', './aaa.o', 'out//../b2', 'out/x.o^', 'aaa.o^']) {
    const own = attempt(directory, (m) => renderCommands(m, m.targetsFor([target])));
    assert.deepEqual(own, ninja(directory, ['-t', 'commands', target]), target);
  }
});

/** A small generator with a seed: the same mutations on every machine. */
function randomizer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const INSERTS = [
  ' ',
  '\n',
  '\r\n',
  '\t',
  '$',
  '$$',
  '$ ',
  '$\n',
  '$:',
  ':',
  '|',
  '||',
  '|@',
  '=',
  '#',
  '  ',
  '/',
  '../',
];
const MORE_INSERTS = [
  '\0',
  '\r',
  '\xe9',
  "'",
  'build ',
  'rule ',
  'x',
  '.',
  '$in',
  '$x',
  'default a\n',
  'include ',
  '^',
];

function mutate(text: string, random: (below: number) => number): string {
  const inserts = [...INSERTS, ...MORE_INSERTS];
  let result = text;
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const at = random(result.length + 1);
    const removed = random(3);
    const insert = random(3) === 0 ? '' : inserts[random(inserts.length)]!;
    result = result.slice(0, at) + insert + result.slice(at + removed);
  }
  return result;
}

function withoutWarnings(stderr: string): string {
  return stderr.replace(/^(ninja: warning: .*\n)*/, '');
}

/** Edits per manifest, and where they begin; raised by hand when the parser changes. */
const SEED = Number(process.env['NINJA_SEED'] ?? 1);
const MUTATIONS = Number(process.env['NINJA_MUTATIONS'] ?? 4);

/** Writes one of the files anew with random edits; returns what it wrote. */
function mutateOne(directory: string, files: Sample['files'], random: (below: number) => number): string {
  for (const [path, content] of Object.entries(files)) writeFileSync(join(directory, path), content);
  const paths = Object.keys(files);
  const path = paths[random(paths.length)]!;
  const text = mutate(Buffer.from(files[path]!).toString('latin1'), random);
  writeFileSync(join(directory, path), Buffer.from(text, 'latin1'));
  return `${path}: ${JSON.stringify(text)}`;
}

test('mutated manifests give what ninja gives, errors included', options, () => {
  const random = randomizer(SEED);
  for (const { name, files } of [...SAMPLES, ...BROKEN]) {
    const directory = unpack(files);
    for (let i = 0; i < MUTATIONS; i++) {
      const what = `${name}: ${mutateOne(directory, files, random)}`;
      const own = attempt(directory, (m) => renderCommands(m, m.targetsFor([])));
      const real = ninja(directory, ['-t', 'commands']);
      // ninja up to 1.11 takes a rule's binding used twice for a cycle; later ones, and we, do not.
      if (own.code === 0 && real.stderr.includes('cycle in rule variables')) continue;
      // Before an error ninja has printed warnings and commands; we give all or nothing.
      if (real.code !== 0) assert.equal(withoutWarnings(own.stderr), withoutWarnings(real.stderr), what);
      else assert.deepEqual(own, real, what);
    }
  }
});

test('mutated dyndep files and cycles are refused when ninja refuses them', options, () => {
  const random = randomizer(SEED);
  for (const { name, files } of UNBUILDABLE) {
    const directory = unpack(files);
    for (let i = 0; i < MUTATIONS; i++) {
      const what = `${name}: ${mutateOne(directory, files, random)}`;
      const own = attempt(directory, planAll);
      const real = ninja(directory, ['-n', '--quiet', 'all']);
      // Whether sources exist is not the manifest's business, and ninja may notice that first.
      if (/missing and no known rule|cycle in rule variables|unknown target/.test(real.stderr)) continue;
      // ninja loses a lexing error inside the lists of a dyndep file and stumbles a little later.
      if (LEXING_ERROR.test(own.stderr)) assert.notEqual(real.code, 0, what);
      else assert.equal(comparable(own.stderr), comparable(real.stderr), what);
    }
  }
});

/** Which of several surplus outputs ninja names depends on addresses. */
function comparable(stderr: string): string {
  return withoutWarnings(stderr).replace(/mentions output '[^']*'/, 'mentions some output');
}

const LEXING_ERROR = /: dd:[0-9]+: (unexpected EOF|bad \$-escape|lexing error)/;

const CMAKE_PROJECT: Sample['files'] = {
  'CMakeLists.txt': `cmake_minimum_required(VERSION 3.13)
project(sample C CXX)
enable_testing()
add_custom_command(OUTPUT \${CMAKE_BINARY_DIR}/gen.h
  COMMAND sh -c "echo '#define N 1' > $1" -- \${CMAKE_BINARY_DIR}/gen.h DEPENDS in.txt BYPRODUCTS gen.log VERBATIM)
add_custom_target(generate DEPENDS \${CMAKE_BINARY_DIR}/gen.h)
add_library(objs OBJECT "with space.c")
add_library(st STATIC st.c $<TARGET_OBJECTS:objs>)
add_library(sh SHARED sh.cpp)
set_target_properties(sh PROPERTIES VERSION 1.2.3 SOVERSION 1)
target_compile_definitions(st PRIVATE "TEXT=\\"a $b 'c' (d)\\"")
add_executable(app main.c \${CMAKE_BINARY_DIR}/gen.h)
target_include_directories(app PRIVATE \${CMAKE_BINARY_DIR})
target_link_libraries(app st sh)
add_dependencies(app generate)
add_test(NAME app COMMAND app)
add_subdirectory(sub)
install(TARGETS app)
`,
  'sub/CMakeLists.txt':
    'add_executable(tool tool.c)\nadd_custom_target(run ALL COMMAND tool > out.txt USES_TERMINAL)\n',
  'sub/tool.c': 'int main(void) { return 0; }\n',
  'in.txt': '',
  'with space.c': 'int space;\n',
  'st.c': 'int st(void) { return 1; }\n',
  'sh.cpp': 'extern "C" int sh() { return 1; }\n',
  'main.c': '#include "gen.h"\nint main(void) { return 0; }\n',
};

for (const generator of ['Ninja', 'Ninja Multi-Config']) {
  const cmake = spawnSync('cmake', ['--version']).error === undefined;
  const skip = options.skip || (cmake ? false : 'cmake is not installed');
  test(`what CMake's generator "${generator}" writes`, { skip }, () => {
    const source = unpack(CMAKE_PROJECT);
    const build = join(source, 'a build');
    const configured = spawnSync('cmake', ['-S', source, '-B', build, '-G', generator], { encoding: 'utf8' });
    assert.equal(configured.status, 0, configured.stderr);
    compare(build);
    if (generator !== 'Ninja') compare(build, 'build-Release.ninja');

    const manifest = load(build);
    const all = manifest.targetsFor([]);
    const planned = manifest.edgesFor(all).filter((edge) => edge.rule.name !== 'phony');
    const printed = ninja(build, ['-n', '-v', '-j1']).stdout;
    const commands = printed.split('\n').filter((line) => line.startsWith('['));
    assert.deepEqual(
      commands.map((line) => line.replace(/^\[\d+\/\d+\] /, '')).sort(),
      planned
        .filter((edge) => edge.rule.name !== 'RERUN_CMAKE')
        .map((edge) => latin1(manifest.command(edge)))
        .sort(),
    );
    const finals = manifest.finalOutputs(all).map((node) => node.path);
    assert.ok(
      finals.some((path) => path.endsWith('app')),
      finals.join(' '),
    );
    assert.ok(
      finals.some((path) => path.endsWith('libsh.so')),
      finals.join(' '),
    );
    assert.ok(finals.every((path) => manifest.nodeByPath.get(path)?.inEdge?.rule.name !== 'phony'));
  });
}

const MESON_PROJECT: Sample['files'] = {
  'meson.build': `project('sample', 'c')
gen = custom_target('gen', output: 'gen.h', command: ['sh', '-c', 'echo "#define N 1" > $0', '@OUTPUT@'])
st = static_library('st', 'st.c')
sh = shared_library('sh', 'sh.c', version: '1.2.3', c_args: ['-DTEXT="a $ b: c"'])
app = executable('app', 'main.c', gen, link_with: [st, sh], install: true)
test('app', app)
`,
  'st.c': 'int st(void) { return 1; }\n',
  'sh.c': 'int sh(void) { return 1; }\n',
  'main.c': '#include "gen.h"\nint main(void) { return 0; }\n',
};

const meson = spawnSync('meson', ['--version']).error === undefined;

test('what meson writes', { skip: options.skip || (meson ? false : 'meson is not installed') }, () => {
  const source = unpack(MESON_PROJECT);
  const build = join(source, 'b');
  const configured = spawnSync('meson', ['setup', build, source], { encoding: 'utf8' });
  assert.equal(configured.status, 0, configured.stdout);
  compare(build);
  const manifest = load(build);
  const finals = manifest.finalOutputs(manifest.targetsFor([])).map((node) => node.path);
  assert.ok(finals.includes('app'), finals.join(' '));
});
