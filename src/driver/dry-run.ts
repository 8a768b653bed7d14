// What `gcc -###` prints: the commands the driver would run, quoted, and what it has to say itself. Source: execute() in gcc/gcc.cc.
import { basename } from 'node:path';

/**
 * The words of one printed command: blanks separate; words with unusual characters stand in double quotes, in which a
 * backslash precedes `"`, `\` and `$`.
 * @returns undefined for a line that is not such a command
 */
export function splitCommand(line: string): string[] | undefined {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    if (line[at] === ' ') {
      at++;
      continue;
    }
    let word = '';
    if (line[at] === '"') {
      for (at++; at < line.length && line[at] !== '"'; at++) {
        if (line[at] === '\\') at++;
        word += line[at] ?? '';
      }
      if (line[at] !== '"') return undefined;
      at++;
    } else for (; at < line.length && line[at] !== ' '; at++) word += line[at];
    words.push(word);
  }
  return words;
}

/** The last command whose program has one of these base names. */
export function findCommand(printed: string, programs: ReadonlySet<string>): readonly string[] | undefined {
  // Commands are the lines that begin with a blank; the rest are settings and notes.
  for (const line of printed.split('\n').reverse()) {
    if (!line.startsWith(' ')) continue;
    const words = splitCommand(line);
    const program = words?.[0];
    if (program !== undefined && programs.has(basename(program))) return words;
  }
  return undefined;
}

/**
 * True when there is a warning of the driver's own, which neither the compiler nor the assembler would repeat.
 * @param driver as it was called.
 */
export function driverWarns(printed: string, driver: string): boolean {
  return printed.split('\n').some((line) => line.startsWith(`${basename(driver)}: `));
}
