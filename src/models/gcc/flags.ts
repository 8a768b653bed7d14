// What gcc's and g++'s flags mean to us, as data. Source: the option summary of the gcc 12 manual and the driver's specs.
import type { BypassReason } from '../model.ts';

/**
 * How a flag takes its argument: `none` stands alone; `joined` is followed by its value in the same word; `separate` by
 * the next word; `either` by both manners; `family` stands for every word that begins so.
 */
export type ArgStyle = 'none' | 'joined' | 'separate' | 'either' | 'family';

/**
 * Stages a flag concerns, one letter each: p preprocess, c compile, a assemble, l link. What concerns `p` goes to the
 * include scanner, what concerns `l` to the question for the linker's command line.
 */
export type Stages = string;

/** What the value names. */
export type ValueKind = 'plain' | 'input' | 'output' | 'directory';

/**
 * `fine` is passed on; `depfile` is answered by us; `mode` and `output` steer the driver; `cwd` is fine but makes the
 * working directory matter; `native` depends on this machine; `wp`, `wa` carry flags for the preprocessor and the
 * assembler; a reason declines the call, if one of the flag's stages runs (or at once, when it has no stages).
 */
export type Verdict =
  | 'fine'
  | 'depfile'
  | 'question'
  | 'mode'
  | 'output'
  | 'cwd'
  | 'native'
  | 'wp'
  | 'wa'
  | BypassReason;

export interface Flag {
  readonly spelling: string;
  readonly style: ArgStyle;
  readonly stages: Stages;
  readonly kind: ValueKind;
  readonly verdict: Verdict;
}

type Row = readonly [spelling: string, style: ArgStyle, stages: Stages, verdict: Verdict, kind?: ValueKind];

