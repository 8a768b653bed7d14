// Conditions and computed includes, evaluated once per state of the macros they read.

import type { Config } from '../compiler/config.ts';
import { type Definitions, Expander } from './expander.ts';
import { Expression } from './expression.ts';
import { latin1FileName } from '../text/file-name.ts';
import { UNDEFINED } from '../text/symbols.ts';
import { type Token, tokenize, UnsupportedError } from './tokens.ts';

/** The compiler has not been asked yet; the evaluation starts again when it has. */
export class OpenQuestion extends Error {
  override readonly name = 'OpenQuestion';
  /** As in `Config.answers`. */
  readonly question: string;
  constructor(question: string) {
    super(question);
    this.question = question;
  }
}

/** Results kept per condition; more states than this are rare and evaluated each time. */
const VARIANTS_MAX = 32;

interface Variant<T> {
  /** Names read and the macro each stood for, in pairs. */
  readonly reads: Int32Array;
  /** Set when the result depends on what the compiler answered. */
  readonly config: Config | undefined;
  readonly value: T;
}

/** A text that is expanded, with the results so far. */
export interface Expandable<T> {
  readonly text: string;
  /** Undefined until first needed. */
  tokens: readonly Token[] | undefined;
  readonly variants: Variant<T>[];
}

export interface HeaderName {
  readonly form: 'quote' | 'angle';
  readonly name: string;
}

/** What an evaluation needs to know of the unit at this point. */
export interface Scene {
  readonly config: Config;
  readonly mode: number;
  readonly macros: Int32Array;
  /** 0 in the source. */
  readonly depth: number;
  /** __has_include: looked up from the file being read. */
  hasInclude(header: HeaderName, next: boolean): boolean;
}

function matches<T>(variant: Variant<T>, scene: Scene): boolean {
  const { reads } = variant;
  const { macros } = scene;
  for (let i = 0; i < reads.length; i += 2) if (macros[reads[i]!] !== reads[i + 1]) return false;
  return variant.config === undefined || variant.config === scene.config;
}

const KINDS = {
  attribute: '__has_attribute',
  builtin: '__has_builtin',
  'c-attribute': '__has_c_attribute',
  'cpp-attribute': '__has_cpp_attribute',
} as const;

export class Conditions {
  readonly #definitions: Definitions;
  readonly #byText = new Map<string, Expandable<boolean>>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** Conditions with the same text, read by the same rules, share their results. */
  condition(text: string, mode: number): Expandable<boolean> {
    const key = `${mode} ${text}`;
    let condition = this.#byText.get(key);
    if (!condition) {
      condition = { text, tokens: undefined, variants: [] };
      this.#byText.set(key, condition);
    }
    return condition;
  }

  /** A result there already is for this state of the macros. */
  known<T>(expandable: Expandable<T>, scene: Scene): T | undefined {
    const { variants } = expandable;
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[i]!;
      if (!matches(variant, scene)) continue;
      if (i > 0) {
        variants[i] = variants[i - 1]!;
        variants[i - 1] = variant;
      }
      return variant.value;
    }
    return undefined;
  }

  holds(condition: Expandable<boolean>, scene: Scene): boolean {
    return this.#evaluate(condition, scene, true, (run) => {
      const expression = new Expression(run.expander, {
        mode: scene.mode,
        isDefined: (id) => run.read(id) !== UNDEFINED,
      });
      run.skipping = () => expression.skipping;
      return expression.evaluate();
    });
  }

  /** The file an #include of something else than a literal name means. */
  header(operand: Expandable<HeaderName>, scene: Scene): HeaderName {
    return this.#evaluate(operand, scene, false, (run) => {
      const first = run.expander.next();
      if (first.kind === 'string') return headerFromString(first.text);
      if (first.text !== '<') throw new UnsupportedError(`#include ${operand.text}`);
      return headerFromTokens(run.expander);
    });
  }

  #evaluate<T>(expandable: Expandable<T>, scene: Scene, condition: boolean, evaluate: (run: Run) => T): T {
    expandable.tokens ??= tokenize(expandable.text, scene.mode, this.#definitions.symbols, condition);
    const run = new Run(this.#definitions, scene, expandable.tokens);
    const value = evaluate(run);
    if (!run.lasting) return value;
    const { variants } = expandable;
    if (variants.length >= VARIANTS_MAX) variants.pop();
    variants.unshift({
      reads: Int32Array.from([...run.reads].flat()),
      config: run.asked ? scene.config : undefined,
      value,
    });
    return value;
  }
}

