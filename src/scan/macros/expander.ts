// Macro expansion on demand, with libcpp's rules for which name may be expanded again.

import { type Symbols, UNDEFINED } from '../text/symbols.ts';
import { END, TOKEN_MODES, type Token, tokenize, UnsupportedError } from './tokens.ts';

/** A macro's definition in tokens. */
interface Definition {
  /** Undefined for a macro without parentheses. */
  readonly params: readonly string[] | undefined;
  /** The last parameter takes the rest of the arguments. */
  readonly variadic: boolean;
  readonly body: readonly Token[];
}

interface Context {
  readonly tokens: readonly Token[];
  at: number;
  /** The macro these tokens come from; it may be expanded again when they are used up. */
  readonly macro: number;
}

/** What a macro that is computed yields; called with the expander behind the macro's name. */
export type ComputeBuiltin = (macro: number, expander: Expander) => Token;

/** Definitions already cut into tokens, by macro number and token mode; lives as long as the symbols. */
export class Definitions {
  readonly symbols: Symbols;
  readonly #byMode = new Map<number, (Definition | undefined)[]>();

  constructor(symbols: Symbols) {
    this.symbols = symbols;
  }

  get(macro: number, mode: number): Definition {
    const key = mode & TOKEN_MODES;
    let known = this.#byMode.get(key);
    if (!known) {
      known = [];
      this.#byMode.set(key, known);
    }
    let definition = known[macro];
    if (!definition) {
      definition = this.#parse(this.symbols.macros[macro]!.text, mode);
      known[macro] = definition;
    }
    return definition;
  }

  #parse(text: string, mode: number): Definition {
    if (!text.startsWith('('))
      return { params: undefined, variadic: false, body: tokenize(text, mode, this.symbols, false) };
    const close = text.indexOf(')');
    if (close < 0) throw new UnsupportedError('macro parameters without an end');
    const inside = text.slice(1, close).trim();
    const params = inside === '' ? [] : inside.split(',').map((param) => param.trim());
    let variadic = false;
    const last = params.at(-1);
    if (last?.endsWith('...')) {
      variadic = true;
      params[params.length - 1] = last === '...' ? '__VA_ARGS__' : last.slice(0, -3).trim();
    }
    if (params.some((param) => !/^[A-Za-z_$\x80-\xff][\w$\x80-\xff]*$/.test(param)))
      throw new UnsupportedError('odd macro parameters');
    const body = tokenize(text.slice(close + 1), mode, this.symbols, false);
    if (body.some((token) => token.text === '__VA_OPT__')) throw new UnsupportedError('__VA_OPT__');
    return { params, variadic, body };
  }
}

function isPaste(token: Token | undefined): boolean {
  return token?.kind === 'punct' && (token.text === '##' || token.text === '%:%:');
}

function isStringify(token: Token): boolean {
  return token.kind === 'punct' && (token.text === '#' || token.text === '%:');
}

function withSpace(token: Token, space: boolean): Token {
  return token.space === space ? token : { ...token, space };
}

/** The spelling of tokens in one string constant. */
function stringify(tokens: readonly Token[]): string {
  let text = '';
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'placemarker') continue;
    if (i > 0 && token.space) text += ' ';
    text +=
      token.kind === 'string' || token.kind === 'char' ? token.text.replace(/["\\]/g, '\\$&') : token.text;
  }
  return `"${text}"`;
}

/** Expansions in one condition; more means a runaway. */
const EXPANSIONS_MAX = 200_000;

export class Expander {
  readonly #definitions: Definitions;
  readonly #mode: number;
  readonly #macroOf: (id: number) => number;
  readonly #compute: ComputeBuiltin;
  readonly #contexts: Context[] = [];
  readonly #disabled = new Set<number>();
  /** Contexts below this one belong to others. */
  #floor = 0;
  #budget = EXPANSIONS_MAX;

  /** @param macroOf what a name stands for now; called for every name that could be a macro. */
  constructor(
    definitions: Definitions,
    mode: number,
    macroOf: (id: number) => number,
    compute: ComputeBuiltin,
    tokens: readonly Token[],
  ) {
    this.#definitions = definitions;
    this.#mode = mode;
    this.#macroOf = macroOf;
    this.#compute = compute;
    this.#contexts.push({ tokens, at: 0, macro: UNDEFINED });
  }

