// nasm's argument vector as a value; touches no disk. Source: process_arg of nasm 2.16 (asm/nasm.c), nasm(1).
import type { BypassReason } from '../model.ts';

/** Where a value stands: in the word at `index`, behind `prefix`. */
export interface Word {
  readonly index: number;
  readonly prefix: string;
  readonly value: string;
}

export interface NasmCommand {
  readonly kind: 'command';
  readonly source: string;
  readonly output: Word;
  readonly format: string;
  /** -I, in order. */
  readonly directories: readonly string[];
  /** -P, in order: read before the source. */
  readonly before: readonly string[];
  readonly depfile: Word | undefined;
  /** -MT or -MQ names the depfile's target. */
  readonly namesTarget: boolean;
  readonly debug: boolean;
}

export interface NasmRefused {
  readonly kind: 'refused';
  readonly reason: BypassReason;
  readonly detail: string;
}

/** Letters with a value, joined or as the next word. */
const VALUED = 'ofFDdUuIiPpX';
/** Letters whose value, if any, is joined. */
const JOINED = 'OgwW';

export function parseNasm(args: readonly string[]): NasmCommand | NasmRefused {
  const sources: string[] = [];
  const directories: string[] = [];
  const before: string[] = [];
  let output: Word | undefined;
  let depfile: Word | undefined;
  let format = '';
  let namesTarget = false;
  let debug = false;
  const refused = (reason: BypassReason, detail: string): NasmRefused => ({
    kind: 'refused',
    reason,
    detail,
  });
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (!word.startsWith('-')) {
      sources.push(word);
      continue;
    }
    const letter = word[1] ?? '';
    if (['-v', '-h', '--v', '--version', '--help', '-hf', '-y'].includes(word))
      return refused('asks-version', word);
    if (word === '--reproducible' || (letter !== '' && JOINED.includes(letter))) {
      debug ||= letter === 'g';
      continue;
    }
    if (letter === 'M') {
      const next = args[i + 1];
      switch (word) {
        case '-MP':
          break;
        case '-MT':
        case '-MQ':
          if (next === undefined) return refused('unknown-flag', word);
          namesTarget = true;
          i++;
          break;
        case '-MD':
        case '-MF':
          // -MD takes its neighbour unless that is an option.
          if (next === undefined || next.startsWith('-')) return refused('too-hard-flag', word);
          depfile = { index: ++i, prefix: '', value: next };
          break;
        default:
          return refused('writes-stdout', word);
      }
      continue;
    }
    if (letter === '' || !VALUED.includes(letter)) return refused('unknown-flag', word);
    const joined = word.length > 2;
    const value = joined ? word.slice(2) : args[++i];
    // Blanks behind the letter are skipped by nasm.
    if (value === undefined || value === '' || value !== value.trimStart())
      return refused('unknown-flag', word);
    switch (letter) {
      case 'o':
        output = { index: i, prefix: joined ? '-o' : '', value };
        break;
      case 'f':
        format = value;
        break;
      case 'I':
      case 'i':
        directories.push(value);
        break;
      case 'P':
      case 'p':
        before.push(value);
        break;
      default:
        break;
    }
  }
  if (sources.length !== 1) return refused('no-input', `${sources.length} sources`);
  if (!output) return refused('too-hard-flag', 'no -o');
  if (depfile && !args.includes('-MD')) return refused('writes-stdout', '-MF');
  return {
    kind: 'command',
    source: sources[0]!,
    output,
    format,
    directories,
    before,
    depfile,
    namesTarget,
    debug,
  };
}
