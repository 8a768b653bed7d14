// The macros of the unit in work.
import { type Symbols, UNDEFINED } from '../text/symbols.ts';

/** Names a condition may bring in before the table is looked at again. */
const SPARE_SYMBOLS = 1 << 14;

/** The one table of macros units work on, one after the other. */
export class Workspace {
  readonly #symbols: Symbols;
  /** Macro number by symbol. */
  macros = new Int32Array(1 << 16);
  #used = 0;

  constructor(symbols: Symbols) {
    this.#symbols = symbols;
  }

  reset(base: Int32Array): void {
    this.grow();
    this.macros.fill(UNDEFINED, base.length, Math.max(this.#used, base.length));
    this.macros.set(base);
    this.#used = this.#symbols.size;
  }

  /** To be called after anything that may have interned names. */
  grow(): void {
    const { size } = this.#symbols;
    this.#used = Math.max(this.#used, size);
    if (size + SPARE_SYMBOLS <= this.macros.length) return;
    const macros = new Int32Array(2 * (size + SPARE_SYMBOLS));
    macros.set(this.macros);
    this.macros = macros;
  }
}
