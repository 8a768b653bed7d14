// Runs on exactly the declared inputs, by the road that this machine has: namespaces where the kernel gives them (containers,
// chroots and hardened kernels often do not), else a virtual root.
import type { ForceJob, RunOutcome } from '../engine.ts';
import type { Sandbox } from './sandbox.ts';
import type { VirtualSandbox } from './virtual-sandbox.ts';

export class Isolation {
  readonly #namespaces: Sandbox;
  readonly #virtual: VirtualSandbox;
  #road: Promise<'namespaces' | 'virtual-root'> | undefined;

  constructor(namespaces: Sandbox, virtual: VirtualSandbox) {
    this.#namespaces = namespaces;
    this.#virtual = virtual;
  }

  /** The kernel is asked once: what it allows stays for the life of a server. */
  road(): Promise<'namespaces' | 'virtual-root'> {
    this.#road ??= this.#namespaces.works().then((works) => (works ? 'namespaces' : 'virtual-root'));
    return this.#road;
  }

  async run(job: ForceJob, signal: AbortSignal): Promise<RunOutcome> {
    return (await this.road()) === 'namespaces'
      ? this.#namespaces.run(job, signal)
      : this.#virtual.run(job, signal);
  }

  /**
   * Whether a call of this tool may run later, when its inputs may have changed.
   * @param digest the toolchain's, as the thunk names it.
   */
  async serves(digest: string, realTool: string, searchPath: string): Promise<boolean> {
    if ((await this.road()) === 'namespaces') return true;
    return (await this.#virtual.refusal(digest, realTool, searchPath)) === undefined;
  }
}
