// Response files: every "@FILE" word is replaced by the words the file holds, again and again, as libiberty's expandargv
// does it.

export type Expansion =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'bad'; readonly detail: string };

/** libiberty gives up after as many; more means a file that names itself. */
const FILES_MAX = 2000;
/** A command line of this many bytes cannot be started without a response file. */
const WORDS_BYTES_MAX = 1024 * 1024;

const SPACE = new Set([' ', '\t', '\n', '\v', '\f', '\r']);

/**
 * Splits a response file's text as libiberty's buildargv does: blanks separate, quotes of either kind group, a backslash
 * takes the next character as it is.
 * @returns undefined where versions of libiberty disagree: a backslash inside quotes, before a newline or at the very end.
 */
export function splitResponse(text: string): string[] | undefined {
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (SPACE.has(text[at]!)) {
      at++;
      continue;
    }
    let word = '';
    let quote = '';
    for (; at < text.length; at++) {
      const c = text[at]!;
      if (c === '\\') {
        const next = text[at + 1];
        if (quote !== '' || next === undefined || next === '\n') return undefined;
        word += next;
        at++;
      } else if (quote !== '') {
        if (c === quote) quote = '';
        else word += c;
      } else if (c === "'" || c === '"') quote = c;
      else if (SPACE.has(c)) break;
      else word += c;
    }
    if (quote !== '') return undefined;
    words.push(word);
  }
  return words;
}

/**
 * Expands response files, nested ones too. A file that cannot be read stays a word, as in gcc.
 * @param read text of a file as typed; undefined when unreadable, 'odd' when it is no text (NUL, not UTF-8).
 */
export function expandResponseFiles(
  args: readonly string[],
  read: (argvPath: string) => { readonly text: string } | 'odd' | undefined,
): Expansion {
  if (!args.some((arg) => arg.startsWith('@'))) return { kind: 'words', words: args };
  const words: string[] = [];
  const pending = [...args].reverse();
  let files = 0;
  let bytes = 0;
  for (let arg = pending.pop(); arg !== undefined; arg = pending.pop()) {
    const found = arg.startsWith('@') ? read(arg.slice(1)) : undefined;
    if (found === undefined) {
      bytes += Buffer.byteLength(arg) + 1;
      if (bytes > WORDS_BYTES_MAX) return { kind: 'bad', detail: 'more words than a command line holds' };
      words.push(arg);
      continue;
    }
    if (found === 'odd') return { kind: 'bad', detail: arg };
    if (++files > FILES_MAX) return { kind: 'bad', detail: `${arg}: nested without end` };
    const inner = splitResponse(found.text);
    if (inner === undefined) return { kind: 'bad', detail: arg };
    for (let i = inner.length - 1; i >= 0; i--) pending.push(inner[i]!);
  }
  return { kind: 'words', words };
}