/** Sorted by spelling; among rows that fit a word an exact one wins, then the longest. */
const ROWS: readonly Row[] = [
  ['-###', 'none', '', 'asks-version'],
  ['--all-warnings', 'none', 'c', 'fine'],
  ['--ansi', 'none', 'pc', 'fine'],
  ['--coverage', 'none', 'ca', 'side-files'],
  ['--define-macro', 'separate', 'pc', 'fine'],
  ['--define-macro=', 'joined', 'pc', 'fine'],
  ['--entry', 'separate', 'l', 'fine'],
  ['--entry=', 'joined', 'l', 'fine'],
  ['--extra-warnings', 'none', 'c', 'fine'],
  ['--for-linker', 'separate', 'l', 'fine'],
  ['--for-linker=', 'joined', 'l', 'fine'],
  ['--help', 'family', '', 'asks-version'],
  ['--imacros', 'separate', 'pc', 'fine', 'input'],
  ['--imacros=', 'joined', 'pc', 'fine', 'input'],
  ['--include', 'separate', 'pc', 'fine', 'input'],
  ['--include-directory', 'separate', 'pc', 'fine', 'directory'],
  ['--include-directory-after', 'separate', 'pc', 'fine', 'directory'],
  ['--include-directory-after=', 'joined', 'pc', 'fine', 'directory'],
  ['--include-directory=', 'joined', 'pc', 'fine', 'directory'],
  ['--include=', 'joined', 'pc', 'fine', 'input'],
  ['--library-directory', 'separate', 'l', 'fine', 'directory'],
  ['--library-directory=', 'joined', 'l', 'fine', 'directory'],
  ['--no-standard-includes', 'none', 'pc', 'fine'],
  ['--no-warnings', 'none', 'c', 'fine'],
  ['--optimize', 'none', 'pc', 'fine'],
  ['--optimize=', 'joined', 'pc', 'fine'],
  ['--output', 'separate', 'cal', 'output', 'output'],
  ['--output=', 'joined', 'cal', 'output', 'output'],
  ['--param', 'separate', 'pcl', 'fine'],
  ['--param=', 'joined', 'pcl', 'fine'],
  ['--pedantic', 'none', 'pc', 'fine'],
  ['--pedantic-errors', 'none', 'pc', 'fine'],
  ['--shared', 'none', 'pcl', 'fine'],
  ['--static', 'none', 'pcl', 'fine'],
  ['--std=', 'joined', 'pc', 'fine'],
  ['--sysroot', 'separate', 'pcal', 'fine', 'directory'],
  ['--sysroot=', 'joined', 'pcal', 'fine', 'directory'],
  ['--target-help', 'none', '', 'asks-version'],
  ['--undefine-macro', 'separate', 'pc', 'fine'],
  ['--undefine-macro=', 'joined', 'pc', 'fine'],
  ['--version', 'none', '', 'asks-version'],
  ['-A', 'either', 'pc', 'fine'],
  ['-B', 'either', '', 'too-hard-flag', 'directory'],
  ['-C', 'none', 'p', 'fine'],
  ['-CC', 'none', 'p', 'fine'],
  ['-D', 'either', 'pc', 'fine'],
  ['-E', 'none', '', 'mode'],
  ['-H', 'none', '', 'too-hard-flag'],
  ['-I', 'either', 'pc', 'fine', 'directory'],
  ['-I-', 'none', '', 'too-hard-flag'],
  ['-L', 'either', 'l', 'fine', 'directory'],
  ['-M', 'none', 'p', 'question'],
  ['-MD', 'none', 'p', 'depfile'],
  ['-MF', 'either', 'p', 'depfile', 'output'],
  ['-MG', 'none', 'p', 'too-hard-flag'],
  ['-MM', 'none', 'p', 'question'],
  ['-MMD', 'none', 'p', 'depfile'],
  ['-MP', 'none', 'p', 'depfile'],
  ['-MQ', 'either', 'p', 'depfile'],
  ['-MT', 'either', 'p', 'depfile'],
  ['-Mmodules', 'none', '', 'too-hard-flag'],
  ['-Mno-modules', 'none', 'p', 'fine'],
  ['-O', 'family', 'pcl', 'fine'],
  ['-P', 'none', 'p', 'fine'],
  ['-Q', 'none', '', 'asks-version'],
  ['-S', 'none', '', 'mode'],
  ['-T', 'either', 'l', 'fine', 'input'],
  ['-U', 'either', 'pc', 'fine'],
  ['-W', 'family', 'c', 'fine'],
  ['-Wa,', 'joined', 'a', 'wa'],
  ['-Wl,', 'joined', 'l', 'fine'],
  ['-Wp,', 'joined', 'p', 'wp'],
  ['-Xassembler', 'separate', 'a', 'wa'],
  ['-Xlinker', 'separate', 'l', 'fine'],
  ['-Xpreprocessor', 'separate', 'p', 'too-hard-flag'],
  ['-ansi', 'none', 'pc', 'fine'],
  ['-aux-info', 'either', 'c', 'side-files', 'output'],
  ['-aux-info=', 'joined', 'c', 'side-files', 'output'],
  ['-c', 'none', '', 'mode'],
  // With -E the letters D, I, M, N and U only add to the text; everything else dumps beside the output.
  ['-d', 'family', 'pc', 'side-files'],
  ['-dD', 'none', 'pc', 'fine'],
  ['-dI', 'none', 'pc', 'fine'],
  ['-dM', 'none', 'pc', 'too-hard-flag'],
  ['-dN', 'none', 'pc', 'fine'],
  ['-dU', 'none', 'pc', 'fine'],
  ['-dumpbase', 'separate', '', 'too-hard-flag'],
  ['-dumpbase-ext', 'separate', '', 'too-hard-flag'],
  ['-dumpdir', 'separate', '', 'too-hard-flag'],
  ['-dumpfullversion', 'none', '', 'asks-version'],
  ['-dumpmachine', 'none', '', 'asks-version'],
  ['-dumpspecs', 'none', '', 'asks-version'],
  ['-dumpversion', 'none', '', 'asks-version'],
  ['-e', 'either', 'l', 'fine'],
  ['-f', 'family', 'pcl', 'fine'],
  ['-fada-', 'family', '', 'too-hard-flag'],
  ['-fauto-profile', 'family', 'c', 'too-hard-flag', 'input'],
  ['-fbranch-probabilities', 'none', 'c', 'too-hard-flag'],
  ['-fcallgraph-info', 'family', 'c', 'side-files'],
  ['-fcompare-debug', 'family', 'c', 'side-files'],
  ['-fcompare-debug-second', 'none', 'c', 'side-files'],
  ['-fdebug-prefix-map=', 'joined', 'pc', 'cwd'],
  ['-fdeps-', 'family', '', 'side-files'],
  ['-fdiagnostics-add-output=', 'joined', '', 'side-files'],
  ['-fdiagnostics-format=json-file', 'none', 'c', 'side-files'],
  ['-fdiagnostics-format=sarif-file', 'none', 'c', 'side-files'],
  ['-fdiagnostics-set-output=', 'joined', '', 'side-files'],
  ['-fdirectives-only', 'none', '', 'too-hard-flag'],
  ['-fdump-', 'family', 'pcl', 'side-files'],
  ['-ffile-prefix-map=', 'joined', 'pc', 'cwd'],
  ['-fhelp', 'family', '', 'asks-version'],
  ['-fintrinsic-modules-path', 'family', '', 'too-hard-flag'],
  ['-flto', 'family', 'pcl', 'cwd'],
  ['-flto-incremental', 'family', '', 'side-files'],
  ['-flto=jobserver', 'none', 'l', 'too-hard-flag'],
  ['-fltrans', 'family', '', 'too-hard-flag'],
  ['-fmacro-prefix-map=', 'joined', 'pc', 'cwd'],
  ['-fmem-report', 'family', '', 'too-hard-flag'],
  ['-fmodule-', 'family', '', 'too-hard-flag'],
  ['-fmodules', 'family', '', 'too-hard-flag'],
  // Compilers for other devices, which are no part of the toolchain.
  ['-foffload', 'family', 'cl', 'too-hard-flag'],
  ['-fopt-info', 'family', 'c', 'side-files'],
  ['-fpch-', 'family', '', 'too-hard-flag'],
  ['-fplugin', 'family', '', 'too-hard-flag', 'input'],
  ['-fpost-ipa-mem-report', 'none', '', 'too-hard-flag'],
  ['-fpre-ipa-mem-report', 'none', '', 'too-hard-flag'],
  ['-fpreprocessed', 'none', '', 'too-hard-flag'],
  // Instrumented code holds the path of its counters, which gcc takes from the working directory and the output's name.
  ['-fprofile-', 'family', 'c', 'side-files'],
  ['-fprofile-arcs', 'none', 'c', 'side-files'],
  ['-fprofile-correction', 'none', 'c', 'fine'],
  ['-fprofile-partial-training', 'none', 'c', 'fine'],
  ['-fprofile-reorder-functions', 'none', 'c', 'fine'],
  ['-fprofile-use', 'family', 'c', 'too-hard-flag', 'input'],
  ['-fprofile-values', 'none', 'c', 'fine'],
  ['-frecord-gcc-switches', 'none', 'c', 'output-names-itself'],
  ['-frepo', 'none', '', 'side-files'],
  ['-fresolution', 'family', '', 'too-hard-flag'],
  ['-fsanitize-blacklist=', 'joined', '', 'too-hard-flag', 'input'],
  ['-fsanitize-ignorelist=', 'joined', '', 'too-hard-flag', 'input'],
  ['-fsarif-', 'family', '', 'side-files'],
  ['-fsave-optimization-record', 'none', 'c', 'side-files'],
  ['-fself-test', 'family', '', 'too-hard-flag'],
  ['-fstack-usage', 'none', 'c', 'side-files'],
  ['-fstats', 'none', '', 'too-hard-flag'],
  ['-fsyntax-only', 'none', '', 'too-hard-flag'],
  ['-ftest-coverage', 'none', 'c', 'side-files'],
  ['-ftime-report', 'family', '', 'too-hard-flag'],
  ['-ftime-trace', 'family', '', 'side-files'],
  ['-fverbose-asm', 'none', 'c', 'output-names-itself'],
  ['-fwhopr', 'family', '', 'too-hard-flag'],
  ['-fworking-directory', 'none', 'pc', 'cwd'],
  ['-fwpa', 'family', '', 'too-hard-flag'],
  ['-g', 'family', 'cal', 'cwd'],
  ['-g0', 'none', 'cal', 'fine'],
  ['-gno-split-dwarf', 'none', 'cal', 'fine'],
  ['-gsplit-dwarf', 'family', 'ca', 'side-files'],
  ['-idirafter', 'either', 'pc', 'fine', 'directory'],
  ['-imacros', 'either', 'pc', 'fine', 'input'],
  ['-imultiarch', 'separate', 'pc', 'fine'],
  ['-imultilib', 'separate', 'pc', 'fine'],
  ['-include', 'either', 'pc', 'fine', 'input'],
  ['-include-pch', 'separate', '', 'too-hard-flag', 'input'],
  ['-iplugindir=', 'joined', 'c', 'too-hard-flag'],
  ['-iprefix', 'either', 'pc', 'fine'],
  ['-iquote', 'either', 'pc', 'fine', 'directory'],
  ['-isysroot', 'either', 'pc', 'fine', 'directory'],
  ['-isystem', 'either', 'pc', 'fine', 'directory'],
  ['-iwithprefix', 'either', 'pc', 'fine'],
  ['-iwithprefixbefore', 'either', 'pc', 'fine'],
  ['-l', 'either', 'l', 'fine'],
  ['-m', 'family', 'pcal', 'fine'],
  ['-march=help', 'none', '', 'asks-version'],
  ['-march=native', 'none', 'pcal', 'native'],
  ['-mcpu=help', 'none', '', 'asks-version'],
  ['-mcpu=native', 'none', 'pcal', 'native'],
  ['-mdump-', 'family', '', 'too-hard-flag'],
  ['-mtune=help', 'none', '', 'asks-version'],
  ['-mtune=native', 'none', 'pcal', 'native'],
  ['-n', 'none', 'l', 'fine'],
  ['-no-canonical-prefixes', 'none', 'pcl', 'fine'],
  ['-no-integrated-cpp', 'none', '', 'too-hard-flag'],
  ['-no-pie', 'none', 'pcl', 'fine'],
  ['-nodefaultlibs', 'none', 'l', 'fine'],
  ['-nolibc', 'none', 'l', 'fine'],
  ['-nostartfiles', 'none', 'l', 'fine'],
  ['-nostdinc', 'none', 'pc', 'fine'],
  ['-nostdinc++', 'none', 'pc', 'fine'],
  ['-nostdlib', 'none', 'l', 'fine'],
  ['-nostdlib++', 'none', 'l', 'fine'],
  ['-o', 'either', 'cal', 'output', 'output'],
  ['-p', 'none', 'pcl', 'fine'],
  ['-pass-exit-codes', 'none', '', 'fine'],
  ['-pedantic', 'none', 'pc', 'fine'],
  ['-pedantic-errors', 'none', 'pc', 'fine'],
  ['-pg', 'none', 'pcl', 'fine'],
  ['-pie', 'none', 'pcl', 'fine'],
  ['-pipe', 'none', '', 'fine'],
  ['-print-', 'family', '', 'asks-version'],
  ['-pthread', 'none', 'pcl', 'fine'],
  ['-r', 'none', 'l', 'fine'],
  ['-rdynamic', 'none', 'l', 'fine'],
  ['-remap', 'none', '', 'too-hard-flag'],
  ['-s', 'none', 'l', 'fine'],
  ['-save-temps', 'family', '', 'side-files'],
  ['-shared', 'none', 'pcl', 'fine'],
  ['-shared-libgcc', 'none', 'l', 'fine'],
  ['-specs', 'separate', '', 'too-hard-flag', 'input'],
  ['-specs=', 'joined', '', 'too-hard-flag', 'input'],
  ['-static', 'none', 'pcl', 'fine'],
  ['-static-libasan', 'none', 'l', 'fine'],
  ['-static-libgcc', 'none', 'l', 'fine'],
  ['-static-libgfortran', 'none', 'l', 'fine'],
  ['-static-liblsan', 'none', 'l', 'fine'],
  ['-static-libstdc++', 'none', 'l', 'fine'],
  ['-static-libtsan', 'none', 'l', 'fine'],
  ['-static-libubsan', 'none', 'l', 'fine'],
  ['-static-pie', 'none', 'pcl', 'fine'],
  ['-std=', 'joined', 'pc', 'fine'],
  ['-symbolic', 'none', 'l', 'fine'],
  ['-t', 'none', 'l', 'writes-stdout'],
  ['-time', 'family', '', 'too-hard-flag'],
  ['-traditional', 'none', 'pc', 'fine'],
  ['-traditional-cpp', 'none', 'pc', 'fine'],
  ['-trigraphs', 'none', 'pc', 'fine'],
  ['-u', 'either', 'l', 'fine'],
  ['-undef', 'none', 'pc', 'fine'],
  ['-v', 'none', '', 'asks-version'],
  ['-w', 'none', 'c', 'fine'],
  ['-wrapper', 'separate', '', 'too-hard-flag'],
  ['-x', 'either', '', 'mode'],
  ['-z', 'separate', 'l', 'fine'],
];

