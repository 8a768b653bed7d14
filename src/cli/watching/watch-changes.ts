// Sorts changes below a watched tree: the user's start a build, the build's own do not.

/** Fewer names are shown; the rest is a number. */
const NAMES_SHOWN = 3;

export class Changes {
  /** Written through us: outputs for sure. */
  readonly #written = new Set<string>();
  /** Written while a build ran, and never since by anybody else. */
  readonly #learned = new Set<string>();
  #pending = new Set<string>();
  /** Changed while a build ran, though they were there before: an edit, or an output we do not know yet. */
  #during = new Set<string>();
  #building = false;
  #endedMs = 0;

  get pending(): ReadonlySet<string> {
    return this.#pending;
  }

  /** @param mtimeMs of the file now; undefined when it is gone. @returns true when it is worth a build. */
  note(path: string, event: 'add' | 'change' | 'unlink', mtimeMs: number | undefined): boolean {
    if (this.#written.has(path)) return false;
    const byBuild = this.#building || (mtimeMs !== undefined && mtimeMs <= this.#endedMs);
    if (byBuild) {
      if (event === 'add') this.#learned.add(path);
      else if (!this.#learned.has(path)) this.#during.add(path);
      return false;
    }
    this.#learned.delete(path);
    this.#pending.add(path);
    return true;
  }

  begin(): readonly string[] {
    const taken = [...this.#pending];
    this.#pending = new Set();
    this.#building = true;
    return taken;
  }

  /**
   * The build is over and its last changes have been heard.
   * @param written absolute paths the session wrote
   * @param nowMs when it ended
   * @returns true when another build has to look at what changed meanwhile
   */
  end(written: readonly string[], nowMs: number): boolean {
    for (const path of written) this.#written.add(path);
    this.#building = false;
    this.#endedMs = nowMs;
    for (const path of this.#during) {
      if (this.#written.has(path)) continue;
      // One more build finds an edit; if nobody edited it there is nothing to do, and the file is known for an output.
      this.#learned.add(path);
      this.#pending.add(path);
    }
    this.#during = new Set();
    return this.#pending.size > 0;
  }
}

/** "a.c", "a.c and b.c", "a.c, b.c, c.c and 4 more". */
export function describeChanges(paths: readonly string[]): string {
  const shown = paths.slice(0, NAMES_SHOWN);
  const more = paths.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more`;
  const last = shown.pop();
  return shown.length > 0 ? `${shown.join(', ')} and ${last}` : (last ?? '');
}
