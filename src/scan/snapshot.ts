// What outlives a server: the compiler's answers and lexed files. (Held in memory only until there is a directory.)
import type { ConfigCache, ConfigData } from './config.ts';
import type { Marks } from './marks.ts';
import type { Program } from './program.ts';
import type { ProgramCache, Programs } from './programs.ts';
import type { Symbols } from './symbols.ts';

export class Snapshot implements ConfigCache, ProgramCache {
  readonly #configs = new Map<string, ConfigData>();

  constructor(_directory: string | undefined, _symbols: Symbols) {}

  get(key: string): ConfigData | undefined;
  get(
    path: string,
    identity: string,
    mode: number,
  ): { readonly program: Program; readonly marks: Marks } | undefined;
  get(key: string, identity?: string): unknown {
    return identity === undefined ? this.#configs.get(key) : undefined;
  }

  set(key: string, data: ConfigData): void {
    this.#configs.set(key, data);
  }

  save(_programs: Programs): void {}
}
