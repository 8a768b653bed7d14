// `gg make`, `gg ninja`, `gg build`, `gg infer`: runs the user's command behind the shims, then forces what it left.
import { spawn } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { basename, join } from 'node:path';
import { fnv1a64, runtimePaths } from '../native/paths.ts';
import { type StepOf, StepProgress } from '../report/steps.ts';
import { TerminalReporter } from '../report/terminal.ts';
import { readBuildCommand } from './build-command.ts';
import { type Client, connectOrStart } from './client.ts';
import { CliError, EXIT } from './exit.ts';
import { prepareNative } from './native.ts';
import { ninjaSteps } from './ninja-steps.ts';
import { prefetch } from './prefetch.ts';
import { endTree } from './process-tree.ts';
import { engineChoice, type Settings } from './settings.ts';

const PREFETCH_SLOTS_PER_CORE = 4;
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
  const shown = tty && !settings.json && !settings.quiet;
  const steps = stepOf && shown ? new StepProgress(stepOf) : undefined;
  return new TerminalReporter({ tty, color, json: settings.json, quiet: settings.quiet, steps });
}

/** Runs the command with our environment; its stdio is ours. @returns its exit code as a shell would say it. */
async function runCommand(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<number> {
  // A tool that is itself the command must be started by a process that has the preload library, as this one has not.
  const isTool = existsSync(join(env['GG_SHIM_DIR']!, basename(command[0]!)));
  const argv = isTool ? ['/bin/sh', '-c', 'exec "$0" "$@"', ...command] : command;
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'inherit', env });
  const abort = (): void => {
    if (child.pid !== undefined && child.exitCode === null) void endTree(child.pid);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort);
  const relay = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  // The terminal sends SIGINT to the whole group; a supervisor's SIGTERM comes to us alone.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  process.on('SIGTERM', relay);
  process.on('SIGHUP', relay);
  try {
    return await new Promise<number>((resolve, reject) => {
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
  } finally {
    signal?.removeEventListener('abort', abort);
    process.off('SIGINT', ignore);
    process.off('SIGTERM', relay);
    process.off('SIGHUP', relay);
  }
}

/** The preload library under a name that LD_PRELOAD can hold: blanks and colons end one there. */
function preloadable(library: string, runDirectory: string): string | undefined {
  if (!existsSync(library)) return undefined;
  if (!/[\s:]/.test(library)) return library;
  const link = join(runDirectory, `gg-interpose-${fnv1a64(library)}.so`);
  if (/[\s:]/.test(link)) return undefined;
  try {
    symlinkSync(library, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return undefined;
  }
  return link;
}

function buildEnvironment(settings: Settings, nativeDirectory: string, session: string): NodeJS.ProcessEnv {
  const bin = join(nativeDirectory, 'bin');
  const paths = runtimePaths(process.env, process.getuid?.() ?? 0);
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    GG_SESSION: session,
    GG_SHIM_DIR: bin,
    GG_SOCKET: paths.socketPath,
    GG_MODE: settings.mode,
  };
  const interposer = preloadable(join(nativeDirectory, 'gg-interpose.so'), paths.runDir);
  // With the preload library nothing of ours stands on PATH: a configure step that looks a tool up finds the real one, and
  // writes the same answer into its files as without us.
  if (settings.preload && settings.mode !== 'off' && interposer !== undefined) {
    env['LD_PRELOAD'] = process.env['LD_PRELOAD'] ? `${process.env['LD_PRELOAD']}:${interposer}` : interposer;
  } else if (!bin.includes(':'))
    env['PATH'] = `${bin}:${process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'}`;
  return env;
}

/** With an engine no wider than this machine ninja's own calls keep it busy, and planning twice only costs. */
function wantsPrefetch(settings: Settings, slots: number): boolean {
  if (settings.mode !== 'defer') return false;
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
  const environment = buildEnvironment(settings, native.directory, session);
  if (build.kind === 'ninja' && options.force && wantsPrefetch(settings, slots))
    prefetch(client, command, environment);
  // Who opens a placeholder cannot start a server, and waits for a new one only so long.
  client.onLost = () => {
    connectOrStart(native.directory).then(
      (again) => again.close(),
      () => {},
    );
  };
  const code = await runCommand(command, environment, options.signal).catch((error: unknown) => {
    // An open connection would keep us alive.
    client.onLost = undefined;
    client.close();
    throw error;
  });
  client.onLost = undefined;
  const abandon = (): void => {
    client.send({ op: 'abandon' });
    client.close();
  };
  if (options.signal?.aborted) {
    abandon();
    return INTERRUPTED;
  }
  if (code > 128 && code <= 128 + 64) {
    abandon();
    if (code === INTERRUPTED)
      reporter.line("interrupted; what is left is forced by 'gg force' or the next build");
    return code;
  }
  if (!options.force) {
    const status = await client.ask({ op: 'status', cwd: process.cwd() }, 'status');
    if (status.outstanding.length > 0 && process.stderr.isTTY && !settings.quiet) {
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
  }
  options.wrote?.(finished.wrote);
  reporter.end(finished.bypasses, finished.notes);
  client.close();
  if (code !== 0) return code;
  if (reporter.counts.failed > 0) return build.failureCode;
  if (finished.left.length > 0) {
    for (const path of finished.left.slice(0, 10)) reporter.line(`${path}: still a placeholder`);
    return EXIT.left;
  }
  return EXIT.ok;
}

function finalizeOnce(client: Client) {
  return client.ask({ op: 'finalize' }, 'finished');
}
