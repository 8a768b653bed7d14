// Names that would change what a compiler includes if they appeared, from the list of what it read and its search order. Made
// for `gcc -M`, which does not tell: everything a file seems to include counts, whether the compiler got there or not.
import { statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { absolutePath } from './search.ts';

/** What the text of a file says about its includes. */
export interface Spellings {
  readonly quoted: readonly string[];
  readonly angled: readonly string[];
  /** Others there are, too: their names are computed. */
  readonly computed: boolean;
}

/** The compiler's search order, as `-v` prints it. */
export interface SearchOrder {
  readonly quote: readonly string[];
  readonly bracket: readonly string[];
  /** Directories it would search if they were there. */
  readonly missing: readonly string[];
}

const INCLUDE =
  /(?:(?:#|%:|\?\?=)[ \t]*(?:include(?:_next)?|import)\b[ \t]*|__has_include(?:_next)?[ \t]*\([ \t]*)(?:"([^"\n]+)"|<([^>\n]+)>|([^\s"<]))/g;

export function spellingsOf(text: string): Spellings {
  const quoted = new Set<string>();
  const angled = new Set<string>();
  let computed = false;
  for (const [, quote, angle] of text.matchAll(INCLUDE)) {
    if (quote !== undefined) quoted.add(quote);
    else if (angle !== undefined) angled.add(angle);
    else computed = true;
  }
  return { quoted: [...quoted], angled: [...angled], computed };
}

/** @param log what -v printed under LC_ALL=C. @returns undefined when it holds no search list. */
export function searchOrderOf(log: string): SearchOrder | undefined {
  const lists =
    /^#include "\.\.\." search starts here:\n([\s\S]*?)^#include <\.\.\.> search starts here:\n([\s\S]*?)^End of search list\./m.exec(
      log,
    );
  if (!lists) return undefined;
  const directories = (text: string): string[] =>
    text.split('\n').flatMap((line) => (line.startsWith(' ') ? [line.slice(1)] : []));
  const missing = [...log.matchAll(/^ignoring nonexistent directory "(.*)"$/gm)].map((match) => match[1]!);
  return { quote: directories(lists[1]!), bracket: directories(lists[2]!), missing };
}

/**
 * @param files what was read, with what each says of its includes.
 * @returns spelled like the directories, relative to `cwd`; none of them is there now.
 */
export function shadowing(
  cwd: string,
  order: SearchOrder,
  files: readonly { readonly path: string; readonly spellings: Spellings }[],
): string[] {
  const there = new Map<string, boolean>();
  const isThere = (path: string): boolean => {
    let known = there.get(path);
    if (known === undefined) {
      known = statSync(absolutePath(cwd, path), { throwIfNoEntry: false })?.isFile() ?? false;
      there.set(path, known);
    }
    return known;
  };
  const absent = new Set<string>(order.missing);
  /** Every place counts, those behind the first hit too: #include_next goes on from there. */
  const lookIn = (directories: readonly string[], name: string): void => {
    for (const directory of name.startsWith('/') ? ['/'] : directories) {
      const path = join(directory, name);
      if (!isThere(path)) absent.add(path);
    }
  };
  const chain = [...order.quote, ...order.bracket];
  const looked = new Set<string>();
  const lookInChain = (name: string): void => {
    if (looked.has(name)) return;
    looked.add(name);
    lookIn(chain, name);
  };
  const besides = new Set<string>();
  for (const { path, spellings } of files) {
    const beside = dirname(path);
    for (const name of spellings.quoted) {
      lookIn([beside], name);
      lookInChain(name);
    }
    for (const name of spellings.angled) lookInChain(name);
    if (spellings.computed) besides.add(beside);
  }
  // What was included in some other way (-include, a computed name) was found below one of the directories.
  for (const { path } of files.slice(1)) {
    for (const directory of [...chain, '.', ...besides]) {
      const prefix = `${normalize(directory)}/`;
      const whole = normalize(path);
      const name = directory === '.' && !path.startsWith('/') ? whole : whole.slice(prefix.length);
      if (directory !== '.' && !whole.startsWith(prefix)) continue;
      lookInChain(name);
      lookIn(['.', ...besides], name);
    }
  }
  return [...absent];
}
