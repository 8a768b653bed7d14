// `gg make`, `gg ninja`, `gg build`, `gg infer`: runs the user's command behind the shims, then forces what it left.
import { spawn } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NINJA_LIBRARY, PRELOAD_LIBRARY } from '../../native/build.ts';
import { programOnPath } from '../../base/program-on-path.ts';
import { tryStat } from '../../base/stat.ts';
import { loaderView } from '../../toolchain/elf.ts';
import { fnv1a64, runtimePaths } from '../../wire/runtime-paths.ts';
import { type StepOf, StepProgress } from '../../report/steps.ts';
import { TerminalReporter } from '../../report/terminal.ts';
import { readBuildCommand } from './build-command.ts';
import { type Client, connectOrStart } from '../../client/client.ts';
import { CliError, EXIT } from '../../settings/exit.ts';
import { prepareNative } from '../../client/native.ts';
import { ninjaSteps } from './ninja-steps.ts';
import { prefetch } from './prefetch.ts';
import { endTree } from './process-tree.ts';
import { type BuildMode, resolveMode } from '../../settings/build-mode.ts';
import { engineChoice, type Settings } from '../../settings/table.ts';

const PREFETCH_SLOTS_PER_CORE = 4;
/** Of files that something is wrong with. */
const LINES_MAX = 10;
/** Tries to find a server in place of one that is gone, and the time between them. */
const BRING_BACK_MAX = 20;
const BRING_BACK_MS = 50;
const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** What a shell says of a command that Ctrl-C ended. */
const INTERRUPTED = 128 + constants.signals.SIGINT;

export interface RunBuildOptions {
  readonly command: readonly string[];
  readonly settings: Settings;
  /** False for `gg infer`: leave placeholders, force nothing. */
  readonly force: boolean;
  /** Ends the command and everything it started, and forces nothing more. */
  readonly signal?: AbortSignal;
  /** Hears of what the session wrote (absolute paths). */
  readonly wrote?: (paths: readonly string[]) => void;
}

/** @param stepOf which of the build tool's steps a thunk belongs to, where that is known. */
export function reporterFor(settings: Settings, stepOf?: StepOf): TerminalReporter {
  const tty = process.stderr.isTTY === true;
  const color =
    settings.color === 'always' ||
    (settings.color === 'auto' && tty && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb');
  const redraws = tty && process.env['TERM'] !== 'dumb';
  const shown = redraws && !settings.json && !settings.quiet;
  const steps = stepOf && shown ? new StepProgress(stepOf) : undefined;
  return new TerminalReporter({ tty, redraws, color, json: settings.json, quiet: settings.quiet, steps });
}

interface CommandEnd {
  /** As a shell would say it. */
  readonly code: number;
  /** Somebody ended gg itself by a signal, whatever the command made of that (ninja exits 2). */
  readonly interrupted: boolean;
  /** A signal ended the command. */
  readonly killed: boolean;
}

/** Runs the command with our environment; its stdio is ours. */
async function runCommand(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<CommandEnd> {
  // A tool that is itself the command must be started by a process that has the preload library, as this one has not.
  const isTool = existsSync(join(env['GG_SHIM_DIR']!, basename(command[0]!)));
  const argv =
    isTool || isUnreachable(command[0]!, env['PATH'])
      ? ['/bin/sh', '-c', 'exec "$0" "$@"', ...command]
      : command;
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'inherit', env });
  const abort = (): void => {
    if (child.pid !== undefined && child.exitCode === null) void endTree(child.pid);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort);
  let signalled = false;
  const relay = (signal: NodeJS.Signals): void => {
    signalled = true;
    child.kill(signal);
  };
  // The terminal sends SIGINT to the whole group; a supervisor's SIGTERM comes to us alone.
  const note = (): void => {
    signalled = true;
  };
  process.on('SIGINT', note);
  process.on('SIGTERM', relay);
  process.on('SIGHUP', relay);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        const missing = error.code === 'ENOENT';
        reject(
          new CliError(
            missing ? 127 : 126,
            `${command[0]}: ${missing ? 'command not found' : error.message}`,
            'check the name and PATH',
          ),
        );
      });
      child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal!] ?? 0)));
    });
    return { code, interrupted: code !== 0 && signalled, killed: code > 128 && code <= 128 + 64 };
  } finally {
    signal?.removeEventListener('abort', abort);
    process.off('SIGINT', note);
    process.off('SIGTERM', relay);
    process.off('SIGHUP', relay);
  }
}

