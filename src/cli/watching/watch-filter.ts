// Which changes below the tree are worth a build: not what .gitignore names, not what the build itself wrote.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import ignore, { type Ignore } from 'ignore';

/** Never sources: version control, installed packages, our own temporary files. */
const ALWAYS = ['.git', '.hg', '.svn', '.jj', 'node_modules', '.gg', '.gg-*'];
/** .gitignore files kept; a tree with more of them is not one project. */
const FILES_MAX = 10_000;

/** Answers by the .gitignore files of the tree and of the directories above it up to the repository's root. */
export class IgnoreRules {
  readonly #root: string;
  readonly #top: string;
  readonly #always: Ignore = ignore().add(ALWAYS);
  readonly #rules = new Map<string, Ignore | undefined>();

  constructor(root: string) {
    this.#root = root;
    this.#top = repositoryOf(root) ?? root;
  }

  /** After a .gitignore changed. */
  forget(): void {
    this.#rules.clear();
  }

  #rulesIn(directory: string): Ignore | undefined {
    if (this.#rules.has(directory)) return this.#rules.get(directory);
    let rules: Ignore | undefined;
    for (const file of directory === this.#top ? ['.gitignore', '.git/info/exclude'] : ['.gitignore']) {
      try {
        rules = (rules ?? ignore()).add(readFileSync(join(directory, file), 'utf8'));
      } catch {
        // none there
      }
    }
    if (this.#rules.size < FILES_MAX) this.#rules.set(directory, rules);
    return rules;
  }

  /** @param kind what is at the path, as far as known; a rule that ends in "/" names directories only. */
  ignores(path: string, kind: 'file' | 'directory'): boolean {
    const below = relative(this.#root, path);
    if (below === '' || below.startsWith('..')) return false;
    const suffix = kind === 'directory' ? '/' : '';
    if (this.#always.ignores(below + suffix)) return true;
    // What is below an ignored directory cannot be taken back by a rule, as in git.
    const words = relative(this.#top, path).split(sep);
    let at = this.#top;
    for (const [i, word] of words.entries()) {
      const last = i === words.length - 1;
      at = join(at, word);
      if (this.#ignoredHere(at, last ? suffix : '/')) return true;
    }
    return false;
  }

  /** The nearest file that has an opinion decides. */
  #ignoredHere(path: string, suffix: string): boolean {
    for (let directory = dirname(path); ; directory = dirname(directory)) {
      const rules = this.#rulesIn(directory);
      if (rules) {
        const result = rules.test(relative(directory, path) + suffix);
        if (result.ignored) return true;
        if (result.unignored) return false;
      }
      if (directory === this.#top || directory === '/') return false;
    }
  }
}

function repositoryOf(directory: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    try {
      statSync(join(at, '.git'));
      return at;
    } catch {
      if (at === '/') return undefined;
    }
  }
}
