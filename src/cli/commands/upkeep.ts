// Commands that keep house: clean, gc, stop, doctor.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { givesNamespaces } from '../../engine/local/sandbox.ts';
import { PRELOAD_LIBRARY, VROOT_LIBRARY } from '../../native/build.ts';
import { runtimePaths } from '../../wire/runtime-paths.ts';
import { Spawner } from '../../native/spawner.ts';
import { Journal } from '../../tree/journal.ts';
import { neededBy } from '../../tree/live-objects.ts';
import { collectGarbage, removeFrom } from '../../store/local/gc.ts';
import { LocalStore } from '../../store/local/local.ts';
import { parseRemoteUrl, storeLabel } from '../../store/remote/remote-url.ts';
import { connectIfRunning, connectOrStart } from '../../client/client.ts';
import { describeMode, resolveMode } from '../../settings/build-mode.ts';
import { CliError, EXIT } from '../../settings/exit.ts';
import { prepareNative } from '../../client/native.ts';
import type { Settings } from '../../settings/table.ts';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
/** As people read it; a limit of 20G is 20 GB, so these are powers of 1024. */
const size = (bytes: number): string => {
  const unit = bytes >= 1024 ** 3 ? 3 : bytes >= 1024 ** 2 ? 2 : 1;
  const n = bytes / 1024 ** unit;
  return `${n >= 10 || Number.isInteger(n) ? Math.round(n) : n.toFixed(1)} ${['KB', 'MB', 'GB'][unit - 1]}`;
};
const stateDirectory = (): string => runtimePaths(process.env, process.getuid?.() ?? 0).stateDir;

export async function stop(): Promise<number> {
  const client = await connectIfRunning();
  if (!client) {
    print('no session server runs');
    return EXIT.ok;
  }
  await client.ask({ op: 'stop' }, 'stopping');
  for (let i = 0; i < 100 && (await connectIfRunning()); i++) await new Promise((r) => setTimeout(r, 20));
  print('stopped');
  return EXIT.ok;
}

/** @param from a shared store: removes what came from there, and nothing else. */
export async function gc(settings: Settings, from?: string): Promise<number> {
  await stopQuietly();
  const directory = stateDirectory();
  if (from !== undefined) {
    const parsed = parseRemoteUrl(from, process.env);
    const label = 'problem' in parsed ? from : storeLabel(parsed.address);
    print(`removed ${removeFrom(directory, label)} results that came from ${label}`);
    return EXIT.ok;
  }
  const journal = new Journal(join(directory, 'journal'));
  const needed = neededBy(journal.outstanding(), new LocalStore(directory));
  journal.close();
  const result = collectGarbage(directory, settings.cacheSizeBytes, needed);
  print(
    `removed ${result.removedFiles} files, ${size(result.removedBytes)}; kept ${result.keptFiles} files, ${size(result.keptBytes)} of at most ${size(settings.cacheSizeBytes)}`,
  );
  return EXIT.ok;
}

async function stopQuietly(): Promise<void> {
  const client = await connectIfRunning();
  if (!client) return;
  const status = await client.ask({ op: 'status', cwd: process.cwd() }, 'status');
  if (status.running + status.queued > 0) {
    client.close();
    throw new CliError(
      EXIT.failed,
      `${status.running + status.queued} thunks are being forced`,
      'wait for the build, or gg stop',
    );
  }
  await client.ask({ op: 'stop' }, 'stopping');
  for (let i = 0; i < 100 && (await connectIfRunning()); i++) await new Promise((r) => setTimeout(r, 20));
}

/** Removes results; with placeholders outstanding only on request, since they would be lost. */
export async function clean(force: boolean): Promise<number> {
  await stopQuietly();
  const directory = stateDirectory();
  if (existsSync(join(directory, 'journal')) && !force) {
    const journal = new Journal(join(directory, 'journal'));
    const n = journal.size;
    journal.close();
    if (n > 0)
      throw new CliError(
        EXIT.failed,
        `${n} placeholders are outstanding and would be lost`,
        "run 'gg force --all' first, or 'gg clean --force'",
      );
  }
  for (const sub of ['cas', 'reductions', 'tmp', 'scan', 'journal', 'history.jsonl', 'history.jsonl.1']) {
    rmSync(join(directory, sub), { recursive: true, force: true });
  }
  print(`cleaned ${directory}`);
  return EXIT.ok;
}

