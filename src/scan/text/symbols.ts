// Interned names and macro definitions. Names become small integers; a definition becomes the number of its text, so that
// equal macro state is equal integers, across files, units and flags.

/** Stands for "not defined" wherever a macro number stands. */
export const UNDEFINED = 0;

/** What a macro that the preprocessor computes itself yields. */
export type Builtin =
  | 'attribute'
  | 'builtin'
  | 'c-attribute'
  | 'cpp-attribute'
  | 'include'
  | 'include-level'
  | 'include-next'
  | 'undecidable';

export interface Macro {
  /** As written behind the name: "(a,b) a+b" or " 1"; comments are blanks and splices are gone. */
  readonly text: string;
  readonly builtin: Builtin | undefined;
}

/** No macro's text begins so. */
function builtinKey(builtin: Builtin): string {
  return `\0${builtin}`;
}

export class Symbols {
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #macroByText = new Map<string, number>();
  /** By macro number; 0 is UNDEFINED. */
  readonly macros: Macro[] = [{ text: '', builtin: 'undecidable' }];

  get size(): number {
    return this.#names.length;
  }

  id(name: string): number {
    let id = this.#ids.get(name);
    if (id === undefined) {
      id = this.#names.length;
      this.#names.push(name);
      this.#ids.set(name, id);
    }
    return id;
  }

  name(id: number): string {
    return this.#names[id]!;
  }

  macro(text: string): number {
    let number = this.#macroByText.get(text);
    if (number === undefined) {
      number = this.macros.length;
      this.macros.push({ text, builtin: undefined });
      this.#macroByText.set(text, number);
    }
    return number;
  }

  /** All names, and the texts of all macros, in the order of their numbers. */
  dump(): { readonly names: readonly string[]; readonly macros: readonly string[] } {
    return {
      names: this.#names,
      macros: this.macros.map(({ text, builtin }) => (builtin === undefined ? text : builtinKey(builtin))),
    };
  }

  /** Takes over a dump, numbers and all. @returns false when there are symbols already. */
  restore(names: readonly string[], macros: readonly string[]): boolean {
    if (this.#names.length > 0 || this.macros.length > 1) return false;
    for (const name of names) this.id(name);
    for (const text of macros.slice(1)) {
      if (text.startsWith('\0')) this.builtin(text.slice(1) as Builtin);
      else this.macro(text);
    }
    return true;
  }

  builtin(builtin: Builtin): number {
    const key = builtinKey(builtin);
    let number = this.#macroByText.get(key);
    if (number === undefined) {
      number = this.macros.length;
      this.macros.push({ text: '', builtin });
      this.#macroByText.set(key, number);
    }
    return number;
  }
}
