// Runs one command plainly at a path and, from nothing but a thunk and blobs, in a worker that is another user's.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { nameValue, type ObjectName } from '../../src/ir/name.ts';
import { encodeThunk, type Thunk } from '../../src/ir/thunk.ts';
import { ensureNative, VROOT_LIBRARY } from '../../src/native/build.ts';
import type { QueryRunner } from '../../src/scan/scanner.ts';
import { DigestCache } from '../../src/store/local/digest-cache.ts';
import { type Captured, captureToolchain } from '../../src/toolchain/capture.ts';
import { Offers } from '../../src/toolchain/offers.ts';
import { partOf } from '../../src/toolchain/parts.ts';
import { Toolchains } from '../../src/toolchain/toolchain.ts';
import {
  WORKER_PROTOCOL,
  type WorkDone,
  type WorkFailed,
  type WorkItem,
  type WorkRequest,
} from '../../src/worker/messages.ts';

export const PATH = '/usr/bin:/bin';
const NOBODY = 65534;
const product = fileURLToPath(new URL('../..', import.meta.url));

export const query: QueryRunner = async (file, args, options) => {
  const r = spawnSync(file, [...args], { cwd: options.cwd, env: Object.fromEntries(options.env) });
  return { code: r.status ?? 127, stdout: r.stdout, stderr: r.stderr };
};

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Absolute path to bytes of what it wrote. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** Says in which respect two runs differ; undefined: in none. */
export function difference(a: Ended, b: Ended): string | undefined {
  if (a.code !== b.code) return `exit ${a.code} and ${b.code}: ${b.stderr.slice(0, 500)}`;
  if (a.stderr !== b.stderr)
    return `stderr: ${a.stderr.slice(0, 800)}\n--- and ---\n${b.stderr.slice(0, 800)}`;
  if (a.stdout !== b.stdout) return `stdout: ${a.stdout.slice(0, 300)} and ${b.stdout.slice(0, 300)}`;
  for (const path of new Set([...a.files.keys(), ...b.files.keys()])) {
    const [x, y] = [a.files.get(path), b.files.get(path)];
    if (!x || !y) return `${path} is written by one only`;
    if (!x.equals(y)) return `bytes of ${path}`;
  }
  return undefined;
}

/** Are we the superuser, and may others read the checkout and start node? */
export function mayBeNobody(): boolean {
  if (process.getuid?.() !== 0) return false;
  const script = join(product, 'test/e2e/vroot-worker.ts');
  const read = "require('node:fs').accessSync(process.argv[1])";
  const run = spawnSync(process.execPath, ['-e', read, script], { uid: NOBODY, gid: NOBODY, cwd: '/' });
  return run.status === 0;
}