function toFlag([spelling, style, stages, verdict, kind = 'plain']: Row): Flag {
  return { spelling, style, stages, kind, verdict };
}

/** Every flag we know, sorted by spelling. */
export const FLAGS: readonly Flag[] = ROWS.map(toFlag);

const exact = new Map<string, Flag>();
const prefixes = new Map<string, Flag>();
let prefixLengthMax = 0;
for (const flag of FLAGS) {
  if (flag.style !== 'joined') exact.set(flag.spelling, flag);
  if (flag.style === 'joined' || flag.style === 'either' || flag.style === 'family') {
    prefixes.set(flag.spelling, flag);
    prefixLengthMax = Math.max(prefixLengthMax, flag.spelling.length);
  }
}

/** A flag found in a word. `value` is what is joined to it; undefined when the next word holds it or there is none. */
export interface FlagMatch {
  readonly flag: Flag;
  readonly value: string | undefined;
}

/** @returns what the table says of a word that begins with "-", undefined for a spelling it does not know. */
export function matchFlag(word: string): FlagMatch | undefined {
  const whole = exact.get(word);
  if (whole) return { flag: whole, value: undefined };
  for (let length = Math.min(prefixLengthMax, word.length); length > 1; length--) {
    const flag = prefixes.get(word.slice(0, length));
    if (flag) return { flag, value: word.slice(length) };
  }
  return undefined;
}
