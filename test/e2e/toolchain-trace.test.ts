// What a compiler really opens, against what was captured; and that in a virtual root it opens nothing outside.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import type { ObjectName } from '../../src/ir/name.ts';
import { captureToolchain } from '../../src/toolchain/capture.ts';
import type { ToolchainManifest } from '../../src/toolchain/manifest.ts';
import { Toolchains } from '../../src/toolchain/toolchain.ts';
import { BlobCache } from '../../src/worker/blobs/blob-cache.ts';
import { checkItem, commandOf, environmentOf, layOut } from '../../src/worker/run/layout.ts';
import { Slots } from '../../src/worker/run/slots.ts';
import { createLog, readLog } from '../../src/wire/vroot-log.ts';
import { PATH, query, WorkerRig } from '../unit/worker/rig.ts';

const strace = ['/usr/bin/strace', '/usr/local/bin/strace'].find((path) => existsSync(path));
const works = strace !== undefined && spawnSync(strace, ['-o', '/dev/null', '/bin/true']).status === 0;
const skip = works ? false : 'strace is not installed or may not trace';

let rig: WorkerRig;
let home: string;

before(() => {
  rig = new WorkerRig();
  home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-trace-')));
  const files = {
    'a.c': '#include <stdio.h>\nint b(void);\nint main(void) { return printf("%d", b()); }\n',
    'b.c': 'int b(void) { return 1; }\n',
    'c.cc': '#include <string>\nint main() { return std::string("x").size() != 1; }\n',
    'w.c': 'int w(void) { int unused; return 0; }\n',
    's.S': '.globl s\ns: ret\n',
  };
  for (const [path, text] of Object.entries(files)) writeFileSync(join(home, path), text);
});
after(() => {
  rig.close();
  rmSync(home, { recursive: true, force: true });
});

interface Opened {
  readonly path: string;
  /** Base name of the program that opened it. */
  readonly by: string;
}

/** Files opened or started with success, as named; relative ones from `cwd`. */
function opened(trace: string, cwd: string): Opened[] {
  const found: Opened[] = [];
  const programs = new Map<string, string>();
  for (const line of trace.split('\n')) {
    const m = /^(\d+)\s+(execve|execveat|openat|open|creat)\((?:AT_FDCWD, )?"([^"]*)"(.*)\)\s+= (\d+)/.exec(
      line,
    );
    if (!m || m[4]!.includes('O_DIRECTORY')) continue;
    const path = resolve(cwd, m[3]!);
    if (m[2]!.startsWith('exec')) programs.set(m[1]!, basename(realpathSync(path)));
    found.push({ path, by: programs.get(m[1]!) ?? '' });
  }
  return found;
}

/** libc's own business; locale.alias has names like "french" only. */
const NOISE =
  /^(?:\/dev\/|\/proc\/|\/tmp\/)|\/(?:ld\.so\.cache|gconv-modules\.cache|locale-archive|locale\.alias)$/;
/** What a thunk declares: headers for compilers, objects and libraries for linkers. */
const HEADERS = /^\/usr\/(?:local\/)?include\/|\/gcc\/[^/]+\/[^/]+\/include(?:-fixed)?\//;
const LINKED = /\.(?:o|a|so)(?:\.[0-9.]+)?$/;

const TRACED: readonly (readonly [tool: string, line: string])[] = [
  ['gcc', '-c -O2 -g a.c -o a.o'],
  ['gcc', '-c b.c -o b.o'],
  ['gcc', '-Wall -c w.c -o w.o'],
  ['gcc', '-c s.S -o s.o'],
  ['gcc', '-E a.c -o a.i'],
  ['gcc', '-g -gsplit-dwarf -c b.c -o split.o'],
  ['g++', '-c c.cc -o c.o'],
  ['g++', 'c.o -o c'],
  ['gcc', 'a.o b.o -o prog'],
  ['gcc', '-static a.o b.o -o prog-static'],
  ['gcc', '-fuse-ld=gold a.o b.o -o prog-gold'],
  ['gcc', '-fopenmp a.o b.o -o prog-omp'],
  ['gcc', '-fsanitize=address a.o b.o -o prog-asan'],
  ['gcc', '-flto -O2 a.c b.c -o prog-lto'],
  ['gcc', '-shared -fPIC b.c -o libb.so'],
  ['as', 's.S -o s2.o'],
  ['ld', '-r a.o b.o -o r.o'],
  ['strip', 'prog -o prog-stripped'],
  ['objcopy', '--only-keep-debug prog prog.debug'],
];