  /** The next token, unexpanded; a name whose macro is being expanded comes painted. */
  raw(): Token {
    for (;;) {
      const context = this.#contexts.at(-1)!;
      if (context.at < context.tokens.length) {
        const token = context.tokens[context.at++]!;
        if (token.kind === 'name' && !token.painted && this.#disabled.size > 0) {
          if (this.#disabled.has(this.#macroKey(token.id))) return { ...token, painted: true };
        }
        return token;
      }
      if (this.#contexts.length - 1 <= this.#floor) return END;
      this.#pop();
    }
  }

  /** The next token, fully expanded. */
  next(): Token {
    for (;;) {
      const token = this.raw();
      if (token.kind === 'placemarker') continue;
      if (token.kind !== 'name' || token.painted) return token;
      const macro = this.#macroOf(token.id);
      if (macro === UNDEFINED) return token;
      if (this.#definitions.symbols.macros[macro]!.builtin !== undefined) {
        return withSpace(this.#compute(macro, this), token.space);
      }
      if (!this.#enter(token, macro)) return token;
    }
  }

  /** Puts the token just read back. */
  back(token: Token): void {
    if (token.kind !== 'end') this.#contexts.push({ tokens: [token], at: 0, macro: UNDEFINED });
  }

  /** Macros are disabled by name: another name with the same text is another macro. */
  #macroKey(id: number): number {
    return id + 1;
  }

  #pop(): void {
    const context = this.#contexts.pop()!;
    if (context.macro !== UNDEFINED) this.#disabled.delete(context.macro);
  }

  /** @returns false when the name stands for itself: a macro with parameters and no parenthesis behind it. */
  #enter(name: Token, macro: number): boolean {
    if (--this.#budget < 0) throw new UnsupportedError('too many expansions');
    const definition = this.#definitions.get(macro, this.#mode);
    let tokens: readonly Token[];
    if (definition.params === undefined) tokens = this.#pasteAll(definition.body);
    else {
      const open = this.raw();
      if (open.text !== '(' || open.kind !== 'punct') {
        this.back(open);
        return false;
      }
      tokens = this.#replace(definition, this.#arguments(definition));
    }
    const first = tokens[0];
    if (first && first.space !== name.space) tokens = [withSpace(first, name.space), ...tokens.slice(1)];
    const key = this.#macroKey(name.id);
    this.#contexts.push({ tokens, at: 0, macro: key });
    this.#disabled.add(key);
    return true;
  }

  #arguments(definition: Definition): Token[][] {
    const params = definition.params!;
    const args: Token[][] = [[]];
    let depth = 0;
    for (;;) {
      const token = this.raw();
      if (token.kind === 'end') throw new UnsupportedError('macro arguments without an end');
      if (token.kind === 'punct') {
        if (token.text === '(') depth++;
        else if (token.text === ')') {
          if (depth-- === 0) break;
        } else if (token.text === ',' && depth === 0) {
          if (!(definition.variadic && args.length >= params.length)) {
            args.push([]);
            continue;
          }
        }
      }
      args.at(-1)!.push(token);
    }
    if (params.length === 0 && args.length === 1 && args[0]!.length === 0) return [];
    if (definition.variadic && args.length === params.length - 1) args.push([]);
    if (args.length !== params.length) throw new UnsupportedError('wrong number of macro arguments');
    return args;
  }

  /** All of an argument, expanded on its own. */
  #expandAlone(tokens: readonly Token[]): Token[] {
    const floor = this.#floor;
    this.#contexts.push({ tokens, at: 0, macro: UNDEFINED });
    this.#floor = this.#contexts.length - 1;
    const out: Token[] = [];
    for (let token = this.next(); token.kind !== 'end'; token = this.next()) out.push(token);
    while (this.#contexts.length > this.#floor) this.#pop();
    this.#floor = floor;
    return out;
  }

  #replace(definition: Definition, args: readonly Token[][]): readonly Token[] {
    const { body, variadic } = definition;
    const params = definition.params!;
    const out: Token[] = [];
    const expanded: (Token[] | undefined)[] = [];
    const expandedArg = (index: number): Token[] => {
      const tokens = expanded[index] ?? this.#expandAlone(args[index]!);
      expanded[index] = tokens;
      return tokens;
    };
    for (let i = 0; i < body.length; i++) {
      const token = body[i]!;
      if (isStringify(token) && body[i + 1]?.kind === 'name') {
        const index = params.indexOf(body[i + 1]!.text);
        if (index >= 0) {
          const text = stringify(args[index]!);
          out.push({ kind: 'string', text, id: -1, space: token.space, painted: false });
          i++;
          continue;
        }
      }
      const index = token.kind === 'name' ? params.indexOf(token.text) : -1;
      if (index < 0) {
        out.push(token);
        continue;
      }
      const pasted = isPaste(body[i - 1]) || isPaste(body[i + 1]);
      if (variadic && index === params.length - 1 && isPaste(body[i - 1]) && body[i - 2]?.text === ',') {
        // The GNU comma: goes with an empty rest, and is not pasted to any other.
        out.pop();
        if (args[index]!.length === 0) out.pop();
        else out.push(...this.#placed(expandedArg(index), token));
        continue;
      }
      const value = pasted ? args[index]! : expandedArg(index);
      if (value.length === 0) {
        if (pasted) out.push({ kind: 'placemarker', text: '', id: -1, space: token.space, painted: false });
      } else out.push(...this.#placed(value, token));
    }
    // What came in as an argument may hold "##" of its own, which pastes nothing: only the body's do.
    return this.#pasteAll(out, body);
  }

  #placed(tokens: readonly Token[], param: Token): readonly Token[] {
    if (tokens.length === 0) return tokens;
    return [withSpace(tokens[0]!, param.space), ...tokens.slice(1)];
  }

  /** @param body the tokens whose "##" count. */
  #pasteAll(tokens: readonly Token[], body: readonly Token[] = tokens): readonly Token[] {
    if (!body.some(isPaste)) return tokens;
    const operators = new Set(body.filter(isPaste));
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      if (!operators.has(token) || out.length === 0 || i + 1 >= tokens.length) {
        out.push(token);
        continue;
      }
      const left = out.pop()!;
      out.push(this.#paste(left, tokens[++i]!));
    }
    return out;
  }

  #paste(left: Token, right: Token): Token {
    if (right.kind === 'placemarker') return left;
    if (left.kind === 'placemarker') return withSpace(right, left.space);
    const text = left.text + right.text;
    const tokens = tokenize(text, this.#mode, this.#definitions.symbols, false);
    if (tokens.length !== 1) throw new UnsupportedError(`pasting ${text}`);
    return { ...tokens[0]!, space: left.space };
  }
}
