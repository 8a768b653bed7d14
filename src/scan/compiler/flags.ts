// What a request's flags and variables say about macros and search paths, and which of them the compiler must be asked with.
import type { ScanRequest } from '../scanner.ts';

/** A call in the scanner's terms. */
export interface ScanPlan {
  /** Flags that change predefined macros or default directories. */
  readonly queryFlags: readonly string[];
  /** Variables for the question. */
  readonly queryEnv: ReadonlyMap<string, string>;
  /** A flag names a relative path, so the question belongs to the working directory. */
  readonly queryHere: boolean;
  /** `#define` and `#undef` lines for -D and -U. */
  readonly macroLines: string;
  readonly quoteDirs: readonly string[];
  /** -I, then CPATH. */
  readonly bracketDirs: readonly string[];
  /** -isystem, then the language's variable; the compiler's own come behind. */
  readonly systemDirs: readonly string[];
  readonly afterDirs: readonly string[];
  readonly imacros: readonly string[];
  readonly includes: readonly string[];
  /** Where the assembler looks. */
  readonly assemblerDirs: readonly string[];
  readonly hosted: boolean;
  readonly standardIncludes: boolean;
  /** -f[no-]canonical-system-headers; undefined: the compiler's default. */
  readonly canonical: boolean | undefined;
  readonly trigraphs: boolean;
  readonly dollars: boolean | undefined;
  readonly operatorNames: boolean;
}

export interface UnsupportedFlag {
  readonly unsupported: string;
}

/** Long spellings of flags with a value. */
const LONG: ReadonlyMap<string, string> = new Map([
  ['--define-macro', '-D'],
  ['--imacros', '-imacros'],
  ['--include', '-include'],
  ['--include-directory', '-I'],
  ['--include-directory-after', '-idirafter'],
  ['--undefine-macro', '-U'],
]);

/** Flags of ours with a value, joined or in the next word; the longest that fits counts. */
const VALUED = ['-D', '-I', '-U', '-idirafter', '-imacros', '-include', '-iquote', '-isystem'].sort(
  (a, b) => b.length - a.length,
);

/** Flags whose value, in the next word, says nothing to us. */
const IGNORED_WITH_VALUE: ReadonlySet<string> = new Set([
  '-L',
  '-MF',
  '-MQ',
  '-MT',
  '-T',
  '-Xlinker',
  '-e',
  '-l',
  '-o',
  '-u',
  '-x',
  '-z',
]);

/** Flags whose value, in the next word, belongs to the question. */
const QUERY_WITH_VALUE: ReadonlySet<string> = new Set([
  '--param',
  '--sysroot',
  '-B',
  '-imultiarch',
  '-imultilib',
  '-isysroot',
]);

/** Neither macros nor directories depend on these. */
const IGNORED =
  /^-(?:W(?!p,)|g(?!nu)|[wcSEPCsrv]$|CC$|d[A-Z]|[MLl]|pedantic|pipe$|shared$|rdynamic$|no-pie$|nostartfiles$|nodefaultlibs$|nostdlib$|save-temps|fdiagnostics-|fmessage-length=|f(?:file|debug|macro)-prefix-map=|fno-common$|fcommon$|f(?:no-)?(?:function|data)-sections$|fverbose-asm$|frandom-seed|f(?:no-)?working-directory$|f(?:no-)?ident$)/;

