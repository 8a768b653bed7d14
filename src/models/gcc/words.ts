// From parsed words back to a thunk's command line.
import type { Arg } from '../../ir/thunk.ts';
import type { Call } from '../model.ts';
import type { Driver } from './driver.ts';
import type { Parsed, SourceWord } from './parse.ts';
import { terminalFlags } from './terminal.ts';

/** The tag of the one output a gcc thunk has. */
export const OUTPUT_TAG = 'out';

/** -Wp without its depfile parts; nothing when nothing is left. */
function withoutDepfileParts(args: readonly string[], value: string): readonly string[] {
  const parts = value.split(',');
  if (!parts.some((part) => part.startsWith('-M'))) return args;
  const kept = parts.filter((part) => /^-[DU]./.test(part));
  return kept.length > 0 ? [`-Wp,${kept.join(',')}`] : [];
}

/** To -M its companions are the question itself; the file it goes to is the thunk's output. */
function questionWords(args: readonly string[], spelling: string): readonly Arg[] {
  return spelling === '-MF' ? ['-MF', { prefix: '', output: OUTPUT_TAG }] : args;
}

/**
 * The thunk's arguments: as typed, but depfile flags (answered already) and, for a unit of several, the other sources.
 * @param only the source of this thunk; undefined keeps all (links)
 */
export function thunkArgs(parsed: Parsed, call: Call, only: SourceWord | undefined, driver: Driver): Arg[] {
  const args: Arg[] = [];
  let past = false;
  for (const word of parsed.words) {
    switch (word.kind) {
      case 'source':
        if (only === undefined || word === only) args.push(word.path);
        past ||= word === only;
        break;
      case 'object':
        args.push(word.path);
        break;
      case 'output':
        if (!word.joined) args.push(word.prefix);
        args.push({ prefix: word.joined ? word.prefix : '', output: OUTPUT_TAG });
        break;
      case 'flag':
        if (word.flag.verdict === 'depfile') {
          if (parsed.isQuestion) args.push(...questionWords(word.args, word.flag.spelling));
          break;
        }
        // The driver warns of a language that no file follows, and those that follow are other thunks'.
        if (past && word.flag.spelling === '-x') break;
        if (word.flag.verdict === 'wp') args.push(...withoutDepfileParts(word.args, word.value));
        else args.push(...(driver.native.replacements.get(word.args[0]!) ?? word.args));
    }
  }
  if (!parsed.output && !parsed.isQuestion) args.push('-o', { prefix: '', output: OUTPUT_TAG });
  return [...args, ...terminalFlags(parsed, call, driver.major)];
}
