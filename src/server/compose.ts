// Entry of the session server's process: `node gg-server.js SOCKET`. Picks the concrete parts and joins them.
import { mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { LimitedEngine } from '../engine/layers/limited.ts';
import { LocalEngine } from '../engine/local/local.ts';
import { Isolation } from '../engine/local/isolation.ts';
import { Sandbox } from '../engine/local/sandbox.ts';
import { VirtualSandbox } from '../engine/local/virtual-sandbox.ts';
import { type ElfTarget, elfTargetOf, X86_64 } from '../ir/placeholder.ts';
import { STARTER, VROOT_LIBRARY } from '../native/build.ts';
import { runtimePaths } from '../wire/runtime-paths.ts';
import { boundHeapGrowth } from '../wire/server-flags.ts';
import { Spawner } from '../native/spawner.ts';
import { FastScanner } from '../scan/fast-scanner.ts';
import { GccMScanner } from '../scan/gcc-m.ts';
import type { QueryRunner } from '../scan/scanner.ts';
import { healArchive } from '../session/archives.ts';
import { Calls } from '../session/calls.ts';
import { Barriers } from '../session/barrier.ts';
import { Contexts } from '../session/context.ts';
import { Forcer } from '../session/forcer.ts';
import { Freezer } from '../session/freezer.ts';
import { History } from '../tree/history.ts';
import { Journal } from '../tree/journal.ts';
import { Moves } from '../session/renames.ts';
import { neededBy } from '../tree/live-objects.ts';
import { Owed } from '../session/unmade-outputs.ts';
import { SelfCheck } from '../session/self-check.ts';
import { SessionServer } from './server.ts';
import { Session } from '../session/session.ts';
import { DigestCache } from '../store/local/digest-cache.ts';
import { collectGarbage } from '../store/local/gc.ts';
import { readHead } from '../base/head.ts';
import { LocalStore } from '../store/local/local.ts';
import { Captures } from '../toolchain/captures.ts';
import { Toolchains } from '../toolchain/toolchain.ts';
import type { PlaceRequest } from '../tree/write-back.ts';
import { Engines } from './engines.ts';
import { loadSettings } from '../settings/table.ts';
import { VERSION } from '../settings/version.ts';

const IDLE_SECONDS = 600;

/** A tool in the server's own PATH, for queries of ours. */
function onPath(tool: string): string {
  for (const directory of (process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin').split(':')) {
    if (/\/native\/[0-9a-f]{8,}(?:\/bin)?\/?$/.test(directory)) continue;
    try {
      return realpathSync(join(directory, tool));
    } catch {
      // not there
    }
  }
  return `/usr/bin/${tool}`;
}

/** What a killed server left in tmp/. */
function sweep(directory: string): void {
  for (const entry of readdirSync(directory)) {
    const pid = /(?:^|-)(\d+)-\d+$/.exec(entry)?.[1];
    try {
      if (pid !== undefined) process.kill(Number(pid), 0);
    } catch {
      rmSync(join(directory, entry), { recursive: true, force: true });
    }
  }
}

export async function serve(socketPath: string, nativeDirectory: string): Promise<void> {
  process.umask(0);
  boundHeapGrowth();
  const { stateDir } = runtimePaths(process.env, process.getuid?.() ?? 0);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const runner = new Spawner(join(nativeDirectory, 'gg-spawner'));
  const store = new LocalStore(stateDir);
  sweep(join(stateDir, 'tmp'));
  const digests = new DigestCache();
  const query: QueryRunner = async (file, args, options) => {
    const r = await runner.run({
      file,
      argv: [file, ...args],
      cwd: options.cwd,
      env: [...options.env].map(([k, v]) => `${k}=${v}`),
    });
    return { code: r.startErrno !== 0 ? 127 : r.exitCode, stdout: r.stdout, stderr: r.stderr };
  };
  const toolchains = new Toolchains(query, (path) => digests.digest(path));
  const asking = new GccMScanner(query);
  const reading = new FastScanner({
    query,
    fallback: asking,
    cacheDir: join(stateDir, 'scan'),
    watch: true,
  });
  // Thunks that run now may be needed by nothing in the tree: nothing is dropped meanwhile.
  let isBusy = (): boolean => false;
  const journal = new Journal(join(stateDir, 'journal'), {
    needed: (outstanding) => (isBusy() ? undefined : neededBy(outstanding, store)),
  });
  const history = new History(join(stateDir, 'history.jsonl'));
  const owed = new Owed({ file: join(stateDir, 'owed.json'), journal, store, digests });
  const jobs = Number(process.env['GG_JOBS']) || availableParallelism();
  const captures = new Captures({
    toolchains,
    vroot: join(nativeDirectory, VROOT_LIBRARY),
    digestOf: (path) => digests.digest(path),
    query,
  });
  const sandbox = new Isolation(
    new Sandbox(store, runner, (tool, path) => toolchains.of(tool, path)),
    new VirtualSandbox(store, runner, captures),
  );
  const selfCheck = new SelfCheck({
    directory: join(stateDir, 'self-check'),
    version: VERSION,
    differs: (request, files) => reading.selfCheck(request, files),
    distrust: (directory) => reading.distrust(directory),
    reported: ({ difference }, path, { placement }) =>
      history.note({
        path: resolve(placement.cwd, placement.label),
        how: 'bypass',
        reason: 'self-check-failed',
        detail: `${difference}; the compiler is asked from now on; report: ${path}`,
        command: placement.command,
      }),
  });
  const scanner = process.env['GG_SCANNER'] === 'gcc' ? asking : reading;
  const alone = new LocalEngine({ store, digests, runner, slots: jobs, sandbox, watcher: selfCheck });
  const engine = new LimitedEngine(alone, jobs);
  const sessions = new Map<string, Session>();
  const detached = new Session({ cwd: '/', eager: false, keepGoing: true, sandbox: 'none' }, 'detached');
  const engines = new Engines({
    local: engine,
    store,
    digestOf: (path) => digests.digest(path),
    captures,
    starter: join(nativeDirectory, STARTER),
  });
  sessions.set(detached.id, detached);
  const place = (request: PlaceRequest): Promise<number> => runner.place(request);
  const forcer = new Forcer({ store, engine, journal, history, place, sessions });
  isBusy = () => forcer.reductor.pending > 0;
  const sessionOf = (id: string | undefined): Session =>
    id === undefined ? detached : (sessions.get(id) ?? detached);
  const moves = new Moves({ journal, forcer, history, sessions, sessionOf });
  const contexts = new Contexts({ store, journal, toolchains, scanner, query });
  const ranlib = onPath('ranlib');
  const heal = (path: string, owner: string): Promise<boolean> =>
    healArchive(path, owner, { forcer, store, runner, place, ranlib });
  const freezer = new Freezer({ store, journal, digests, forcer, toolchains, heal });
  const calls = new Calls({
    freezer,
    store,
    journal,
    history,
    forcer,
    contexts,
    place,
    interpreter: join(nativeDirectory, 'gg-run'),
    target: elfTargets(query, digests),
    heal,
    sessionOf,
    selfCheck,
    isolation: sandbox,
    shimDirectories: new Set([join(nativeDirectory, 'bin'), nativeDirectory]),
  });
  const server = new SessionServer({
    socketPath,
    stateDirectory: stateDir,
    nativeDirectory,
    version: VERSION,
    idleMs: (Number(process.env['GG_IDLE']) || IDLE_SECONDS) * 1000,
    calls,
    forcer,
    moves,
    barriers: new Barriers({ journal, forcer, history, heal, sessionOf }),
    engine,
    openEngine: (choice, session, inFlightMax) => engines.open(choice, session, inFlightMax),
    journal,
    history,
    owed,
    sessions,
    detached,
    selfCheck,
    heal,
    idle: () => {
      try {
        const { cacheSizeBytes } = loadSettings({}, process.env);
        collectGarbage(stateDir, cacheSizeBytes, neededBy(journal.outstanding(), store));
        freezer.storeShrank();
        forcer.reductor.forget();
      } catch {
        // A bad setting or a full disk is said to whoever runs a command; nobody listens here.
      }
    },
    ended: async () => {
      await reading.close();
      process.exit(0);
    },
  });
  process.on('SIGTERM', () => void server.stop());
  process.on('SIGINT', () => void server.stop());
  await server.listen();
}

/** What placeholder objects of a compiler look like: as its own start file does. */
function elfTargets(
  query: QueryRunner,
  digests: DigestCache,
): (realTool: string, searchPath: string) => Promise<ElfTarget> {
  const known = new Map<string, Promise<ElfTarget>>();
  return (realTool, searchPath) => {
    const key = `${realTool}\0${digests.digest(realTool) ?? ''}`;
    let target = known.get(key);
    if (!target) {
      target = (async () => {
        if (!/(?:gcc|g\+\+|cc|c\+\+|clang)[^/]*$/.test(realTool)) return X86_64;
        const r = await query(realTool, ['-print-file-name=crt1.o'], {
          cwd: '/',
          env: new Map([['PATH', searchPath]]),
        });
        const head = readHead(r.stdout.toString().trim(), 64);
        return (head && elfTargetOf(head)) ?? X86_64;
      })();
      known.set(key, target);
    }
    return target;
  };
}
