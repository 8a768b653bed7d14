// Slots: directories in which runs take place one after the other, each with a root that holds one toolchain.
//
//   DIRECTORY/slot-PID-N/   root/ (the virtual root), log, output-K
import { mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { ObjectName } from '../../ir/name.ts';
import type { ToolchainManifest } from '../../toolchain/manifest.ts';
import { Root } from './root.ts';

/** Slots kept for later; a Lambda needs one, a worker process as many as it runs at once. */
const IDLE_MAX = 8;
/** A root that has seen more directories is made anew. */
const DIRECTORIES_MAX = 4000;

export interface Slot {
  readonly directory: string;
  readonly root: Root;
  readonly toolchain: ObjectName;
  /** Has served a run before. */
  used: boolean;
}

export class Slots {
  readonly #directory: string;
  readonly #idle: Slot[] = [];
  #serial = 0;

  /** Removes what processes that are gone have left. */
  constructor(directory: string) {
    this.#directory = realpathSync(directory);
    for (const name of readdirSync(this.#directory)) {
      const pid = Number(/^slot-(\d+)-\d+$/.exec(name)?.[1]);
      if (pid > 0 && !isAlive(pid)) rmSync(join(this.#directory, name), { recursive: true, force: true });
    }
  }

  /** @param fresh: one that has not been used */
  take(
    toolchain: ObjectName,
    manifest: ToolchainManifest,
    pathOf: (name: ObjectName) => string,
    fresh = false,
  ): Slot {
    const at = fresh ? -1 : this.#idle.findLastIndex((slot) => slot.toolchain === toolchain);
    const idle = at < 0 ? undefined : this.#idle.splice(at, 1)[0]!;
    if (idle?.root.isIntact(pathOf)) return idle;
    if (idle) this.#drop(idle);
    const directory = join(this.#directory, `slot-${process.pid}-${this.#serial++}`);
    mkdirSync(directory, { mode: 0o755 });
    try {
      const root = new Root(join(directory, 'root'));
      for (const [path, target] of manifest.links) root.link(path, target);
      for (const [path, name] of manifest.files) root.share(path, name, pathOf(name));
      // Ways through their directories lead on as they do with the whole toolchain.
      for (const path of manifest.omitted) root.directory(posix.dirname(path));
      root.keep();
      return { directory, root, toolchain, used: false };
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** @param clean nothing of the run is left in it */
  give(slot: Slot, clean: boolean): void {
    slot.used = true;
    if (!clean || slot.root.directoryCount > DIRECTORIES_MAX) return this.#drop(slot);
    this.#idle.push(slot);
    if (this.#idle.length > IDLE_MAX) this.#drop(this.#idle.shift()!);
  }

  #drop(slot: Slot): void {
    rmSync(slot.directory, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
