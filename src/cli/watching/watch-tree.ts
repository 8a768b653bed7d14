// Watches a tree; falls back to polling where the kernel's watches run out.
import { type FSWatcher, watch } from 'chokidar';
import type { IgnoreRules } from './watch-filter.ts';

/** Between two looks at every file when polling. */
const POLL_MS = 1000;

export interface TreeWatch {
  /** How much later than the kernel's own word a change may be heard of. */
  settleMs(): number;
  close(): Promise<void>;
}

export interface TreeWatchOptions {
  readonly root: string;
  readonly rules: IgnoreRules;
  /** A file below the tree is new, has other contents or is gone; absolute. */
  readonly changed: (path: string, event: 'add' | 'change' | 'unlink') => void;
  /** Something people should know. */
  readonly say: (text: string) => void;
  /** For machines without inotify, and network file systems. */
  readonly poll: boolean;
}

/** Resolves once every file is watched. */
export async function watchTree(options: TreeWatchOptions): Promise<TreeWatch> {
  if (options.poll) return start(options, true);
  try {
    return await start(options, false);
  } catch (error) {
    if (!exhausted(error)) throw error;
    options.say(
      `no more file watches (${(error as NodeJS.ErrnoException).code}): looking at every file each second; a higher fs.inotify.max_user_watches avoids it`,
    );
    return start(options, true);
  }
}

/** ENOSPC: fs.inotify.max_user_watches; EMFILE: max_user_instances or descriptors. */
export function exhausted(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOSPC' || code === 'EMFILE' || code === 'ENFILE';
}

async function start(options: TreeWatchOptions, polling: boolean): Promise<TreeWatch> {
  const { root, rules } = options;
  const watcher: FSWatcher = watch(root, {
    ignored: (path, stats) =>
      stats !== undefined && rules.ignores(path, stats.isDirectory() ? 'directory' : 'file'),
    ignoreInitial: true,
    followSymlinks: false,
    usePolling: polling,
    interval: POLL_MS,
    atomic: false,
  });
  let after: TreeWatch | undefined;
  let ready = false;
  let replaced = false;
  watcher.on('all', (event, path) => {
    if (event !== 'add' && event !== 'change' && event !== 'unlink') return;
    if (!rules.ignores(path, 'file')) options.changed(path, event);
  });
  await new Promise<void>((resolve, reject) => {
    watcher.once('ready', () => {
      ready = true;
      resolve();
    });
    watcher.on('error', (error) => {
      if (!ready) {
        void watcher.close().then(() => reject(error as Error));
        return;
      }
      // A directory made later found no watch left.
      if (polling || replaced || !exhausted(error)) return;
      replaced = true;
      options.say('no more file watches: looking at every file each second from now on');
      void watcher
        .close()
        .then(() => start(options, true))
        .then((next) => {
          after = next;
        });
    });
  });
  return {
    settleMs: () => (polling || replaced ? 2 * POLL_MS : 0),
    close: () => (after ?? watcher).close(),
  };
}
