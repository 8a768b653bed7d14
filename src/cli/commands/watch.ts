// `gg watch -- COMMAND`: builds, waits for a change below this directory, builds again; the build tool and our memo decide
// what is affected. Ctrl-C ends it.
import { statSync } from 'node:fs';
import { relative } from 'node:path';
import { CliError } from '../../settings/exit.ts';
import { runBuild } from '../build/run-build.ts';
import type { Settings } from '../../settings/table.ts';
import { Changes, describeChanges } from '../watching/watch-changes.ts';
import { IgnoreRules } from '../watching/watch-filter.ts';
import { watchTree } from '../watching/watch-tree.ts';

/** Quiet for this long, and a build begins: an editor writes several files at once. */
const DEBOUNCE_MS = 100;
/** A tree in which something changes all the time is built at last. */
const DEBOUNCE_MS_MAX = 2000;
/** The kernel tells of a build's last changes within this time. */
const SETTLE_MS = 200;
const INTERRUPTED = 130;

export interface WatchOptions {
  readonly command: readonly string[];
  readonly settings: Settings;
}

export async function watchAndBuild(options: WatchOptions): Promise<number> {
  const { command, settings } = options;
  const root = process.cwd();
  const rules = new IgnoreRules(root);
  const changes = new Changes();
  const stop = new AbortController();
  let wake: () => void = () => {};
  const say = (text: string): void => {
    if (!settings.quiet) process.stderr.write(`gg: ${text}\n`);
  };
  let building = false;
  const end = (): void => {
    if (stop.signal.aborted) return;
    say(building ? 'interrupted: ending the build' : 'ended');
    stop.abort();
    wake();
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  process.on('SIGHUP', end);
  const tree = await watchTree({
    root,
    rules,
    say,
    poll: process.env['CHOKIDAR_USEPOLLING'] === '1',
    changed: (path, event) => {
      if (path.endsWith('/.gitignore')) rules.forget();
      if (changes.note(path, event, mtimeOf(path))) wake();
    },
  });
  try {
    let first = true;
    for (;;) {
      const why = changes.begin().map((p) => relative(root, p));
      if (!first) say(`changed: ${describeChanges(why)}`);
      first = false;
      building = true;
      const startedMs = Date.now();
      const written: string[] = [];
      const code = await buildOnce(command, settings, stop.signal, written, say);
      building = false;
      if (stop.signal.aborted) return INTERRUPTED;
      const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
      say(
        code === 0
          ? `built in ${seconds} s; waiting for changes`
          : `failed (${code}) after ${seconds} s; waiting for changes`,
      );
      const endedMs = Date.now();
      await new Promise((resolve) => setTimeout(resolve, tree.settleMs() + SETTLE_MS));
      if (!changes.end(written, endedMs)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (stop.signal.aborted || changes.pending.size > 0) resolve();
        });
      }
      await quiet(changes, (again) => {
        wake = again;
      });
      if (stop.signal.aborted) return INTERRUPTED;
    }
  } finally {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
    process.off('SIGHUP', end);
    await tree.close();
  }
}

/** A build that cannot even start is one that failed: the next change may mend it. */
async function buildOnce(
  command: readonly string[],
  settings: Settings,
  signal: AbortSignal,
  written: string[],
  say: (text: string) => void,
): Promise<number> {
  try {
    return await runBuild({
      command,
      settings,
      force: true,
      signal,
      wrote: (paths) => written.push(...paths),
    });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (!signal.aborted) say(error.message);
    return error.code;
  }
}

/** Resolves when nothing has changed for DEBOUNCE_MS. */
async function quiet(changes: Changes, onChange: (again: () => void) => void): Promise<void> {
  const untilMs = Date.now() + DEBOUNCE_MS_MAX;
  for (let calm = false; !calm && changes.pending.size > 0 && Date.now() < untilMs; ) {
    calm = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), DEBOUNCE_MS);
      onChange(() => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }
}

function mtimeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}
