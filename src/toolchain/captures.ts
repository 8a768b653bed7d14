// Captured toolchains, each looked at once: what a run below a virtual root needs of this machine's compilers.
import type { ObjectName } from '../ir/name.ts';
import type { QueryRunner } from '../scan/scanner.ts';
import { type Captured, captureToolchain, type Unsupported } from './capture.ts';
import type { Toolchains } from './toolchain.ts';

export interface CapturesParts {
  readonly toolchains: Toolchains;
  /** The built preload library of the virtual root. */
  readonly vroot: string;
  readonly digestOf: (absPath: string) => ObjectName | undefined;
  readonly query: QueryRunner;
}

/** The toolchain on disk is not the one the thunk was frozen with. */
export interface Changed {
  readonly kind: 'changed';
}

export class Captures {
  readonly #p: CapturesParts;
  readonly #known = new Map<string, Promise<Captured | Unsupported>>();

  constructor(parts: CapturesParts) {
    this.#p = parts;
  }

  /**
   * @param digest the toolchain's, as a thunk names it.
   * @param realTool absolute path of its tool.
   * @param searchPath $PATH of the call.
   * @throws ToolchainError when the tool cannot be asked for its parts.
   */
  async of(digest: string, realTool: string, searchPath: string): Promise<Captured | Unsupported | Changed> {
    const { toolchains, vroot, digestOf, query } = this.#p;
    const toolchain = await toolchains.of(realTool, searchPath);
    if (toolchain.digest !== digest) return { kind: 'changed' };
    const key = `${digest} ${realTool}`;
    let captured = this.#known.get(key);
    if (!captured) {
      captured = captureToolchain(toolchain, { realTool, vroot, digestOf, query });
      this.#known.set(key, captured);
      captured.catch(() => this.#known.delete(key));
    }
    return captured;
  }
}
