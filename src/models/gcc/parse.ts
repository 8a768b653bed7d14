// gcc's command line as a value. No disk: what files exist and what they hold is the plan's business.
import type { Bypass, BypassReason } from '../model.ts';
import {
  type DepfileRequest,
  depfileRequest,
  noDepfileFlags,
  refusedQuestion,
  takeDepfileFlag,
  takePreprocessorFlags,
} from './depfile-flags.ts';
import { type Flag, matchFlag, type Stages } from './flags.ts';
import { HEADER_LANGUAGES, LANGUAGES, type Language, languageBySuffix } from './languages.ts';

/** Where the driver stops. */
export type Goal = 'preprocess' | 'compile' | 'assemble' | 'link';

/** A flag with its value; `args` are its words as typed (one or two). */
export interface FlagWord {
  readonly kind: 'flag';
  readonly args: readonly string[];
  readonly flag: Flag;
  readonly value: string;
}

/** A file to compile or assemble. */
export interface SourceWord {
  readonly kind: 'source';
  readonly path: string;
  readonly language: Language;
}

/** A file for the linker. */
export interface ObjectWord {
  readonly kind: 'object';
  readonly path: string;
}

/** The -o flag; the path follows `prefix` in the same word, or stands in a word of its own after `prefix`. */
export interface OutputWord {
  readonly kind: 'output';
  readonly prefix: string;
  readonly joined: boolean;
  readonly path: string;
}

export type Word = FlagWord | SourceWord | ObjectWord | OutputWord;

/** Why a command line is left to the real tool. */
export interface Declined {
  readonly reason: BypassReason;
  /** The offending flag or file. */
  readonly detail: string;
}

export interface Parsed {
  readonly declined: Declined | undefined;
  readonly goal: Goal;
  readonly words: readonly Word[];
  readonly sources: readonly SourceWord[];
  readonly objects: readonly ObjectWord[];
  readonly output: OutputWord | undefined;
  readonly depfile: DepfileRequest | undefined;
  /** -M or -MM: the call wants a rule, not a compile. */
  readonly isQuestion: boolean;
  /** Stages the call runs. */
  readonly stages: Stages;
  /** What the real tool would read that may not be built yet, as typed: the inputs of a bypass. */
  readonly forces: Bypass['inputs'];
  readonly nativeFlags: readonly string[];
  /** Some flag makes results depend on the working directory. */
  readonly cwdMatters: boolean;
}

const UNNAMED_LINK_INPUTS: ReadonlySet<string> = new Set([
  '--for-linker',
  '--for-linker=',
  '--library-directory',
  '--library-directory=',
  '--sysroot',
  '--sysroot=',
  '-B',
  '-L',
  '-T',
  '-Wl,',
  '-Xlinker',
  '-specs',
  '-specs=',
]);

/** Assembler flags that read and write nothing beside the source and the object. */
const ASSEMBLER_FLAG =
  /^(-I.*|-W|-g|-gstabs\+?|-gdwarf-?[2345]?|-gdwarf-sections|-K|--(no)?execstack|--(no-)?warn|--fatal-warnings|--(no)?compress-debug-sections(=[a-z-]+)?|--gdwarf-?[2345]|--gdwarf-sections|--(32|64|x32)|--defsym|[A-Za-z_.$][\w.$]*=\w+|--divide|--(no-)?pad-sections|--reduce-memory-overheads|--strip-local-absolute|--generate-missing-build-notes=(yes|no)|--elf-stt-common=(yes|no)|--sectname-subst|-m[a-z][\w+.=,-]*|--keep-locals|-L)$/;
const ASSEMBLER_DEBUG = /^--?g/;

/**
 * Reads a command line whose response files are expanded.
 * @param options.cplusplus the driver is g++ (C files are C++ to it)
 * @param options.librarySearch the environment names directories to search for libraries
 */
