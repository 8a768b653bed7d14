// Which language gcc takes a source file for. Source: "Options Controlling the Kind of Output" in the gcc manual, and the
// driver's default compilers.

/** How a unit of this language goes through the driver. */
export interface Language {
  /** gcc's name for it, as -x takes it. */
  readonly name: string;
  /** Has directives, so depfile flags and the preprocessor concern it. */
  readonly preprocessed: boolean;
  /** The compiler proper runs: everything but assembler code. */
  readonly compiled: boolean;
}

export const LANGUAGES: ReadonlyMap<string, Language> = new Map(
  [
    { name: 'assembler', preprocessed: false, compiled: false },
    { name: 'assembler-with-cpp', preprocessed: true, compiled: false },
    { name: 'c', preprocessed: true, compiled: true },
    { name: 'c++', preprocessed: true, compiled: true },
    { name: 'c++-cpp-output', preprocessed: false, compiled: true },
    { name: 'cpp-output', preprocessed: false, compiled: true },
  ].map((language) => [language.name, language]),
);

/** Headers as inputs make precompiled headers. */
export const HEADER_LANGUAGES: ReadonlySet<string> = new Set([
  'c++-header',
  'c++-system-header',
  'c++-user-header',
  'c-header',
]);

const BY_SUFFIX: ReadonlyMap<string, string> = new Map([
  ['.C', 'c++'],
  ['.CPP', 'c++'],
  ['.H', 'c++-header'],
  ['.HPP', 'c++-header'],
  ['.S', 'assembler-with-cpp'],
  ['.c', 'c'],
  ['.c++', 'c++'],
  ['.cc', 'c++'],
  ['.cp', 'c++'],
  ['.cpp', 'c++'],
  ['.cxx', 'c++'],
  ['.h', 'c-header'],
  ['.h++', 'c++-header'],
  ['.hh', 'c++-header'],
  ['.hp', 'c++-header'],
  ['.hpp', 'c++-header'],
  ['.hxx', 'c++-header'],
  ['.i', 'cpp-output'],
  ['.ii', 'c++-cpp-output'],
  ['.s', 'assembler'],
  ['.sx', 'assembler-with-cpp'],
  ['.tcc', 'c++-header'],
]);

/** Suffixes of languages the driver hands to other compilers (when they are installed). */
const FOREIGN: ReadonlySet<string> = new Set(
  (
    '.F .F03 .F08 .F90 .F95 .FOR .FPP .FTN .M .adb .ads .brig .ccm .cppm .cxxm .d .dd .di .f .f03 .f08 .f90 .f95 ' +
    '.for .fpp .ftn .go .ixx .m .mi .mii .mm .mod .p .pas .r .rs .cob .cbl .a68'
  ).split(' '),
);

/** g++ takes C files for C++ ones. */
const IN_CPLUSPLUS: ReadonlyMap<string, string> = new Map([
  ['c', 'c++'],
  ['c-header', 'c++-header'],
  ['cpp-output', 'c++-cpp-output'],
]);

/**
 * @returns gcc's name of the file's language by its suffix, 'foreign' for one that is not ours to model, undefined for
 * what goes to the linker.
 */
export function languageBySuffix(path: string, cplusplus: boolean): string | undefined {
  const base = path.slice(path.lastIndexOf('/') + 1);
  const dot = base.lastIndexOf('.');
  if (dot < 0) return undefined;
  const suffix = base.slice(dot);
  if (FOREIGN.has(suffix)) return 'foreign';
  const language = BY_SUFFIX.get(suffix);
  if (language === undefined || !cplusplus) return language;
  return IN_CPLUSPLUS.get(language) ?? language;
}