interface Check {
  readonly what: string;
  readonly run: () => string | Promise<string>;
  readonly advice: string;
}

/** What the engine needs beside this machine. */
async function engineChecks(settings: Settings) {
  if (settings.engine === 'local') return undefined;
  if (settings.engine.startsWith('grpc')) return (await import('./doctor-reapi.ts')).reapiChecks(settings);
  return (await import('./doctor-lambda.ts')).lambdaChecks(settings);
}

/** Checks everything a build needs, a line each. */
export async function doctor(settings: Settings): Promise<number> {
  const directory = stateDirectory();
  let nativeDirectory = '';
  const cloud = await engineChecks(settings);
  const checks: Check[] = [
    {
      what: 'node',
      run: () => {
        const [major, minor] = process.versions.node.split('.').map(Number);
        if (major! < 22 || (major === 22 && minor! < 22)) throw new Error(process.version);
        return process.version;
      },
      advice: 'Node 22.22 or later is needed',
    },
    ...['gcc', 'make', 'ar', 'ld'].map((tool) => ({
      what: tool,
      run: () => {
        const r = spawnSync(tool, ['--version']);
        if (r.error || r.status !== 0) throw new Error('not found');
        return r.stdout.toString().split('\n', 1)[0]!;
      },
      advice: `install ${tool}`,
    })),
    {
      what: 'native programs',
      run: async () => {
        nativeDirectory = (await prepareNative()).directory;
        return existsSync(join(nativeDirectory, PRELOAD_LIBRARY))
          ? nativeDirectory
          : `${nativeDirectory}, no preload library for the C library here: shims alone, and nothing is deferred`;
      },
      advice: 'a C compiler must be on PATH as cc or gcc',
    },
    {
      what: 'state directory',
      run: () => {
        const fs = statfsSync(directory);
        const free = fs.bavail * fs.bsize;
        if (free < 1e9) throw new Error(`${directory}: only ${size(free)} free`);
        return `${directory}, ${size(free)} free, limit ${size(settings.cacheSizeBytes)}`;
      },
      advice: 'free some space, or set GG_DIR to a larger place',
    },
    {
      what: 'session server',
      run: async () => {
        const client = await connectOrStart(nativeDirectory);
        const s = await client.ask({ op: 'status', cwd: '/' }, 'status');
        client.close();
        return `answers, process ${s.pid}, version ${s.version}`;
      },
      advice: `see ${join(directory, 'server.log')}`,
    },
    {
      what: 'mode',
      run: () => describeMode(resolveMode(settings.mode, settings.engine, true)),
      advice: '',
    },
    {
      what: 'shortcuts',
      run: () =>
        process.env['GG_SHORTCUTS'] === '0'
          ? 'none: GG_SHORTCUTS=0'
          : 'answers to -M and -MM are repeated while nothing read for them changes',
      advice: '',
    },
    {
      what: 'sandbox',
      run: () => sandboxRoad(nativeDirectory, directory),
      advice: '',
    },
  ];
  checks.push(...(cloud?.checks ?? []));
  let code: number = EXIT.ok;
  for (const check of checks) {
    try {
      print(`ok    ${check.what}: ${await check.run()}`);
    } catch (error) {
      code = EXIT.failed;
      print(`FAIL  ${check.what}: ${(error as Error).message}\n      ${check.advice}`);
    }
  }
  cloud?.close();
  const log = join(directory, 'server.log');
  if (existsSync(log))
    print(`last lines of ${log}:\n${readFileSync(log, 'utf8').split('\n').slice(-6).join('\n')}`);
  return code;
}

/** By which road runs go that must see their declared inputs only, and what the road costs. */
async function sandboxRoad(nativeDirectory: string, stateDir: string): Promise<string> {
  const spawner = new Spawner(join(nativeDirectory, 'gg-spawner'));
  try {
    const root = join(stateDir, 'tmp', `doctor-${process.pid}-0`);
    if (await givesNamespaces(spawner, root)) return 'namespaces';
  } finally {
    await spawner.close();
  }
  return existsSync(join(nativeDirectory, VROOT_LIBRARY))
    ? `virtual root, since the kernel gives no namespaces: the first such run copies the compiler (gcc 12: 115 MB) into ${stateDir}`
    : 'none: no namespaces and no virtual root, so nothing is deferred';
}