export function parseGcc(
  args: readonly string[],
  options: { readonly cplusplus: boolean; readonly librarySearch: boolean },
): Parsed {
  const words: Word[] = [];
  const sources: SourceWord[] = [];
  const objects: ObjectWord[] = [];
  const hard: (Declined & { readonly stages: Stages })[] = [];
  const outputs: OutputWord[] = [];
  const direct = noDepfileFlags();
  const viaWp = noDepfileFlags();
  let goal: Goal = 'link';
  let isQuestion = false;
  let language: string | undefined;
  let cwdMatters = false;
  const nativeFlags: string[] = [];
  const give = (reason: BypassReason, detail: string, stages: Stages = '') =>
    hard.push({ reason, detail, stages });

  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '-') {
      give('reads-stdin', arg);
      continue;
    }
    if (!arg.startsWith('-')) {
      const name = language ?? languageBySuffix(arg, options.cplusplus);
      const known = name === undefined ? undefined : LANGUAGES.get(name);
      if (name === undefined) {
        const word: ObjectWord = { kind: 'object', path: arg };
        words.push(word);
        objects.push(word);
      } else if (known) {
        const word: SourceWord = { kind: 'source', path: arg, language: known };
        words.push(word);
        sources.push(word);
      } else give(HEADER_LANGUAGES.has(name) ? 'too-hard-flag' : 'unknown-language', arg);
      continue;
    }
    const match = matchFlag(arg);
    if (!match) {
      give('unknown-flag', arg);
      continue;
    }
    const { flag } = match;
    const takesNext = match.value === undefined && (flag.style === 'separate' || flag.style === 'either');
    if (takesNext && i + 1 >= args.length) {
      give('too-hard-flag', `${arg}: no argument`);
      continue;
    }
    const value = takesNext ? args[++i]! : (match.value ?? '');
    const typed = takesNext ? [arg, value] : [arg];
    if (flag.kind !== 'plain' && value === '' && flag.style !== 'family') {
      // gcc has odd rules for empty paths; none of them is worth copying.
      give('too-hard-flag', `${arg}: empty`);
    }
    if (flag.verdict === 'output') {
      const prefix = takesNext ? arg : arg.slice(0, arg.length - value.length);
      const word: OutputWord = { kind: 'output', prefix, joined: !takesNext, path: value };
      words.push(word);
      outputs.push(word);
      continue;
    }
    words.push({ kind: 'flag', args: typed, flag, value });
    switch (flag.verdict) {
      case 'fine':
        break;
      case 'mode':
        if (flag.spelling === '-x') language = value === 'none' ? undefined : value;
        else if (flag.spelling === '-E') goal = 'preprocess';
        else if (flag.spelling === '-S') goal = goal === 'preprocess' ? goal : 'compile';
        else goal = goal === 'link' ? 'assemble' : goal;
        break;
      case 'cwd':
        cwdMatters = true;
        break;
      case 'native':
        nativeFlags.push(arg);
        break;
      case 'question':
        isQuestion = true;
        goal = 'preprocess';
        break;
      case 'depfile':
        takeDepfileFlag(direct, flag.spelling, value);
        break;
      case 'wp':
        if (!takePreprocessorFlags(viaWp, value.split(','))) give('too-hard-flag', arg, 'p');
        break;
      case 'wa':
        for (const part of flag.spelling === '-Wa,' ? value.split(',') : [value]) {
          if (!ASSEMBLER_FLAG.test(part)) give('too-hard-flag', arg, 'a');
          if (ASSEMBLER_DEBUG.test(part)) cwdMatters = true;
        }
        break;
      default:
        give(flag.verdict, arg, flag.stages);
    }
  }

  const lastFile = words.findLastIndex((word) => word.kind === 'source' || word.kind === 'object');
  if (language !== undefined && words.slice(lastFile + 1).some(isLanguage))
    give('too-hard-flag', '-x after the last file');
  const stages = stagesOf(goal, sources, words);
  // Without line markers the assembler's debug information names the driver's temporary file.
  const bare = words.some((word) => word.kind === 'flag' && word.flag.spelling === '-P');
  if (bare && goal !== 'preprocess') give('too-hard-flag', '-P');
  const hit = hard.find(
    ({ stages: concerned }) => concerned === '' || [...concerned].some((stage) => stages.includes(stage)),
  );
  const refused = isQuestion ? refusedQuestion(direct, viaWp, sources, outputs) : undefined;
  const depfile = isQuestion
    ? refused === undefined
      ? undefined
      : { reason: refused }
    : depfileRequest(direct, viaWp, goal, sources);
  const output = outputs[0];
  const searches = options.librarySearch || linksUnnamedFiles(words);
  return {
    declined: hit ?? declinedAsWhole({ goal, isQuestion, sources, objects, outputs, depfile }),
    goal,
    words,
    sources,
    objects,
    output,
    depfile: depfile && 'reason' in depfile ? undefined : depfile,
    isQuestion,
    stages,
    forces: goal === 'link' && searches ? 'all' : [...sources, ...objects].map((word) => word.path),
    nativeFlags,
    // Text outputs spell the directory out in ways of their own.
    cwdMatters: cwdMatters || (goal === 'preprocess' && !isQuestion) || goal === 'compile',
  };
}

