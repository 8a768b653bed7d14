// How a thunk's command runs on the machine whose build asked for it. It is beside the thunk, since none of it decides the result.

/** What an engine may use to run in place; none of it enters the name. */
export interface Placement {
  /** Absolute path of the real tool. */
  readonly realTool: string;
  /** Absolute directory the call came from. */
  readonly cwd: string;
  /** $PWD of the call when it names the same directory. */
  readonly pwd: string;
  /** $PATH of the call without our shims. */
  readonly searchPath: string;
  readonly label: string;
  readonly stage: string;
  /** The command as a person would type it; for messages. */
  readonly command: string;
  readonly sandbox: 'none' | 'namespace';
}