/** One evaluation: notes what it reads. */
class Run {
  readonly expander: Expander;
  readonly reads = new Map<number, number>();
  /** The result depends on macros alone, or on the compiler's answers too. */
  lasting = true;
  asked = false;
  skipping: () => boolean = () => false;
  readonly #definitions: Definitions;
  readonly #scene: Scene;

  constructor(definitions: Definitions, scene: Scene, tokens: readonly Token[]) {
    this.#definitions = definitions;
    this.#scene = scene;
    this.expander = new Expander(
      definitions,
      scene.mode,
      (id) => this.read(id),
      (macro, expander) => this.#compute(macro, expander),
      tokens,
    );
  }

  read(id: number): number {
    const macro = this.#scene.macros[id] ?? UNDEFINED;
    this.reads.set(id, macro);
    return macro;
  }

  #compute(macro: number, expander: Expander): Token {
    const kind = this.#definitions.symbols.macros[macro]!.builtin!;
    switch (kind) {
      case 'undecidable':
        throw new UnsupportedError('__LINE__, __COUNTER__ or their like in a condition');
      case 'include-level':
        this.lasting = false;
        return number(this.#scene.depth);
      case 'include':
      case 'include-next':
        this.lasting = false;
        return number(this.#hasInclude(kind === 'include-next', expander) ? 1 : 0);
      default:
        return number(this.#has(KINDS[kind], expander));
    }
  }

  #hasInclude(next: boolean, expander: Expander): boolean {
    let token = expander.next();
    const parenthesis = token.text === '(';
    if (parenthesis) token = expander.next();
    let header: HeaderName;
    if (token.kind === 'header') header = headerOf('angle', token.text.slice(1, -1));
    else if (token.kind === 'string') header = headerFromString(token.text);
    else if (token.text === '<') header = headerFromTokens(expander);
    else throw new UnsupportedError('__has_include without a header');
    if (!parenthesis || expander.next().text !== ')') throw new UnsupportedError('__has_include without ( )');
    return !this.skipping() && this.#scene.hasInclude(header, next);
  }

  #has(kind: string, expander: Expander): number {
    if (expander.next().text !== '(') throw new UnsupportedError(`${kind} without (`);
    let operand = '';
    for (let token = expander.next(); token.text !== ')'; token = expander.next()) {
      if (token.kind === 'end') throw new UnsupportedError(`${kind} without )`);
      operand += token.text;
    }
    if (!/^[A-Za-z_]\w*(?:::[A-Za-z_]\w*)?$/.test(operand)) throw new UnsupportedError(`${kind}(${operand})`);
    this.asked = true;
    const question = `${kind} ${operand}`;
    const answer = this.#scene.config.answers.get(question);
    if (answer === undefined) throw new OpenQuestion(question);
    return answer;
  }
}

function number(n: number): Token {
  return { kind: 'number', text: String(n), id: -1, space: false, painted: false };
}

function headerOf(form: HeaderName['form'], latin1: string): HeaderName {
  const name = latin1FileName(latin1);
  if (name === undefined || name === '') throw new UnsupportedError('odd header name');
  return { form, name };
}

function headerFromString(text: string): HeaderName {
  // Escapes and prefixes are not what they look like in a header's name.
  if (!text.startsWith('"') || text.includes('\\')) throw new UnsupportedError(`header ${text}`);
  return headerOf('quote', text.slice(1, -1));
}

/** Tokens up to ">" glued together; where there were blanks our rules may differ. */
function headerFromTokens(expander: Expander): HeaderName {
  let name = '';
  for (let token = expander.next(); token.text !== '>'; token = expander.next()) {
    if (token.kind === 'end') throw new UnsupportedError('header without >');
    if (token.space) throw new UnsupportedError('blank in a computed header name');
    name += token.text;
  }
  return headerOf('angle', name);
}