/** Beyond us: lexing, search or macros follow other rules. */
const UNSUPPORTED =
  /^-(?:I-$|Wp,|Xpreprocessor|-include-barrier|-include-(?:prefix|with-prefix)|A|traditional|-traditional|fdirectives-only|fpreprocessed|fmodule|fpch-|fplugin|f(?:input|exec|wide-exec)-charset|finput-charset|iprefix|iwithprefix|remap|include-pch|specs|-specs|fmax-include-depth|fsearch-include-path|fdebug-cpp|fself-test|wrapper|H$|###)/;

const LANGUAGE_VARIABLE: ReadonlyMap<string, string> = new Map([
  ['c', 'C_INCLUDE_PATH'],
  ['c++', 'CPLUS_INCLUDE_PATH'],
  ['assembler-with-cpp', 'C_INCLUDE_PATH'],
]);

const PATH_VARIABLES = [
  'CPATH',
  'CPLUS_INCLUDE_PATH',
  'C_INCLUDE_PATH',
  'OBJCPLUS_INCLUDE_PATH',
  'OBJC_INCLUDE_PATH',
];

function pathsOf(value: string | undefined): string[] {
  if (value === undefined || value === '') return [];
  return value.split(':').map((path) => (path === '' ? '.' : path));
}

function macroLine(flag: '-D' | '-U', value: string): string {
  if (flag === '-U') return `#undef ${value}\n`;
  const equals = value.indexOf('=');
  return equals < 0
    ? `#define ${value} 1\n`
    : `#define ${value.slice(0, equals)} ${value.slice(equals + 1)}\n`;
}

export function planScan(request: ScanRequest): ScanPlan | UnsupportedFlag {
  const variable = LANGUAGE_VARIABLE.get(request.language);
  if (variable === undefined) return { unsupported: `language ${request.language}` };
  const queryFlags: string[] = [];
  const dirs: Record<'-I' | '-idirafter' | '-iquote' | '-isystem', string[]> = {
    '-I': [],
    '-idirafter': [],
    '-iquote': [],
    '-isystem': [],
  };
  const imacros: string[] = [];
  const includes: string[] = [];
  const assemblerOnly: string[] = [];
  let macroLines = '';
  let queryHere = false;
  let hosted = true;
  let standardIncludes = true;
  let canonical: boolean | undefined;
  let trigraphs = false;
  let dollars: boolean | undefined;
  let operatorNames = true;

  const { flags } = request;
  for (let i = 0; i < flags.length; i++) {
    let word = flags[i]!;
    const equals = word.indexOf('=');
    const long = LONG.get(word) ?? (equals > 0 ? LONG.get(word.slice(0, equals)) : undefined);
    let value: string | undefined;
    if (long !== undefined) {
      value = LONG.has(word) ? flags[++i] : word.slice(equals + 1);
      word = long;
    } else {
      if (UNSUPPORTED.test(word)) return { unsupported: word };
      const valued = VALUED.find((flag) => word.startsWith(flag));
      if (valued !== undefined) {
        value = word.length > valued.length ? word.slice(valued.length) : flags[++i];
        word = valued;
      }
    }
    if (value !== undefined || VALUED.includes(word)) {
      if (value === undefined || value === '' || value.includes('\n'))
        return { unsupported: `${word} ${value}` };
      switch (word) {
        case '-D':
        case '-U':
          macroLines += macroLine(word, value);
          break;
        case '-include':
          includes.push(value);
          break;
        case '-imacros':
          imacros.push(value);
          break;
        default:
          if (value.startsWith('=') || value.startsWith('$')) return { unsupported: `${word}${value}` };
          dirs[word as keyof typeof dirs].push(value);
      }
      continue;
    }
    if (word === '-Xassembler') {
      const passed = flags[++i] ?? '';
      if (passed === '-I') return { unsupported: '-Xassembler -I' };
      if (passed.startsWith('-I')) assemblerOnly.push(passed.slice(2));
      continue;
    }
    if (word.startsWith('-Wa,')) {
      const parts = word.slice(4).split(',');
      for (let k = 0; k < parts.length; k++) {
        if (parts[k] === '-I') assemblerOnly.push(parts[++k] ?? '');
        else if (parts[k]!.startsWith('-I')) assemblerOnly.push(parts[k]!.slice(2));
      }
      continue;
    }
    if (IGNORED_WITH_VALUE.has(word)) {
      i++;
      continue;
    }
    if (IGNORED.test(word)) continue;
    switch (word) {
      case '-ffreestanding':
      case '-fno-hosted':
        hosted = false;
        break;
      case '-fhosted':
      case '-fno-freestanding':
        hosted = true;
        break;
      case '-nostdinc':
      case '--no-standard-includes':
        standardIncludes = false;
        break;
      case '-fcanonical-system-headers':
      case '-fno-canonical-system-headers':
        canonical = !word.startsWith('-fno');
        break;
      case '-trigraphs':
      case '--trigraphs':
      case '-ftrigraphs':
        trigraphs = true;
        break;
      case '-fdollars-in-identifiers':
      case '-fno-dollars-in-identifiers':
        dollars = !word.startsWith('-fno');
        break;
      case '-fno-operator-names':
        operatorNames = false;
        break;
    }
    queryFlags.push(word);
    if (QUERY_WITH_VALUE.has(word)) queryFlags.push(flags[++i] ?? '');
    const path =
      /^(?:-B|--sysroot=|-isysroot)(.+)/.exec(word)?.[1] ??
      (QUERY_WITH_VALUE.has(word) ? flags[i] : undefined);
    if (path !== undefined && word !== '--param' && !path.startsWith('/')) queryHere = true;
  }
  const queryEnv = new Map(request.env);
  for (const name of [
    ...PATH_VARIABLES,
    'DEPENDENCIES_OUTPUT',
    'SUNPRO_DEPENDENCIES',
    'SOURCE_DATE_EPOCH',
    'LANG',
    'LANGUAGE',
    'PWD',
  ])
    queryEnv.delete(name);
  for (const name of [...queryEnv.keys()])
    if (name.startsWith('LC_') || name === 'GCC_COLORS') queryEnv.delete(name);
  // The answer's words are read.
  queryEnv.set('LC_ALL', 'C');
  return {
    queryFlags,
    queryEnv,
    queryHere,
    macroLines,
    quoteDirs: dirs['-iquote'],
    bracketDirs: [...dirs['-I'], ...pathsOf(request.env.get('CPATH'))],
    systemDirs: [...dirs['-isystem'], ...pathsOf(request.env.get(variable))],
    afterDirs: dirs['-idirafter'],
    imacros,
    includes,
    assemblerDirs: [...dirs['-I'], ...assemblerOnly],
    hosted,
    standardIncludes,
    canonical,
    trigraphs,
    dollars,
    operatorNames,
  };
}
