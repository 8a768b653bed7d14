// The model contract: our knowledge of one tool's command line. `plan` turns a call into thunks or declines.
import type { Arg, ThunkOutput } from '../ir/thunk.ts';
import type { ScanRequest, ScanResult } from '../scan/scanner.ts';

/** One tool call as the shim reports it. */
export interface Call {
  /** Base name the tool was called by, e.g. "x86_64-linux-gnu-gcc-12"; gg-cc is already mapped to "cc". */
  readonly tool: string;
  /** Absolute path of the real tool. */
  readonly realTool: string;
  /** argv without argv[0]; response files not yet expanded. */
  readonly args: readonly string[];
  /** Absolute working directory (getcwd of the caller). */
  readonly cwd: string;
  readonly env: ReadonlyMap<string, string>;
  /** The caller's stderr is a terminal. */
  readonly stderrTty: boolean;
  /** The interposer watches this build: readers of text outputs are served. */
  readonly interposed: boolean;
}

/** Why a model declines; each is counted and listed in the README. */
export type BypassReason =
  | 'asks-version'
  | 'reads-stdin'
  | 'probe'
  | 'writes-stdout'
  | 'writes-special-file'
  | 'unknown-flag'
  | 'too-hard-flag'
  | 'too-hard-environment'
  | 'no-input'
  | 'missing-input'
  | 'unreadable-input'
  | 'unwritable-output'
  | 'bad-response-file'
  | 'unknown-language'
  | 'scan-incomplete'
  | 'library-not-found'
  | 'odd-linker-script'
  | 'odd-archive'
  | 'thin-archive'
  | 'side-files'
  | 'output-names-itself'
  | 'output-is-input'
  | 'reader'
  | 'inside-driver'
  | 'compiler-cache'
  | 'not-utf8'
  | 'unusual-process'
  | 'unknown-tool'
  | 'unreachable-program'
  | 'toolchain-query-failed'
  | 'internal-error';

/** The model declines: force `inputs` (absolute paths; 'all' when it cannot tell which), then run the real tool. */
export interface Bypass {
  readonly kind: 'bypass';
  readonly reason: BypassReason;
  /** The offending flag or file, for `gg explain`. */
  readonly detail: string;
  readonly inputs: readonly string[] | 'all';
}

/** One thunk to be; input paths as the tool spells them. The session turns paths into object names. */
export interface PlannedThunk {
  readonly tool: string;
  readonly args: readonly Arg[];
  readonly env: readonly (readonly [string, string])[];
  /** The result may depend on the working directory (debug info, coverage). */
  readonly needsCwd: boolean;
  readonly inputs: readonly string[];
  readonly absent: readonly string[];
  readonly outputs: readonly PlannedOutput[];
  readonly salt: readonly string[];
  /** For progress: what a person calls it, e.g. "src/foo.o". */
  readonly label: string;
  readonly stage: 'preprocess' | 'compile' | 'assemble' | 'link' | 'archive' | 'other';
}

export interface PlannedOutput extends ThunkOutput {
  readonly form: PlaceholderForm;
  /** Mode bits the tool would give before the umask: 0o666 or 0o777. Undefined where the tool keeps the file's own. */
  readonly mode: number | undefined;
  /** The tool writes into the file that stands there, through links, where others would replace it. */
  readonly into?: boolean;
}

/** What stands in the tree meanwhile. */
export type PlaceholderForm = 'object' | 'archive' | 'script' | 'text' | 'rule';

/** A file that is finished at once (a depfile); `path` as typed. */
export interface PlannedFile {
  readonly path: string;
  readonly text: Buffer;
}

export interface Plan {
  readonly kind: 'plan';
  readonly thunks: readonly PlannedThunk[];
  readonly files: readonly PlannedFile[];
  /** Somebody is likely to read an output at once (-E, -S): force before answering. */
  readonly sync: boolean;
}

/** What models may ask about the world. All answers are cached by the session and fresh. */
export interface ModelContext {
  /** undefined when there is no such file. `kind` follows symlinks. */
  stat(absPath: string): FileStat | undefined;
  /** Bytes of a file, undefined when unreadable. Bounded by `maxBytes` (default 16 MiB): larger is undefined. */
  read(absPath: string, maxBytes?: number): Buffer | undefined;
  /** Names in a directory, sorted; none when it cannot be read. */
  entries(absPath: string): readonly string[];
  /** True when the file is a placeholder (its real bytes are not known yet). */
  isPlaceholder(absPath: string): boolean;
  /** For a placeholder: the paths (absolute) its thunk reads, so that libraries needed by a library can be found. */
  placeholderInputs(absPath: string): readonly string[];
  scan(request: Omit<ScanRequest, 'toolchain'>): Promise<ScanResult>;
  /**
   * Runs the real tool for a query (-###, -print-*, --help) and caches what it printed by tool identity, args, cwd when
   * given, and env. Never runs build steps.
   */
  query(
    realTool: string,
    args: readonly string[],
    options?: { readonly env?: ReadonlyMap<string, string>; readonly cwd?: string },
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  /** Is `path` (absolute) in use by a build-system probe (conftest, CMakeFiles/CMakeTmp, meson-private)? */
  isProbePath(absPath: string): boolean;
}

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly mode: number;
}

export interface Model {
  /** Must not touch the disk but through `context`, and must never write. */
  plan(call: Call, context: ModelContext): Promise<Plan | Bypass>;
}

export function bypass(reason: BypassReason, detail: string, inputs: readonly string[] | 'all'): Bypass {
  return { kind: 'bypass', reason, detail, inputs };
}
