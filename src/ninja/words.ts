// The words of a command that a shell would only split: no variables, globs, redirections or second commands.

const BLANK = /[ \t]/;
/** What makes a shell do more than split, outside of quotes. */
const SPECIAL = /[`$&|;<>()*?[\]{}~#!\n\r]/;
/** A backslash between double quotes escapes these and stands for itself before others. */
const ESCAPABLE = /["\\$`]/;

/** @returns undefined when a shell has to run it. */
export function plainWords(command: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < command.length; i++) {
    const c = command[i]!;
    if (BLANK.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (c === "'") {
      const end = command.indexOf("'", i + 1);
      if (end < 0) return undefined;
      word = (word ?? '') + command.slice(i + 1, end);
      i = end;
    } else if (c === '"') {
      word ??= '';
      for (i++; command[i] !== '"'; i++) {
        const d = command[i];
        if (d === undefined || d === '$' || d === '`' || d === '\n') return undefined;
        const next = command[i + 1];
        if (d === '\\' && next !== undefined && ESCAPABLE.test(next)) {
          word += next;
          i++;
        } else word += d;
      }
    } else if (c === '\\') {
      const next = command[++i];
      if (next === undefined || next === '\n') return undefined;
      word = (word ?? '') + next;
    } else {
      if (SPECIAL.test(c)) return undefined;
      word = (word ?? '') + c;
    }
  }
  if (word !== undefined) words.push(word);
  // An assignment before the command is the shell's.
  return words.length === 0 || words[0]!.includes('=') ? undefined : words;
}