function isLanguage(word: Word): boolean {
  return word.kind === 'flag' && word.flag.spelling === '-x';
}

/** What is wrong, or not modelled, with the words taken together. */
function declinedAsWhole(call: {
  readonly goal: Goal;
  readonly isQuestion: boolean;
  readonly sources: readonly SourceWord[];
  readonly objects: readonly ObjectWord[];
  readonly outputs: readonly OutputWord[];
  readonly depfile: ReturnType<typeof depfileRequest>;
}): Declined | undefined {
  const { goal, isQuestion, sources, objects, outputs, depfile } = call;
  if (sources.length + objects.length === 0) return { reason: 'no-input', detail: '' };
  if (outputs.length > 1) return { reason: 'too-hard-flag', detail: '-o twice' };
  if (outputs[0]?.path === '-') return { reason: 'writes-stdout', detail: '-o -' };
  if (goal !== 'link') {
    if (objects.length > 0) return { reason: 'too-hard-flag', detail: `${objects[0]!.path}: not linked` };
    if (outputs.length > 0 && sources.length > 1)
      return { reason: 'too-hard-flag', detail: '-o with several sources' };
    if (goal === 'preprocess' && !isQuestion && outputs.length === 0)
      return { reason: 'writes-stdout', detail: '-E' };
  }
  if (depfile && 'reason' in depfile) return { reason: 'too-hard-flag', detail: depfile.reason };
  return undefined;
}

/**
 * True when a link may read files of the build that are not among its operands: libraries on a search path, what linker
 * flags name, what a shared library needs. Objects and archives hold all they need.
 */
function linksUnnamedFiles(words: readonly Word[]): boolean {
  return words.some((word) => {
    if (word.kind === 'object') return !/\.[oa]$/.test(word.path);
    return word.kind === 'flag' && UNNAMED_LINK_INPUTS.has(word.flag.spelling);
  });
}

function stagesOf(goal: Goal, sources: readonly SourceWord[], words: readonly Word[]): Stages {
  let stages = '';
  if (sources.some((source) => source.language.preprocessed)) stages += 'p';
  if (goal !== 'preprocess') {
    // With -flto the link runs the compiler proper on what the objects hold.
    const lto = words.some((word) => word.kind === 'flag' && word.flag.spelling === '-flto');
    if (sources.some((source) => source.language.compiled) || (goal === 'link' && lto)) stages += 'c';
    if (goal !== 'compile' && sources.length > 0) stages += 'a';
    if (goal === 'link') stages += 'l';
  }
  return stages;
}
