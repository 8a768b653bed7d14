// The scanner contract: which files one translation unit reads. Implementations stand beside this file.

/** How the preprocessor would be run for one unit. */
export interface ScanRequest {
  /** Absolute path of the real compiler driver. */
  readonly driver: string;
  /** Identity of that driver's toolchain; equal text means equal predefined macros for equal flags. */
  readonly toolchain: string;
  /** The flags that can matter to preprocessing, in order, as typed (-I -D -U -include -std -m* -f* -O* -x ...); no -M*, no -o, no input. */
  readonly flags: readonly string[];
  /** gcc's language name for the unit: c, c++, assembler-with-cpp, c-header, ... */
  readonly language: string;
  /** The source as typed. */
  readonly source: string;
  /** Absolute working directory. */
  readonly cwd: string;
  /** The variables that reach the preprocessor (CPATH, C_INCLUDE_PATH, ..., SOURCE_DATE_EPOCH, LANG). */
  readonly env: ReadonlyMap<string, string>;
}

export interface ScanFound {
  readonly kind: 'found';
  /**
   * What `gcc -M` would list, as it spells it, in its order and with its duplicates; the source comes first.
   * Relative paths are relative to the request's cwd.
   */
  readonly files: readonly string[];
  /** True at the same index where -MM would leave the file out. */
  readonly system: readonly boolean[];
  /** Files read that -M does not list: .incbin, .include, #embed, a .gch. Spelled as the tool would. */
  readonly extra: readonly string[];
  /** Some of `extra` are files that assembler code in the unit includes. */
  readonly assemblerReads?: true;
  /** `extra` has every precompiled header the compiler might take; else the caller looks for itself. */
  readonly precompiledListed?: true;
  /** Names that would change the result if they appeared. */
  readonly absent: readonly string[];
  /** A file read mentions __DATE__, __TIME__ or __TIMESTAMP__. */
  readonly usesTime: boolean;
}

/** Why a scanner cannot say; gcc itself (or a bypass) answers then. */
export interface ScanIncomplete {
  readonly kind: 'incomplete';
  readonly reason: ScanIncompleteReason;
  readonly detail: string;
}

export type ScanIncompleteReason =
  | 'missing-file'
  | 'unreadable-file'
  | 'preprocessor-error'
  | 'asm-include'
  | 'trigraphs'
  | 'unsupported-flag'
  | 'unsupported-compiler'
  | 'unsupported-directive'
  | 'not-utf8'
  | 'too-deep'
  | 'self-check-failed'
  | 'query-failed';

export type ScanResult = ScanFound | ScanIncomplete;

export interface Scanner {
  scan(request: ScanRequest): Promise<ScanResult>;
}

/** Runs a compiler query (never a build step) and returns what it printed; results may be cached by the caller. */
export type QueryRunner = (
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: ReadonlyMap<string, string> },
) => Promise<{ readonly code: number; readonly stdout: Buffer; readonly stderr: Buffer }>;