/** Whether the preload library cannot be in a program: then what stands before it must be able to wait for placeholders in its place. */
function isUnreachable(program: string, searchPath: string | undefined): boolean {
  const path = programOnPath(program, searchPath);
  if (path === undefined) return false;
  try {
    const view = loaderView(path);
    return (
      ((tryStat(path)?.mode ?? 0) & 0o6000) !== 0 || (view !== undefined && view.interpreter === undefined)
    );
  } catch {
    return false;
  }
}

/** A preload library under a name that LD_PRELOAD can hold: blanks and colons end one there. */
function preloadable(library: string, runDirectory: string): string | undefined {
  if (!existsSync(library)) return undefined;
  if (!/[\s:]/.test(library)) return library;
  const link = join(runDirectory, `${basename(library, '.so')}-${fnv1a64(library)}.so`);
  if (/[\s:]/.test(link)) return undefined;
  try {
    symlinkSync(library, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return undefined;
  }
  return link;
}

function buildEnvironment(
  settings: Settings,
  mode: BuildMode['mode'],
  nativeDirectory: string,
  session: string,
  isNinja: boolean,
): NodeJS.ProcessEnv {
  const bin = join(nativeDirectory, 'bin');
  const paths = runtimePaths(process.env, process.getuid?.() ?? 0);
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    GG_SESSION: session,
    GG_SHIM_DIR: bin,
    GG_SOCKET: paths.socketPath,
    GG_MODE: mode,
  };
  const library = (name: string): string | undefined =>
    preloadable(join(nativeDirectory, name), paths.runDir);
  const interposer = library(PRELOAD_LIBRARY);
  // With the preload library nothing of ours stands on PATH: a configure step that looks a tool up finds the real one, and
  // writes the same answer into its files as without us.
  if (settings.preload && mode !== 'off' && interposer !== undefined) {
    const libraries = [process.env['LD_PRELOAD'], isNinja ? library(NINJA_LIBRARY) : undefined, interposer];
    env['LD_PRELOAD'] = libraries.filter(Boolean).join(':');
  } else if (!bin.includes(':'))
    env['PATH'] = `${bin}:${process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'}`;
  // Asked for, it is no loss: calls are deferred all the same.
  if (!settings.preload) env['GG_PRELOAD'] = '0';
  return env;
}

/** With an engine no wider than this machine ninja's own calls keep it busy, and planning twice only costs. */
function wantsPrefetch(settings: Settings, mode: BuildMode['mode'], slots: number): boolean {
  if (mode !== 'defer') return false;
  return settings.prefetch === 'auto'
    ? slots > PREFETCH_SLOTS_PER_CORE * availableParallelism()
    : settings.prefetch === '1';
}

