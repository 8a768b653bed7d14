// Runs the real product on a copy of a tree, with a server, a store and a socket of its own.
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Counts } from '../../src/report/events.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const RUN_MS_MAX = 120_000;
const NOBODY = 65534;

/** Why tests as nobody cannot run here; false when they can. */
export function noUnprivilegedUser(): string | false {
  if (process.getuid?.() !== 0) return false;
  const as = ['--reuid=65534', '--regid=65534', '--clear-groups', 'cat', join(root, 'package.json')];
  return spawnSync('setpriv', as).status === 0
    ? false
    : 'nobody may not read the checkout, or there is no setpriv';
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a build has left in a fixture: the README's first command builds in one. */
function madeIn(fixture: string): string[] {
  const words = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard'];
  const listed = spawnSync('git', ['-C', fixture, ...words]);
  return listed.status === 0 ? listed.stdout.toString().split('\0').filter(Boolean) : [];
}

export class Rig {
  readonly home = mkdtempSync(join(tmpdir(), 'gg-e2e-'));
  readonly tree = join(this.home, 'tree');
  readonly env: Record<string, string>;

  readonly #prefix: readonly string[];

  /** @param unprivileged run everything as nobody, when the tests run as root. */
  constructor(options: { readonly unprivileged?: boolean } = {}) {
    const drop = options.unprivileged === true && process.getuid?.() === 0;
    this.#prefix = drop ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
    for (const d of ['run', 'bin']) mkdirSync(join(this.home, d), { mode: 0o700 });
    this.env = {
      PATH: `${root}/scripts:${process.env['PATH'] ?? ''}`,
      HOME: this.home,
      XDG_RUNTIME_DIR: join(this.home, 'run'),
      GG_DIR: join(this.home, 'state'),
      LANG: 'C.UTF-8',
      // What can go wrong goes wrong where calls are deferred; auto-mode.test.ts has the default.
      GG_MODE: 'defer',
    };
  }

  /** A fresh copy of a fixture (a folder below fixtures/) or of any directory, always at the same path. */
  fresh(source: string): void {
    rmSync(this.tree, { recursive: true, force: true });
    const from = source.startsWith('/') ? source : join(root, 'fixtures', source);
    cpSync(from, this.tree, { recursive: true, preserveTimestamps: true });
    if (!source.startsWith('/')) for (const name of madeIn(from)) rmSync(join(this.tree, name));
    if (this.#prefix.length > 0) spawnSync('chown', ['-R', `${NOBODY}:${NOBODY}`, this.home]);
  }

  sh(command: string, env: Record<string, string> = {}): Ran {
    // timeout(1) ends the whole process group: spawnSync's own would end bash alone and then wait for whoever holds the pipes.
    const words = ['-s', 'KILL', `${RUN_MS_MAX / 1000}`, ...this.#prefix, 'bash', '-c', command];
    const r: SpawnSyncReturns<Buffer> = spawnSync('timeout', words, {
      cwd: this.tree,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { code: r.status ?? -1, out: r.stdout.toString(), err: r.stderr.toString() };
  }

  /** As sh(), for tests that serve the command from their own process. */
  run(command: string, env: Record<string, string> = {}): Promise<Ran> {
    const child = spawn('bash', ['-c', command], {
      cwd: this.tree,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS_MAX,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    return new Promise((resolve) => child.once('close', (code) => resolve({ code: code ?? -1, out, err })));
  }

  /** Counters of the last line of `gg --json ...`. */
  counts(ran: Ran): Counts {
    const line = ran.err.split('\n').findLast((l) => l.startsWith('{"type":"summary"'));
    if (line === undefined) throw new Error(`no summary in: ${ran.err}`);
    return (JSON.parse(line) as { counts: Counts }).counts;
  }

  /** The tree as text: kinds, modes, contents; names as Latin-1, whatever they hold. */
  shot(directory: Buffer = Buffer.from(this.tree), prefix = ''): Map<string, string> {
    const found = new Map<string, string>();
    for (const name of readdirSync(directory, { encoding: 'latin1' }).sort()) {
      const path = Buffer.concat([directory, Buffer.from('/'), Buffer.from(name, 'latin1')]);
      const stat = lstatSync(path);
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isSymbolicLink()) found.set(prefix + name, `link ${readlinkSync(path)}`);
      else if (stat.isDirectory()) {
        found.set(prefix + name, `directory ${mode}`);
        for (const [k, v] of this.shot(path, `${prefix}${name}/`)) found.set(k, v);
      } else if (stat.isFile())
        found.set(prefix + name, `${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
      else found.set(prefix + name, `${stat.isFIFO() ? 'pipe' : 'special'} ${mode}`);
    }
    return found;
  }

  close(): void {
    if (existsSync(this.tree)) this.sh('gg stop');
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What ours prints apart: the lines of a tool. */
export function toolLines(text: string): string[] {
  return text.split('\n').filter((l) => !/^(?:gg: |make(?:\[\d+\])?: )/.test(l));
}
