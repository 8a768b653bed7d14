// What linker scripts say about files. The small ones that stand for libraries (libc.so, libm.so) are followed: INPUT, GROUP,
// AS_NEEDED, OUTPUT_FORMAT, OUTPUT_ARCH, SEARCH_DIR. Of all others only whether they name files is asked.
// Source: ldgram.y and ldlex.l of binutils 2.40.

export type ScriptItem = { readonly kind: 'file' | 'library'; readonly name: string };

export interface LibraryScript {
  readonly items: readonly ScriptItem[];
  readonly searchDirectories: readonly string[];
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

/** Commands by which a script reads, searches or writes further files, or reads them in another way. */
const NAMES_FILES =
  /(?<![\w$.])(?:INCLUDE|INPUT|GROUP|STARTUP|SEARCH_DIR|OUTPUT|TARGET|SYSLIB|HLL|MAP)(?![\w$.])/;

/**
 * Words, and what stands in quotes. A comment or a string counts only where no state of ld's lexer could take it for a part of
 * a name: `dir/*(.text)` is one.
 * @returns undefined where that cannot be told.
 */
function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  const piece = /\s+|\/\*[\s\S]*?\*\/|"([^"]*)"|[(){};,]|[^\s(){};,"]+/gy;
  let end = 0;
  for (const match of text.matchAll(piece)) {
    const word = match[0];
    end = match.index + word.length;
    if (/^\s/.test(word)) continue;
    if (match[1] !== undefined) {
      if (match[1].includes('\n')) return undefined;
      tokens.push({ text: match[1], quoted: true });
    } else if (word.startsWith('/*') && word.endsWith('*/') && word.length > 3) {
      if (/["\\]|[^/]\/\*/.test(word)) return undefined;
    } else if (/\/\*|\*\/|[#\\]/.test(word)) return undefined;
    else tokens.push({ text: word, quoted: false });
  }
  return end === text.length ? tokens : undefined;
}

/** Whether a script (or a list of symbols) says anything of files but the ones on the command line. */
export function mayNameFiles(text: string): boolean {
  const tokens = tokensOf(text);
  return tokens ? tokens.some((t) => !t.quoted && NAMES_FILES.test(t.text)) : NAMES_FILES.test(text);
}

/** @returns undefined for a script that says more than which files to read. */
export function parseLibraryScript(text: string): LibraryScript | undefined {
  if (/[^\t\n\r\x20-\x7e]/.test(text)) return undefined;
  const tokens = tokensOf(text);
  if (!tokens) return undefined;
  const items: ScriptItem[] = [];
  const searchDirectories: string[] = [];
  const is = (i: number, text: string): boolean => tokens[i]?.quoted === false && tokens[i].text === text;
  /** A plain file name; what a sysroot stands before is not followed. */
  const isName = (i: number): boolean =>
    tokens[i] !== undefined && !/^[=$(){};,]|^$/.test(tokens[i].text) && !/[*?[\]]/.test(tokens[i].text);
  let i = 0;
  while (i < tokens.length) {
    const word = tokens[i]!;
    if (is(i, ';')) {
      i++;
      continue;
    }
    if (word.quoted || !is(i + 1, '(')) return undefined;
    if (word.text === 'OUTPUT_FORMAT' || word.text === 'OUTPUT_ARCH') {
      while (i < tokens.length && !is(i, ')')) i++;
      i++;
    } else if (word.text === 'SEARCH_DIR') {
      if (!is(i + 3, ')') || !isName(i + 2)) return undefined;
      searchDirectories.push(tokens[i + 2]!.text);
      i += 4;
    } else if (word.text === 'INPUT' || word.text === 'GROUP') {
      let depth = 1;
      i += 2;
      for (; i < tokens.length && depth > 0; i++) {
        const { text: name, quoted } = tokens[i]!;
        if (is(i, ')')) depth--;
        else if (is(i, ',')) continue;
        else if (is(i, 'AS_NEEDED') && is(i + 1, '(')) {
          depth++;
          i++;
        } else if (!isName(i)) return undefined;
        else if (!quoted && name.startsWith('-l')) items.push({ kind: 'library', name: name.slice(2) });
        else if (name.startsWith('-')) return undefined;
        else items.push({ kind: 'file', name });
      }
      if (depth > 0) return undefined;
    } else return undefined;
  }
  return { items, searchDirectories };
}
