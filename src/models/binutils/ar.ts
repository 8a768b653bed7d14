// ar: creating and appending archives becomes a thunk; looking into one, or anything with the archive's name or the clock
// in its result, is left to the real tool.

import type { Arg } from '../../ir/thunk.ts';
import { type Bypass, bypass, type Call, type Model, type ModelContext, type Plan } from '../model.ts';
import { absolute, asksVersion, binutilsEnvironment, filesAmong } from '../common.ts';

export interface ArCommand {
  /** d m p q r s t x */
  readonly operation: string;
  readonly modifiers: ReadonlySet<string>;
  /** Words before the archive, as typed, without --plugin and its value. */
  readonly words: readonly string[];
  readonly archive: string;
  readonly members: readonly string[];
}

/** @returns undefined when this is no command line the model follows. */
export function parseAr(args: readonly string[]): ArCommand | undefined {
  let i = 0;
  const words: string[] = [];
  let letters = '';
  for (; i < args.length; i++) {
    const word = args[i]!;
    if (word === '--plugin') {
      words.push(word, args[++i] ?? '');
      continue;
    }
    if (word.startsWith('--')) return undefined;
    if (word.startsWith('-') && word.length > 1) {
      letters += word.slice(1);
      words.push(word);
      continue;
    }
    break;
  }
  if (letters === '') {
    letters = args[i] ?? '';
    words.push(args[i] ?? '');
    i++;
  }
  if (!/^[dmpqrstxabcDfilNoOPSTuUvV]+$/.test(letters)) return undefined;
  // "s" beside an operation asks for the index; alone it is the operation.
  const operations = [...letters].filter((l) => 'dmpqrtx'.includes(l));
  const operation = operations.length === 0 && letters.includes('s') ? 's' : operations[0];
  if (operation === undefined || new Set(operations).size > 1) return undefined;
  const [archive, ...members] = args.slice(i);
  // ar takes options from behind its operands too.
  if (archive === undefined || [archive, ...members].some((word) => word.startsWith('-'))) return undefined;
  return { operation, modifiers: new Set(letters), words, archive, members };
}

/**
 * Modifiers whose result holds more than the members' bytes, or that need more operands. `u` is none: where dates are
 * left out of archives, ar ignores it and says so.
 */
const TOO_HARD = 'abiofTUNPOlVv';

async function deterministicByDefault(call: Call, context: ModelContext): Promise<boolean> {
  const help = await context.query(call.realTool, ['--help']);
  return /\[D\][^\n]*\(default\)/.test(help.stdout);
}

async function plan(call: Call, context: ModelContext): Promise<Plan | Bypass> {
  const files = filesAmong(call, context);
  if (call.args.length === 0 || asksVersion(call.args))
    return bypass('asks-version', call.args.join(' '), files);
  if (call.args.some((a) => a.startsWith('@'))) return bypass('bad-response-file', 'ar @file', 'all');
  const command = parseAr(call.args);
  if (!command) return bypass('unknown-flag', call.args[0] ?? '', files);
  const archive = absolute(call.cwd, command.archive);
  if (
    context.isProbePath(archive) ||
    command.members.some((m) => context.isProbePath(absolute(call.cwd, m)))
  ) {
    return bypass('probe', command.archive, files);
  }
  if (!['r', 'q'].includes(command.operation) && command.operation !== 's')
    return bypass('reader', `ar ${command.operation}`, files);
  const hard = [...TOO_HARD].find((l) => command.modifiers.has(l));
  if (hard !== undefined)
    return bypass(
      hard === 'T' ? 'thin-archive' : hard === 'v' ? 'writes-stdout' : 'odd-archive',
      hard,
      files,
    );
  if (!command.modifiers.has('D') && !(await deterministicByDefault(call, context)))
    return bypass('odd-archive', 'dates in the archive', files);
  const old = context.stat(archive);
  if (old && old.kind !== 'file') return bypass('writes-special-file', command.archive, files);
  if (!old && (command.operation === 's' || !command.modifiers.has('c'))) {
    // ar tells about the new archive by its name, which in the run is another.
    return bypass('output-names-itself', command.archive, files);
  }
  if (old && !context.isPlaceholder(archive)) {
    const magic = context.read(archive, 1 << 30)?.toString('latin1', 0, 8);
    if (magic === '!<thin>\n') return bypass('thin-archive', command.archive, files);
    if (magic !== '!<arch>\n') return bypass('odd-archive', command.archive, files);
    if (command.operation === 's') return bypass('reader', 'the archive is real', files);
  }
  for (const member of command.members) {
    const stat = context.stat(absolute(call.cwd, member));
    if (stat?.kind !== 'file') return bypass('missing-input', member, files);
    if (absolute(call.cwd, member) === archive) return bypass('output-is-input', member, files);
  }
  const args: Arg[] = [...command.words, { prefix: '', output: 'a' }, ...command.members];
  return {
    kind: 'plan',
    thunks: [
      {
        tool: call.tool,
        args,
        env: binutilsEnvironment(call.env),
        needsCwd: false,
        inputs: [...new Set([...(old ? [command.archive] : []), ...command.members])],
        absent: old ? [] : [command.archive],
        outputs: [
          {
            tag: 'a',
            path: command.archive,
            form: 'archive',
            mode: old ? undefined : 0o666,
            ...(old ? { from: command.archive } : {}),
          },
        ],
        salt: [],
        label: command.archive,
        stage: 'archive',
      },
    ],
    files: [],
    sync: false,
  };
}

export const arModel: Model = { plan };
