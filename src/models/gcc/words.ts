// From parsed words back to a thunk's command line.
import type { Arg } from '../../ir/thunk.ts';
import type { Call } from '../model.ts';
import type { Driver } from './driver.ts';
import type { Parsed, SourceWord } from './parse.ts';
import { terminalFlags } from './terminal.ts';

/** The tag of the one output every gcc thunk has. */
export const OUTPUT_TAG = 'out';

const DEPFILE_PART = /^-M/;

/** -Wp without its depfile parts; undefined when nothing is left. */
function stripDepfileParts(value: string): string | undefined {
  const kept = value.split(',').filter((part) => /^-[DU]./.test(part));
  return kept.length > 0 && DEPFILE_PART.test(value) ? `-Wp,${kept.join(',')}` : undefined;
}

/**
 * The thunk's arguments: as typed, but depfile flags (answered already) and, for a unit of several, the other sources.
 * @param only the source of this thunk; undefined keeps all (links)
 */
export function thunkArgs(parsed: Parsed, call: Call, only: SourceWord | undefined, driver: Driver): Arg[] {
  const args: Arg[] = [];
  for (const word of parsed.words) {
    switch (word.kind) {
      case 'source':
        if (only === undefined || word === only) args.push(word.path);
        break;
      case 'object':
        args.push(word.path);
        break;
      case 'output':
        if (!word.joined) args.push(word.prefix);
        args.push({ prefix: word.joined ? word.prefix : '', output: OUTPUT_TAG });
        break;
      case 'flag':
        if (word.flag.verdict === 'depfile') break;
        if (word.flag.verdict === 'wp') {
          if (!DEPFILE_PART.test(word.value) && !word.value.includes(',-M')) args.push(...word.args);
          else {
            const rest = stripDepfileParts(word.value);
            if (rest !== undefined) args.push(rest);
          }
        } else args.push(...(driver.native.replacements.get(word.args[0]!) ?? word.args));
    }
  }
  if (!parsed.output) args.push('-o', { prefix: '', output: OUTPUT_TAG });
  return [...args, ...terminalFlags(parsed, call, driver.major)];
}