for (const [tool, line] of TRACED)
  test(`${tool} ${line}`, { skip }, async () => {
    const log = join(home, 'trace');
    const run = spawnSync(
      strace!,
      [
        '-f',
        '-qq',
        '-s',
        '4096',
        '-e',
        'trace=execve,execveat,openat,open,creat',
        '-o',
        log,
        tool,
        ...line.split(' '),
      ],
      { cwd: home, env: { PATH, LANG: 'C.UTF-8' }, encoding: 'utf8' },
    );
    assert.equal(run.status, 0, run.stderr);
    const realTool = `/usr/bin/${tool}`;
    const digestOf = (path: string) => rig.digests.digest(path);
    const captured = await captureToolchain(await new Toolchains(query, digestOf).of(realTool, PATH), {
      realTool,
      vroot: rig.vroot,
      digestOf,
      query,
    });
    assert.ok(captured.kind === 'captured', JSON.stringify(captured));
    const held = new Set(captured.manifest.files.map(([path]) => path));
    const all = opened(readFileSync(log, 'utf8'), home);
    assert.ok(all.length > 5, 'something was traced');
    const missing = all.filter(({ path, by }) => {
      if (path.startsWith(`${home}/`) || NOISE.test(path)) return false;
      const real = realpathSync(path);
      if (held.has(real) || statSync(real).isDirectory()) return false;
      if (/^cc1/.test(by)) return !HEADERS.test(path);
      if (/ld(?:\.bfd|\.gold)?$/.test(by)) return !LINKED.test(path);
      return true;
    });
    assert.deepEqual(missing, []);
  });

test('in a virtual root nothing outside of it is opened', { skip }, async () => {
  const { manifest, pathByName } = await rig.captured();
  const item = await rig.item(
    [
      '-Wall',
      '-g',
      '-nostdinc',
      '-I/../../../inc',
      '-c',
      '/w/../../w/a.c',
      '-o',
      { prefix: '', output: 'out' },
    ],
    { '/w/a.c': '#include "h.h"\nint w(void) { int unused; return H; }\n', '/inc/h.h': '#define H 1\n' },
    { env: [['LANG', 'C.UTF-8']] },
  );
  const cache = new BlobCache(join(rig.home, 'traced'));
  mkdirSync(join(rig.home, 'traced'), { recursive: true });
  const thunk = checkItem(item, manifest as ToolchainManifest);
  const blobs = [...pathByName.keys(), ...thunk.inputs.map((i) => i.name as ObjectName)];
  await cache.hold(blobs, {
    fetch: async (name, absPath) => writeFileSync(absPath, readFileSync(join(rig.remote, name))),
  });
  const name = (await rig.captured()).name;
  const { root } = new Slots(join(rig.home, 'traced')).take(name, manifest, (blob) => cache.path(blob));
  layOut(root, {
    item,
    thunk,
    resolveValue: (name) => name as ObjectName,
    pathOf: (name) => cache.path(name),
  });
  const logPath = join(rig.home, 'traced', 'log');
  createLog(logPath);
  const { file, args } = commandOf(root.path, manifest, item, thunk);
  const trace = join(rig.home, 'traced', 'trace');
  const run = spawnSync(
    strace!,
    ['-f', '-qq', '-s', '4096', '-e', 'trace=file', '-o', trace, file, ...args],
    {
      cwd: root.path + item.cwd,
      env: environmentOf(root.path, logPath, manifest, item, thunk),
      encoding: 'utf8',
    },
  );
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stderr, /^\/w\/\.\.\/\.\.\/w\/a\.c: In function ‘w’:/m);
  const text = readFileSync(trace, 'utf8');
  const outside: string[] = [];
  let looked = 0;
  for (const line of text.split('\n')) {
    for (const m of line.split('strace')[0]!.matchAll(/(?:\(|AT_FDCWD, )"(\/[^"]*)"/g)) {
      looked++;
      const path = m[1]!;
      if (path.startsWith(`${root.path}/`) || path === root.path || path === logPath) continue;
      // realpath looks at every part of a real name.
      if (root.path.startsWith(`${path}/`)) continue;
      if (
        /^\/proc\/self\/|^\/dev\/null$|\/(?:locale\.alias|gconv-modules\.cache)$/.test(path) ||
        / = -1 ENOENT/.test(line)
      )
        continue;
      outside.push(line);
    }
  }
  assert.ok(looked > 50, `${looked} names traced`);
  assert.deepEqual(outside, []);
  const log = readLog(logPath);
  assert.ok(log.hits.has('/w/../../w/a.c'));
  assert.ok(log.cpuMs > 0);
});
