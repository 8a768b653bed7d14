// The small linker scripts that stand for libraries (libc.so, libm.so): INPUT, GROUP, AS_NEEDED, OUTPUT_FORMAT, SEARCH_DIR.

export type ScriptItem = { readonly kind: 'file' | 'library'; readonly name: string };

export interface LibraryScript {
  readonly items: readonly ScriptItem[];
  readonly searchDirectories: readonly string[];
}

/** @returns undefined for a script that says more than which files to read. */
export function parseLibraryScript(text: string): LibraryScript | undefined {
  if (/[^\t\n\r\x20-\x7e]/.test(text)) return undefined;
  const tokens = text.replace(/\/\*[\s\S]*?\*\//g, ' ').match(/"[^"]*"|[()]|,|[^\s(),"]+/g) ?? [];
  const items: ScriptItem[] = [];
  const searchDirectories: string[] = [];
  const unquote = (t: string): string => t.replace(/^"(.*)"$/, '$1');
  let i = 0;
  while (i < tokens.length) {
    const word = tokens[i]!;
    if (word === ';') {
      i++;
      continue;
    }
    if (tokens[i + 1] !== '(') return undefined;
    if (word === 'OUTPUT_FORMAT' || word === 'OUTPUT_ARCH') {
      while (i < tokens.length && tokens[i] !== ')') i++;
      i++;
    } else if (word === 'SEARCH_DIR') {
      if (tokens[i + 3] !== ')') return undefined;
      searchDirectories.push(unquote(tokens[i + 2]!));
      i += 4;
    } else if (word === 'INPUT' || word === 'GROUP') {
      let depth = 1;
      i += 2;
      for (; i < tokens.length && depth > 0; i++) {
        const t = tokens[i]!;
        if (t === ')') depth--;
        else if (t === ',') continue;
        else if (t === 'AS_NEEDED' && tokens[i + 1] === '(') {
          depth++;
          i++;
        } else if (t === '(') return undefined;
        else if (t.startsWith('-l')) items.push({ kind: 'library', name: t.slice(2) });
        else items.push({ kind: 'file', name: unquote(t) });
      }
      if (depth > 0) return undefined;
    } else return undefined;
  }
  return { items, searchDirectories };
}