export async function runBuild(options: RunBuildOptions): Promise<number> {
  const { settings, command } = options;
  const build = readBuildCommand(command, process.env);
  const native = await prepareNative();
  let client = await connectOrStart(native.directory);
  const reporter = reporterFor(settings, build.kind === 'ninja' ? ninjaSteps(command) : undefined);
  let slots = 0;
  const begin = async (c: Client): Promise<string> => {
    c.onEvent = (message) => reporter.event(message.event);
    const begun = await c.ask(
      {
        op: 'begin',
        cwd: process.cwd(),
        eager: options.force,
        keepGoing: build.keepGoing,
        jobs: build.jobs ?? settings.jobs,
        sandbox: settings.sandbox,
        engine: engineChoice(settings, process.env),
        ...(options.force ? { command: command.join('\0') } : {}),
      },
      'begun',
    );
    slots = begun.slots;
    return begun.session;
  };
  let session: string;
  try {
    session = await begin(client);
  } catch (error) {
    client.close();
    throw error;
  }
  const { mode } = resolveMode(settings.mode, settings.engine, options.force);
  const environment = buildEnvironment(settings, mode, native.directory, session, build.kind === 'ninja');
  if (build.kind === 'ninja' && options.force && wantsPrefetch(settings, mode, slots))
    prefetch(client, command, environment);
  // Who opens a placeholder cannot start a server, and waits for a new one only so long.
  client.onLost = () => {
    void bringBack(native.directory).catch(() => {});
  };
  const { code, interrupted, killed } = await runCommand(command, environment, options.signal).catch(
    (error: unknown) => {
      // An open connection would keep us alive.
      client.onLost = undefined;
      client.close();
      throw error;
    },
  );
  client.onLost = undefined;
  const abandon = (): void => {
    client.send({ op: 'abandon' });
    client.close();
  };
  if (options.signal?.aborted) {
    abandon();
    return INTERRUPTED;
  }
  if (interrupted || killed) {
    const takesAway = interrupted && options.force;
    if (takesAway) await takeAway(client);
    abandon();
    if (!settings.quiet && code !== 128 + constants.signals.SIGTERM)
      reporter.line(
        takesAway
          ? 'interrupted; the next build goes on from here'
          : "interrupted; what is left is forced by 'gg force' or the next build",
      );
    return code;
  }
  if (!options.force) {
    // Whatever became of the server: the journal has what is left, and nobody waits for more.
    const status = await client
      .ask({ op: 'status', cwd: process.cwd() }, 'status')
      .catch((error: unknown) => {
        if (client.lost) return undefined;
        throw error;
      });
    if (status !== undefined && status.outstanding.length > 0 && process.stderr.isTTY && !settings.quiet) {
      reporter.line(`${status.outstanding.length} placeholders; 'gg force' makes them real`);
    }
    client.close();
    return code;
  }
  reporter.showProgress();
  if (client.lost) {
    // The server was killed meanwhile; the journal knows what is left.
    client = await connectOrStart(native.directory);
    await begin(client);
  }
  let finished: Awaited<ReturnType<typeof finalizeOnce>>;
  options.signal?.addEventListener('abort', abandon);
  let endedBy = 0;
  const end = (signal: NodeJS.Signals): void => {
    endedBy = 128 + constants.signals[signal];
    client.send({ op: 'abandon', takeAway: true });
  };
  for (const signal of ENDING) process.on(signal, end);
  try {
    finished = await finalizeOnce(client);
  } catch (error) {
    if (options.signal?.aborted) return INTERRUPTED;
    if (!client.lost) {
      client.close();
      throw error;
    }
    client = await connectOrStart(native.directory);
    await begin(client);
    finished = await finalizeOnce(client);
  } finally {
    options.signal?.removeEventListener('abort', abandon);
    for (const signal of ENDING) process.off(signal, end);
  }
  if (endedBy !== 0) {
    await takeAway(client);
    client.close();
    reporter.line('interrupted; the next build goes on from here');
    return endedBy;
  }
  options.wrote?.(finished.wrote);
  reporter.end(finished.bypasses, finished.notes);
  client.close();
  if (code !== 0) return code;
  for (const path of finished.owed.slice(0, LINES_MAX))
    reporter.line(
      `${path}: an earlier build failed to make it, and this one took it for made: remove what its recipe left`,
    );
  if (reporter.counts.failed + finished.owed.length > 0) return build.failureCode;
  if (finished.left.length > 0) {
    for (const path of finished.left.slice(0, LINES_MAX)) reporter.line(`${path}: still a placeholder`);
    return EXIT.left;
  }
  return EXIT.ok;
}

/** Starts another server. One that was killed may still accept a connection, which then comes to nothing. */
async function bringBack(nativeDirectory: string): Promise<void> {
  for (let tries = 0; tries < BRING_BACK_MAX; tries++) {
    const again = await connectOrStart(nativeDirectory);
    const answers = await again.ask({ op: 'status', cwd: '/' }, 'status').then(
      () => true,
      () => false,
    );
    again.close();
    if (answers) return;
    await sleep(BRING_BACK_MS);
  }
}

/**
 * Removes the placeholders an interrupted build left, as make removes a half-made target: a plain make that comes next would
 * take them for the real thing, and its ar would archive them without a word. What was forced is remembered.
 */
async function takeAway(client: Client): Promise<void> {
  client.send({ op: 'abandon', takeAway: true });
  await finalizeOnce(client).catch(() => undefined);
}

function finalizeOnce(client: Client) {
  return client.ask({ op: 'finalize' }, 'finished');
}
