// gcc's command line as a value. No disk: what files exist and what they hold is the plan's business.
import { type Bypass, type BypassReason, bypass } from '../model.ts';
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

/** One target of a depfile rule: -MT's text goes out as it is, -MQ's is quoted. */
export interface DepTarget {
  readonly text: string;
  readonly quote: boolean;
}

/** What the depfile flags ask for. */
export interface DepfileRequest {
  /** -MMD: leave system headers out. */
  readonly userOnly: boolean;
  /** -MF's path, or that of -Wp,-MD; undefined: gcc makes one up. */
  readonly path: string | undefined;
  readonly targets: readonly DepTarget[];
  readonly phony: boolean;
  /** Through -Wp: the preprocessor does not know the driver's -o then, which changes the default target. */
  readonly viaPreprocessor: boolean;
}

export interface Parsed {
  readonly kind: 'parsed';
  readonly goal: Goal;
  readonly words: readonly Word[];
  readonly sources: readonly SourceWord[];
  readonly objects: readonly ObjectWord[];
  readonly output: OutputWord | undefined;
  readonly depfile: DepfileRequest | undefined;
  /** Stages the call runs. */
  readonly stages: Stages;
  readonly nativeFlags: readonly string[];
  /** Some flag makes results depend on the working directory. */
  readonly cwdMatters: boolean;
}

interface Depfile {
  userOnly: boolean;
  wanted: boolean;
  path: string | undefined;
  targets: DepTarget[];
  phony: boolean;
}

function noDepfile(): Depfile {
  return { userOnly: false, wanted: false, path: undefined, targets: [], phony: false };
}

/** Takes one depfile flag. @returns false for a spelling it does not know. */
function takeDepfileFlag(into: Depfile, spelling: string, value: string): boolean {
  switch (spelling) {
    case '-MD':
    case '-MMD':
      into.wanted = true;
      into.userOnly ||= spelling === '-MMD';
      return true;
    case '-MF':
      into.path = value;
      return true;
    case '-MT':
    case '-MQ':
      into.targets.push({ text: value, quote: spelling === '-MQ' });
      return true;
    case '-MP':
      into.phony = true;
      return true;
    default:
      return false;
  }
}

/** Depfile flags through -Wp take their value as the next part. @returns false when a part is none of them. */
function takePreprocessorFlags(into: Depfile, parts: readonly string[]): boolean {
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (/^-[DU]./.test(part)) continue;
    if (part === '-MP') into.phony = true;
    else {
      const value = parts[++i];
      if (value === undefined || value === '') return false;
      if (part === '-MD' || part === '-MMD') {
        into.wanted = true;
        into.userOnly ||= part === '-MMD';
        into.path = value;
      } else if (part === '-MF' || !takeDepfileFlag(into, part, value)) return false;
    }
  }
  return true;
}

/** Assembler flags that read and write nothing beside the source and the object. */
const ASSEMBLER_FLAG =
  /^(-I.*|-W|-g|-gstabs\+?|-gdwarf-?[2345]?|-gdwarf-sections|-K|--(no)?execstack|--(no-)?warn|--fatal-warnings|--(no)?compress-debug-sections(=[a-z-]+)?|--gdwarf-?[2345]|--gdwarf-sections|--(32|64|x32)|--defsym|[A-Za-z_.$][\w.$]*=\w+|--divide|--(no-)?pad-sections|--reduce-memory-overheads|--strip-local-absolute|--generate-missing-build-notes=(yes|no)|--elf-stt-common=(yes|no)|--sectname-subst|-m[a-z][\w+.=,-]*|--keep-locals|-L)$/;
const ASSEMBLER_DEBUG = /^--?g/;

function outputCwdMatters(goal: Goal): boolean {
  return goal === 'preprocess' || goal === 'compile';
}

/**
 * Reads a command line whose response files are expanded.
 * @param cplusplus the driver is g++ (C files are C++ to it)
 */
export function parseGcc(args: readonly string[], cplusplus: boolean): Parsed | Bypass {
  const words: Word[] = [];
  const sources: SourceWord[] = [];
  const objects: ObjectWord[] = [];
  const hard: { readonly reason: BypassReason; readonly detail: string; readonly stages: Stages }[] = [];
  const outputs: OutputWord[] = [];
  const direct = noDepfile();
  const viaWp = noDepfile();
  let goal: Goal = 'link';
  let language: string | undefined;
  let anyDepfileFlag = false;
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
      const name = language ?? languageBySuffix(arg, cplusplus);
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
      case 'depfile':
        anyDepfileFlag = true;
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

  const named = [...sources, ...objects].map((word) => word.path);
  const inputs = goal === 'link' ? 'all' : named;
  const stages = stagesOf(goal, sources, words);
  for (const { reason, detail, stages: concerned } of hard) {
    if (concerned === '' || [...concerned].some((stage) => stages.includes(stage)))
      return bypass(reason, detail, inputs);
  }
  if (sources.length + objects.length === 0) return bypass('no-input', '', inputs);
  if (outputs.length > 1) return bypass('too-hard-flag', '-o twice', inputs);
  const output = outputs[0];
  if (output?.path === '-') return bypass('writes-stdout', '-o -', inputs);
  if (goal !== 'link') {
    if (objects.length > 0) return bypass('too-hard-flag', `${objects[0]!.path}: not linked`, inputs);
    if (output && sources.length > 1) return bypass('too-hard-flag', '-o with several sources', inputs);
  }
  const depfile = depfileOf(direct, viaWp, anyDepfileFlag, goal, sources);
  if (depfile && 'reason' in depfile) return bypass('too-hard-flag', depfile.reason, inputs);
  return {
    kind: 'parsed',
    goal,
    words,
    sources,
    objects,
    output,
    depfile,
    stages,
    nativeFlags,
    cwdMatters: cwdMatters || outputCwdMatters(goal),
  };
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

/** Puts both roads of depfile flags together. A `reason` is what gcc would complain about, or what we do not model. */
function depfileOf(
  direct: Depfile,
  viaWp: Depfile,
  anyDirect: boolean,
  goal: Goal,
  sources: readonly SourceWord[],
): DepfileRequest | { readonly reason: string } | undefined {
  const units = sources.filter((source) => source.language.preprocessed);
  const anyWp = viaWp.wanted || viaWp.phony || viaWp.targets.length > 0;
  if (units.length === 0 || !(anyDirect || anyWp)) return undefined;
  if (anyDirect && anyWp) return { reason: 'depfile flags both with and without -Wp' };
  const asked = anyWp ? viaWp : direct;
  if (!asked.wanted) return { reason: 'depfile flags without -MD or -MMD' };
  if (goal === 'preprocess') return { reason: '-MD with -E' };
  if (asked.path === '-') return { reason: '-MF -' };
  const oneFile = asked.path !== undefined || goal === 'link';
  if (oneFile && sources.length > 1) return { reason: 'several sources, one depfile' };
  return {
    userOnly: asked.userOnly,
    path: asked.path,
    targets: asked.targets,
    phony: asked.phony,
    viaPreprocessor: anyWp,
  };
}
