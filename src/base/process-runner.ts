// What engines need to start processes; the native spawner implements it.

export interface RunRequest {
  readonly file: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** NAME=VALUE; the whole environment. */
  readonly env: readonly string[];
  /** Present: in namespaces of its own, rooted here. */
  readonly root?: string;
  /** Absolute paths to show under the root as they are. */
  readonly binds?: readonly string[];
}

export interface RunResult {
  /** errno when it could not start, else 0. */
  readonly startErrno: number;
  /** It could not start because the kernel gave no namespace to root it in. */
  readonly noRoot?: boolean;
  readonly exitCode: number;
  /** 0 when it exited by itself. */
  readonly signal: number;
  readonly timedOut: boolean;
  readonly wallUs: number;
  readonly cpuUs: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export interface ProcessRunner {
  run(request: RunRequest, signal?: AbortSignal): Promise<RunResult>;
  close(): Promise<void>;
}
