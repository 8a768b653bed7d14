// ninja's command line as a value, read as ninja's getopt_long reads it: short options in clusters, long ones
// abbreviated, targets anywhere, everything behind `-t TOOL` belongs to the tool.

export interface NinjaArgs {
  readonly kind: 'build';
  /** `-C`, the last one; undefined: here. */
  readonly directory: string | undefined;
  /** `-f`, relative to `directory`. */
  readonly file: string;
  /** `-j`; Infinity for 0, undefined when ninja chooses. */
  readonly jobs: number | undefined;
  /** `-k`: failures until ninja stops; Infinity for 0. */
  readonly keepGoing: number;
  /** `-l`; undefined: no limit. */
  readonly maxLoad: number | undefined;
  readonly dryRun: boolean;
  readonly verbosity: 'normal' | 'verbose' | 'quiet';
  /** `-d` modes, in order. */
  readonly debug: readonly string[];
  readonly dupbuild: 'warn' | 'err';
  readonly phonycycle: 'warn' | 'err';
  /** As typed, not canonical. */
  readonly targets: readonly string[];
}

/** `-t TOOL`: ninja itself has to answer. */
export interface NinjaToolArgs {
  readonly kind: 'tool';
  readonly directory: string | undefined;
  readonly file: string;
  readonly tool: string;
  readonly args: readonly string[];
}

/** ninja prints something and ends without building; `detail` is the offending text. */
export interface NinjaNoBuild {
  readonly kind: 'no-build';
  readonly reason: 'version' | 'help' | 'list' | 'usage';
  readonly detail: string;
}

const SHORT_OPTIONS: ReadonlyMap<string, 'flag' | 'value'> = new Map([
  ['d', 'value'],
  ['f', 'value'],
  ['j', 'value'],
  ['k', 'value'],
  ['l', 'value'],
  ['n', 'flag'],
  ['t', 'value'],
  ['v', 'flag'],
  ['w', 'value'],
  ['C', 'value'],
  ['h', 'flag'],
]);

const LONG_OPTIONS = ['help', 'version', 'verbose', 'quiet'] as const;
type LongOption = (typeof LONG_OPTIONS)[number];

const DEBUG_MODES: ReadonlySet<string> = new Set([
  'stats',
  'explain',
  'keepdepfile',
  'keeprsp',
  'nostatcache',
]);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** @param args argv without argv[0] */
export function parseNinjaArgs(args: readonly string[]): NinjaArgs | NinjaToolArgs | NinjaNoBuild {
  const targets: string[] = [];
  const debug: string[] = [];
  const result: Mutable<NinjaArgs> = {
    kind: 'build',
    directory: undefined,
    file: 'build.ninja',
    jobs: undefined,
    keepGoing: 1,
    maxLoad: undefined,
    dryRun: false,
    verbosity: 'normal',
    debug,
    dupbuild: 'err',
    phonycycle: 'warn',
    targets,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--') {
      targets.push(...args.slice(i + 1));
      break;
    }
    if (arg.startsWith('--')) {
      const stop = applyLong(result, arg);
      if (stop) return stop;
      continue;
    }
    if (!arg.startsWith('-') || arg === '-') {
      targets.push(arg);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at]!;
      const shape = SHORT_OPTIONS.get(letter);
      if (shape === undefined) return noBuild('usage', arg);
      let value = '';
      if (shape === 'value') {
        value = at + 1 < arg.length ? arg.slice(at + 1) : (args[++i] ?? '');
        if (i === args.length) return noBuild('usage', arg);
        at = arg.length;
      }
      if (letter === 't') return toolArgs(result, value, args.slice(i + 1));
      if (letter === 'd') debug.push(value);
      const stop = applyShort(result, letter, value);
      if (stop) return stop;
    }
  }
  return result;
}

function noBuild(reason: NinjaNoBuild['reason'], detail: string): NinjaNoBuild {
  return { kind: 'no-build', reason, detail };
}

/** Targets before `-t` are lost, as in ninja. */
function toolArgs(result: NinjaArgs, tool: string, args: readonly string[]): NinjaToolArgs | NinjaNoBuild {
  if (tool === 'list') return noBuild('list', '-t list');
  return { kind: 'tool', directory: result.directory, file: result.file, tool, args };
}

function applyLong(result: Mutable<NinjaArgs>, arg: string): NinjaNoBuild | undefined {
  const matches: readonly LongOption[] = LONG_OPTIONS.filter((option) => option.startsWith(arg.slice(2)));
  const option =
    matches.find((name) => name === arg.slice(2)) ?? (matches.length === 1 ? matches[0] : undefined);
  switch (option) {
    case undefined:
      return noBuild('usage', arg);
    case 'help':
    case 'version':
      return noBuild(option, arg);
    case 'verbose':
    case 'quiet':
      result.verbosity = option;
      return undefined;
  }
}

function applyShort(result: Mutable<NinjaArgs>, letter: string, value: string): NinjaNoBuild | undefined {
  const usage = noBuild('usage', `-${letter} ${value}`);
  switch (letter) {
    case 'f':
      result.file = value;
      return undefined;
    case 'C':
      result.directory = value;
      return undefined;
    case 'j': {
      const jobs = wholeNumber(value);
      if (jobs === undefined || jobs < 0) return usage;
      result.jobs = jobs === 0 ? Infinity : jobs;
      return undefined;
    }
    case 'k': {
      const failures = wholeNumber(value);
      if (failures === undefined) return usage;
      result.keepGoing = failures <= 0 ? Infinity : failures;
      return undefined;
    }
    case 'l': {
      const load = Number.parseFloat(value);
      if (Number.isNaN(load)) return usage;
      result.maxLoad = load;
      return undefined;
    }
    case 'n':
      result.dryRun = true;
      return undefined;
    case 'v':
      result.verbosity = 'verbose';
      return undefined;
    case 'd':
      if (value === 'list') return noBuild('list', '-d list');
      return DEBUG_MODES.has(value) ? undefined : usage;
    case 'w':
      return applyWarning(result, value);
    default:
      return noBuild('help', '-h');
  }
}

function applyWarning(result: Mutable<NinjaArgs>, value: string): NinjaNoBuild | undefined {
  if (value === 'list') return noBuild('list', '-w list');
  const [, flag, level] = /^(dupbuild|phonycycle|depfilemulti)=(err|warn)$/.exec(value) ?? [];
  if (flag === undefined) return noBuild('usage', `-w ${value}`);
  if (flag === 'dupbuild') result.dupbuild = level as 'warn' | 'err';
  if (flag === 'phonycycle') result.phonycycle = level as 'warn' | 'err';
  return undefined;
}

/** As C's strtol over the whole text, cut to an int; '' is 0, as ninja takes it. */
function wholeNumber(text: string): number | undefined {
  if (text === '') return 0;
  const digits = /^[ \t\n\v\f\r]*([+-]?[0-9]+)$/.exec(text)?.[1];
  return digits === undefined ? undefined : Math.min(Number(digits), INT_MAX);
}

/** More jobs than this are as good as no limit. */
const INT_MAX = 0x7fffffff;