export class VrootRig {
  readonly home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-vroot-')));
  readonly project = join(this.home, 'project');
  readonly remote = join(this.home, 'remote');
  readonly digests = new DigestCache();
  readonly vroot: string;
  readonly toolchains = new Toolchains(query, (path) => this.digests.digest(path));
  readonly #captured = new Map<string, Promise<Captured>>();
  #worker: { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } | undefined;
  /** Requests with a part of a toolchain, and what was looked for beyond it. */
  readonly parts = { asked: 0, tooLittle: [] as string[] };
  /** A part's manifest to the whole's. */
  readonly #wholes = new Map<ObjectName, ObjectName>();
  readonly #offers = new Offers((bytes) => {
    const name = nameValue(bytes);
    writeFileSync(join(this.remote, name), bytes);
    return name;
  });
  #serial = 0;

  readonly #files: Readonly<Record<string, string>>;

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = files;
    chmodSync(this.home, 0o755);
    for (const d of ['remote', 'worker']) mkdirSync(join(this.home, d));
    for (const d of ['remote', 'worker']) chmodSync(join(this.home, d), 0o777);
    this.fresh();
    const { directory } = ensureNative({
      stateDir: join(this.home, 'state'),
      sources: join(product, 'wrappers'),
      serverScript: '/dev/null',
      nodePath: process.execPath,
      env: { PATH },
    });
    this.vroot = join(directory, VROOT_LIBRARY);
  }

  /** The project as it was, with what a shell command makes of it. */
  fresh(setup?: string): void {
    rmSync(this.project, { recursive: true, force: true });
    for (const [path, text] of Object.entries(this.#files)) {
      mkdirSync(dirname(join(this.project, path)), { recursive: true });
      writeFileSync(join(this.project, path), text.replaceAll('PROJECT', this.project));
    }
    if (setup === undefined) return;
    const run = spawnSync('sh', ['-ec', setup], { cwd: this.project, env: { PATH } });
    if (run.status !== 0) throw new Error(`${setup}: ${run.stderr}`);
  }

  close(): void {
    this.#worker?.child.stdin?.end();
    rmSync(this.home, { recursive: true, force: true });
  }

  captured(realTool: string): Promise<Captured> {
    let captured = this.#captured.get(realTool);
    if (!captured) {
      captured = (async () => {
        const toolchain = await this.toolchains.of(realTool, PATH);
        const result = await captureToolchain(toolchain, {
          realTool,
          vroot: this.vroot,
          digestOf: (path) => this.digests.digest(path),
          query,
        });
        if (result.kind === 'unsupported') throw new Error(`${result.reason}: ${result.detail}`);
        for (const [name, path] of result.pathByName) this.publish(name, path);
        writeFileSync(join(this.remote, result.name), result.bytes);
        return result;
      })();
      this.#captured.set(realTool, captured);
    }
    return captured;
  }

  /** Puts a file where the worker fetches from. */
  publish(name: ObjectName, path: string): void {
    const to = join(this.remote, name);
    if (existsSync(to)) return;
    copyFileSync(path, to);
    chmodSync(to, 0o644);
  }

  nameOf(path: string): ObjectName {
    const name = this.digests.digest(path);
    if (name === undefined) throw new Error(`${path}: not readable`);
    this.publish(name, path);
    return name;
  }

  /** Regular files of the project. */
  files(): Map<string, { readonly mtimeMs: number; readonly ino: number }> {
    const found = new Map<string, { mtimeMs: number; ino: number }>();
    for (const entry of readdirSync(this.project, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const { mtimeMs, ino } = statSync(path);
      found.set(path, { mtimeMs, ino });
    }
    return found;
  }

  plain(argv: readonly string[], cwd: string, env: Readonly<Record<string, string>>): Ended {
    const before = this.files();
    const run = spawnSync(argv[0]!, argv.slice(1), { cwd, env: { PATH, ...env }, maxBuffer: 1 << 28 });
    const files = new Map<string, Buffer>();
    for (const [path, is] of this.files()) {
      const was = before.get(path);
      if (was?.mtimeMs !== is.mtimeMs || was.ino !== is.ino) files.set(path, readFileSync(path));
    }
    return {
      code: run.status ?? -1,
      stdout: run.stdout.toString('latin1'),
      stderr: run.stderr.toString('latin1'),
      files,
    };
  }

  /** As the engine does: with a part of the toolchain, and again with the whole where that was too little. */
  async request(
    items: readonly WorkItem[],
    toolchain: ObjectName,
    more: Partial<WorkRequest> = {},
  ): Promise<readonly (WorkDone | WorkFailed)[]> {
    const whole = this.#wholes.get(toolchain);
    if (whole !== undefined) this.parts.asked++;
    const results = await this.#send(items, toolchain, more);
    const last = results.at(-1);
    if (whole === undefined || last?.kind !== 'failed' || last.reason !== 'toolchain-part') return results;
    this.parts.tooLittle.push(last.detail);
    return this.#send(items, whole, more);
  }

  async #send(
    items: readonly WorkItem[],
    toolchain: ObjectName,
    more: Partial<WorkRequest>,
  ): Promise<readonly (WorkDone | WorkFailed)[]> {
    this.#worker ??= this.#start();
    const request: WorkRequest = {
      protocol: WORKER_PROTOCOL,
      id: String(this.#serial++),
      toolchain,
      remote: { kind: 'redis', url: 'none', prefix: '' },
      items,
      inline: {},
      inlineBytesMax: 0,
      timeoutMs: 120_000,
      ...more,
    };
    this.#worker.child.stdin!.write(`${JSON.stringify(request)}\n`);
    const line = await this.#worker.lines.next();
    if (line.done) throw new Error('the worker ended');
    return JSON.parse(line.value) as (WorkDone | WorkFailed)[];
  }

  #start(): { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } {
    const other = mayBeNobody() ? { uid: NOBODY, gid: NOBODY } : {};
    const child = spawn(
      process.execPath,
      [join(product, 'test/e2e/vroot-worker.ts'), join(this.home, 'worker'), this.remote],
      { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'], env: { PATH }, ...other },
    );
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return { child, lines };
  }

  /** The thunk of a command, with whatever files the caller says it reads. */
  async item(
    argv: readonly string[],
    more: Partial<Thunk> & { readonly cwd: string; readonly reads: Iterable<string> },
  ): Promise<{ readonly item: WorkItem; readonly toolchain: ObjectName }> {
    const { reads, ...fields } = more;
    const realTool = `/usr/bin/${argv[0]}`;
    const captured = await this.captured(realTool);
    const thunk: Thunk = {
      tool: argv[0]!,
      toolchain: captured.manifest.digest,
      args: argv.slice(1),
      env: [],
      inputs: [...reads].map((path) => ({ path, name: this.nameOf(path) })),
      absent: [],
      outputs: [],
      salt: [],
      ...fields,
    };
    const { name, bytes } = encodeThunk(thunk);
    const item: WorkItem = {
      name,
      thunk: bytes.toString(),
      realTool,
      cwd: more.cwd,
      pwd: more.cwd,
      searchPath: PATH,
    };
    const links = !argv.some((word) => /^-[cSE]$|^-fsyntax-only$/.test(word));
    const part = partOf(thunk, links ? 'link' : 'compile');
    if (part === undefined) return { item, toolchain: captured.name };
    const { manifest } = await this.#offers.of(captured, part);
    this.#wholes.set(manifest, captured.name);
    return { item, toolchain: manifest };
  }

  /** What a worker's answer amounts to. @throws when it is none */
  ended(result: WorkDone | WorkFailed | undefined, outputs: ReadonlyMap<string, string>): Ended {
    if (result?.kind !== 'done') throw new Error(`${result?.reason}: ${result?.detail}`);
    const wrong = result.undeclaredMisses.find((path) =>
      lstatSync(path, { throwIfNoEntry: false })?.isFile(),
    );
    if (wrong !== undefined) throw new Error(`${wrong} was looked up in vain, and is there`);
    return {
      code: result.exitCode,
      stdout: Buffer.from(result.stdout, 'base64').toString('latin1'),
      stderr: Buffer.from(result.stderr, 'base64').toString('latin1'),
      files: new Map(
        result.outputs.map((o) => [outputs.get(o.tag)!, readFileSync(join(this.remote, o.name))]),
      ),
    };
  }
}
