// What the virtual root costs: the same compiles plainly and below a root, alternating.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ObjectName } from '../src/ir/name.ts';
import { encodeThunk } from '../src/ir/thunk.ts';
import { ensureNative, VROOT_LIBRARY } from '../src/native/build.ts';
import type { QueryRunner } from '../src/scan/scanner.ts';
import { DigestCache } from '../src/store/local/digest-cache.ts';
import { captureToolchain } from '../src/toolchain/capture.ts';
import { Toolchains } from '../src/toolchain/toolchain.ts';
import { BlobCache } from '../src/worker/blobs/blob-cache.ts';
import { checkItem, commandOf, environmentOf, layOut } from '../src/worker/run/layout.ts';
import { Slots } from '../src/worker/run/slots.ts';
import { createLog } from '../src/wire/vroot-log.ts';

const PATH = '/usr/bin:/bin';
const UNITS = [
  {
    label: 'small C',
    tool: 'gcc',
    source: 'a.c',
    args: ['-O2', '-c'],
    runs: 60,
    text: '#include <stdio.h>\n#include <stdlib.h>\nint f(int i) { return printf("%d\\n", abs(i)); }\n',
  },
  {
    label: 'C++ regex',
    tool: 'g++',
    source: 'c.cc',
    args: ['-O2', '-c'],
    runs: 8,
    text: '#include <iostream>\n#include <regex>\nbool f(const std::string& s) { std::regex r("a+b*"); std::cout << s; return std::regex_match(s, r); }\n',
  },
] as const;

const home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-bench-')));
const project = join(home, 'p');
const query: QueryRunner = async (file, args, options) => {
  const r = spawnSync(file, [...args], { cwd: options.cwd, env: Object.fromEntries(options.env) });
  return { code: r.status ?? 127, stdout: r.stdout, stderr: r.stderr };
};

/** User and system milliseconds of a command with its children; steadier than wall time on a busy machine. */
function cpuOf(argv: readonly string[], cwd: string, env: Readonly<Record<string, string>>): number {
  const run = spawnSync('/bin/bash', ['-c', 'TIMEFORMAT="%3U %3S"; time "$@"', 'bash', ...argv], {
    cwd,
    env: { ...env, LC_ALL: 'C' },
    encoding: 'utf8',
  });
  const [user, system] = run.stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  return (user! + system!) * 1000;
}

function line(label: string, times: readonly number[], base?: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
  const low = base ? Math.min(...base) : 0;
  const ratio = base ? `  minimum ${(sorted[0]! / low).toFixed(3)} of plain` : '';
  return `${label.padEnd(24)} minimum ${at(0).toFixed(1)} ms  median ${at(0.5).toFixed(1)}  quartiles ${at(0.25).toFixed(1)}-${at(0.75).toFixed(1)}${ratio}`;
}

try {
  chmodSync(home, 0o755);
  mkdirSync(project);
  const { directory } = ensureNative({
    stateDir: join(home, 'state'),
    sources: fileURLToPath(new URL('../wrappers', import.meta.url)),
    serverScript: '/dev/null',
    nodePath: process.execPath,
    env: { PATH },
  });
  const digests = new DigestCache();
  const digestOf = (path: string) => digests.digest(path);
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()}, ${spawnSync('gcc', ['--version']).stdout.toString().split('\n')[0]}`,
  );
  const cache = new BlobCache(join(home, 'worker'), 1 << 30);
  const slots = new Slots(join(home, 'worker'));
  for (const unit of UNITS) {
    writeFileSync(join(project, unit.source), unit.text);
    const realTool = `/usr/bin/${unit.tool}`;
    const before = performance.now();
    const captured = await captureToolchain(await new Toolchains(query, digestOf).of(realTool, PATH), {
      realTool,
      vroot: join(directory, VROOT_LIBRARY),
      digestOf,
      query,
    });
    if (captured.kind === 'unsupported') throw new Error(`${captured.reason}: ${captured.detail}`);
    console.log(`${unit.label}: toolchain captured in ${(performance.now() - before).toFixed(0)} ms`);
    const listed = spawnSync(unit.tool, ['-O2', '-M', '-MT', 'x', unit.source], {
      cwd: project,
      env: { PATH },
    });
    const reads = listed.stdout
      .toString()
      .split(/[\s\\]+/)
      .slice(1)
      .filter((w) => w !== '');
    const pathByName = new Map<ObjectName, string>(captured.pathByName);
    const inputs = reads.map((path) => {
      const absPath = path.startsWith('/') ? path : join(project, path);
      const name = digestOf(absPath)!;
      pathByName.set(name, absPath);
      return { path, name };
    });
    const { name, bytes } = encodeThunk({
      tool: unit.tool,
      toolchain: captured.manifest.digest,
      args: [...unit.args, unit.source, '-o', { prefix: '', output: 'o' }],
      env: [],
      cwd: '',
      inputs,
      absent: [],
      outputs: [{ tag: 'o', path: 'out.o' }],
      salt: [],
    });
    const item = { name, thunk: bytes.toString(), realTool, cwd: project, pwd: project, searchPath: PATH };
    const thunk = checkItem(item, captured.manifest);
    await cache.hold(pathByName.keys(), {
      fetch: async (blob, absPath) => copyFileSync(pathByName.get(blob)!, absPath),
    });
    const plain: number[] = [];
    const below: number[] = [];
    const layouts: number[] = [];
    const plainCpu: number[] = [];
    const belowCpu: number[] = [];
    for (let i = 0; i < unit.runs; i++) {
      const a = performance.now();
      const run = spawnSync(unit.tool, [...unit.args, unit.source, '-o', 'out.o'], {
        cwd: project,
        env: { PATH },
      });
      const b = performance.now();
      const slot = slots.take(captured.name, captured.manifest, (blob) => cache.path(blob));
      const { root } = slot;
      layOut(root, {
        item,
        thunk,
        resolveValue: (input) => input as ObjectName,
        pathOf: (blob) => cache.path(blob),
      });
      const log = join(home, `log-${i}`);
      createLog(log);
      const c = performance.now();
      const { file, args } = commandOf(root.path, captured.manifest, item, thunk);
      const inRoot = spawnSync(file, args, {
        cwd: root.path + project,
        env: environmentOf(root.path, log, captured.manifest, item, thunk),
      });
      const d = performance.now();
      plainCpu.push(cpuOf([unit.tool, ...unit.args, unit.source, '-o', 'out.o'], project, { PATH }));
      belowCpu.push(
        cpuOf(
          [file, ...args],
          root.path + project,
          environmentOf(root.path, log, captured.manifest, item, thunk),
        ),
      );
      const beforeCleaning = performance.now();
      if (run.status !== 0 || inRoot.status !== 0) throw new Error(`${run.stderr}${inRoot.stderr}`);
      rmSync(`${root.path}${project}/out.o`);
      slots.give(slot, root.clean(['/tmp'], 10).length === 0);
      const e = performance.now();
      rmSync(log);
      plain.push(b - a);
      below.push(d - c);
      layouts.push(c - b + e - beforeCleaning);
    }
    console.log(line(`${unit.label}, plain`, plain));
    console.log(line(`${unit.label}, virtual root`, below, plain));
    console.log(line('  CPU time, plain', plainCpu));
    console.log(line('  CPU time, virtual root', belowCpu, plainCpu));
    console.log(line(`  tree of ${inputs.length} inputs`, layouts));
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
