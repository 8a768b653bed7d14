// The macros before the first line of a unit: the compiler's own, then those of -D and -U.
import type { Config, ConfigData } from '../compiler/config.ts';
import type { ScanPlan } from '../compiler/flags.ts';
import { lexFile } from '../text/lexer.ts';
import { lexingMode } from '../text/mode.ts';
import { OP, OP_STRIDE } from '../text/program.ts';
import type { ScanRequest } from '../scanner.ts';
import { Stop } from '../stop.ts';
import { type Builtin, type Symbols, UNDEFINED } from '../text/symbols.ts';

const BUILTINS: Readonly<Record<string, Builtin>> = {
  __INCLUDE_LEVEL__: 'include-level',
  __has_attribute: 'attribute',
  __has_builtin: 'builtin',
  __has_c_attribute: 'c-attribute',
  __has_cpp_attribute: 'cpp-attribute',
  __has_include: 'include',
  __has_include_next: 'include-next',
};

/** A compiler's configuration with the macros of one set of -D and -U. */
export interface Base {
  readonly mode: number;
  /** Macro number by symbol. */
  readonly macros: Int32Array;
}

export class Bases {
  readonly #symbols: Symbols;
  readonly #byConfig = new WeakMap<Config, Map<string, Base>>();

  constructor(symbols: Symbols) {
    this.#symbols = symbols;
  }

  /** @throws Stop when -D or -U say something odd. */
  of(request: ScanRequest, plan: ScanPlan, config: Config): Base {
    const key = JSON.stringify([
      request.language,
      plan.macroLines,
      plan.trigraphs,
      plan.dollars,
      plan.operatorNames,
    ]);
    let known = this.#byConfig.get(config);
    if (!known) {
      known = new Map();
      this.#byConfig.set(config, known);
    }
    let base = known.get(key);
    if (!base) {
      base = this.#make(request, plan, config.data);
      known.set(key, base);
    }
    return base;
  }

  #make(request: ScanRequest, plan: ScanPlan, data: ConfigData): Base {
    const predefined = new Map(
      data.macroLines.split('\n').flatMap((line): [string, string][] => {
        const parts = /^#define (\w+) (.*)$/.exec(line);
        return parts ? [[parts[1]!, parts[2]!]] : [];
      }),
    );
    const mode = lexingMode((name) => predefined.get(name), {
      assembler: request.language === 'assembler-with-cpp',
      trigraphs: plan.trigraphs,
      dollars: plan.dollars,
      operatorNames: plan.operatorNames,
    });
    const symbols = this.#symbols;
    const macros = new Map<number, number>();
    for (const name of data.builtins)
      macros.set(symbols.id(name), symbols.builtin(BUILTINS[name] ?? 'undecidable'));
    const { ops } = lexFile(Buffer.from(`${data.macroLines}\n${plan.macroLines}`), mode, symbols);
    for (let at = 0; at < ops.length; at += OP_STRIDE) {
      if (ops[at] === OP.DEFINE) macros.set(ops[at + 1]!, ops[at + 2]!);
      else if (ops[at] === OP.UNDEF) macros.set(ops[at + 1]!, UNDEFINED);
      else throw new Stop('unsupported-flag', plan.macroLines, true);
    }
    const table = new Int32Array(symbols.size);
    for (const [id, macro] of macros) table[id] = macro;
    return { mode, macros: table };
  }
}
