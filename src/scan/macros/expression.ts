// The value of a condition's tokens, with libcpp's arithmetic: 64 bits, signed unless something is unsigned.
import type { Expander } from './expander.ts';
import { MODE, NAMED_OPERATORS } from '../text/mode.ts';
import { type Token, UnsupportedError } from './tokens.ts';

/** The condition is an error to the compiler. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
}

interface Value {
  readonly n: bigint;
  readonly unsigned: boolean;
}

export interface ExpressionFacts {
  readonly mode: number;
  isDefined(id: number): boolean;
}

/** Binding strength of binary operators. */
const STRENGTH: ReadonlyMap<string, number> = new Map([
  [',', 1],
  ['?', 2],
  ['||', 3],
  ['&&', 4],
  ['|', 5],
  ['^', 6],
  ['&', 7],
  ['==', 8],
  ['!=', 8],
  ['<', 9],
  ['>', 9],
  ['<=', 9],
  ['>=', 9],
  ['<<', 10],
  ['>>', 10],
  ['+', 11],
  ['-', 11],
  ['*', 12],
  ['/', 12],
  ['%', 12],
]);

const ZERO: Value = { n: 0n, unsigned: false };
const ONE: Value = { n: 1n, unsigned: false };

function wrap(n: bigint, unsigned: boolean): Value {
  return { n: unsigned ? BigInt.asUintN(64, n) : BigInt.asIntN(64, n), unsigned };
}

function truth(value: boolean): Value {
  return value ? ONE : ZERO;
}

const INTEGER =
  /^(0[xX][0-9a-fA-F']+|0[bB][01']+|0[0-7']*|[1-9][0-9']*)([uU]?(?:ll|LL|l|L|z|Z)?|(?:ll|LL|l|L|z|Z)[uU])$/;

function integer(text: string): Value {
  const parts = INTEGER.exec(text);
  if (!parts) throw new ConditionError(`${text} is no integer`);
  const digits = parts[1]!.replaceAll("'", '');
  const octal = /^0[0-7]+$/.test(digits);
  const n = BigInt.asUintN(64, BigInt(octal ? `0o${digits.slice(1)}` : digits));
  return { n, unsigned: /u/i.test(parts[2]!) || n >= 2n ** 63n };
}

const SIMPLE_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['a', 7],
  ['b', 8],
  ['e', 27],
  ['E', 27],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['v', 11],
]);

function character(text: string, charSigned: boolean): Value {
  if (!text.startsWith("'")) throw new UnsupportedError(`character constant ${text}`);
  const inside = text.slice(1, -1);
  const bytes: number[] = [];
  for (const [piece] of inside.matchAll(/\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)|[^\\]/gs)) {
    if (piece[0] !== '\\') bytes.push(piece.charCodeAt(0));
    else if (/[0-7]/.test(piece[1]!)) bytes.push(Number.parseInt(piece.slice(1), 8));
    else if (piece[1] === 'x') bytes.push(Number.parseInt(piece.slice(2), 16));
    else if (/[uUN]/.test(piece[1]!)) throw new UnsupportedError(`character constant ${text}`);
    else bytes.push(SIMPLE_ESCAPES.get(piece[1]!) ?? piece.charCodeAt(1));
  }
  if (bytes.length === 0) throw new ConditionError('empty character constant');
  if (bytes.some((byte) => byte > 255)) throw new UnsupportedError(`character constant ${text}`);
  if (bytes.length === 1) {
    const byte = bytes[0]!;
    return { n: BigInt(charSigned && byte > 127 ? byte - 256 : byte), unsigned: false };
  }
  // Several characters make an int; the first ones fall off.
  let n = 0n;
  for (const byte of bytes) n = BigInt.asUintN(32, (n << 8n) | BigInt(byte));
  return { n: BigInt.asIntN(32, n), unsigned: false };
}

export class Expression {
  readonly #expander: Expander;
  readonly #facts: ExpressionFacts;
  /** The token looked at; not yet taken. */
  #token: Token;
  /** Greater than 0 in operands that have no say. */
  #skipping = 0;

  constructor(expander: Expander, facts: ExpressionFacts) {
    this.#expander = expander;
    this.#facts = facts;
    this.#token = this.#read();
  }

  /** @throws ConditionError where the compiler reports an error, UnsupportedError beyond our rules. */
  evaluate(): boolean {
    if (this.#atEnd()) throw new ConditionError('#if with no expression');
    const value = this.#binary(0);
    if (!this.#atEnd()) throw new ConditionError(`${this.#token.text} in a condition`);
    return value.n !== 0n;
  }

  get skipping(): boolean {
    return this.#skipping > 0;
  }

  #read(): Token {
    const token = this.#expander.next();
    if (token.kind === 'name' && this.#facts.mode & MODE.namedOperators) {
      const operator = NAMED_OPERATORS.get(token.text);
      if (operator !== undefined) return { ...token, kind: 'punct', text: operator };
    }
    return token;
  }

  #atEnd(): boolean {
    return this.#token.kind === 'end';
  }

  #advance(): Token {
    const token = this.#token;
    this.#token = this.#read();
    return token;
  }

  #expect(text: string): void {
    if (this.#token.kind !== 'punct' || this.#token.text !== text)
      throw new ConditionError(`missing ${text} in a condition`);
    this.#advance();
  }

  #skip<T>(skipped: boolean, parse: () => T): T {
    if (skipped) this.#skipping++;
    const value = parse();
    if (skipped) this.#skipping--;
    return value;
  }

  #binary(least: number): Value {
    let left = this.#unary();
    for (;;) {
      const operator = this.#token;
      const strength = operator.kind === 'punct' ? STRENGTH.get(operator.text) : undefined;
      if (strength === undefined || strength < least) return left;
      if (operator.text === '?') {
        left = this.#conditional(left);
        continue;
      }
      if (operator.text === '&&' || operator.text === '||') {
        const decided = (left.n !== 0n) === (operator.text === '||');
        // The operand is read (and expanded) as skipped from its first token on.
        const right = this.#skip(decided, () => {
          this.#advance();
          return this.#binary(strength + 1);
        });
        left = decided ? truth(left.n !== 0n) : truth(right.n !== 0n);
        continue;
      }
      this.#advance();
      left = this.#apply(operator.text, left, this.#binary(strength + 1));
    }
  }

  #conditional(condition: Value): Value {
    const holds = condition.n !== 0n;
    const yes = this.#skip(!holds, () => {
      this.#advance();
      return this.#binary(1);
    });
    const no = this.#skip(holds, () => {
      this.#expect(':');
      return this.#binary(2);
    });
    return wrap((holds ? yes : no).n, yes.unsigned || no.unsigned);
  }

  #apply(operator: string, left: Value, right: Value): Value {
    const unsigned = left.unsigned || right.unsigned;
    const a = unsigned ? BigInt.asUintN(64, left.n) : left.n;
    const b = unsigned ? BigInt.asUintN(64, right.n) : right.n;
    switch (operator) {
      case ',':
        return right;
      case '|':
        return wrap(a | b, unsigned);
      case '^':
        return wrap(a ^ b, unsigned);
      case '&':
        return wrap(a & b, unsigned);
      case '==':
        return truth(a === b);
      case '!=':
        return truth(a !== b);
      case '<':
        return truth(a < b);
      case '>':
        return truth(a > b);
      case '<=':
        return truth(a <= b);
      case '>=':
        return truth(a >= b);
      case '<<':
        return this.#shift(left, right, 1n);
      case '>>':
        return this.#shift(left, right, -1n);
      case '+':
        return wrap(a + b, unsigned);
      case '-':
        return wrap(a - b, unsigned);
      case '*':
        return wrap(a * b, unsigned);
      default: {
        if (b !== 0n) return wrap(operator === '/' ? a / b : a % b, unsigned);
        if (this.#skipping === 0) throw new ConditionError('division by zero in a condition');
        return wrap(a, unsigned);
      }
    }
  }

  /** @param direction 1n to the left; a negative distance turns it round. */
  #shift(left: Value, right: Value, direction: bigint): Value {
    const distance = (right.unsigned ? right.n : BigInt.asIntN(64, right.n)) * direction;
    if (distance >= 64n) return wrap(0n, left.unsigned);
    if (distance >= 0n) return wrap(left.n << distance, left.unsigned);
    return wrap(left.n >> (distance < -64n ? 64n : -distance), left.unsigned);
  }

  #unary(): Value {
    const token = this.#token;
    switch (token.kind) {
      case 'number':
        this.#advance();
        return integer(token.text);
      case 'char':
        this.#advance();
        return character(token.text, (this.#facts.mode & MODE.unsignedChars) === 0);
      case 'name':
        return this.#name(token);
      case 'punct':
        break;
      default:
        throw new ConditionError(`${token.text || 'the end'} in a condition`);
    }
    switch (token.text) {
      case '(': {
        this.#advance();
        const value = this.#binary(0);
        this.#expect(')');
        return value;
      }
      case '!':
        this.#advance();
        return truth(this.#unary().n === 0n);
      case '~': {
        this.#advance();
        const value = this.#unary();
        return wrap(~value.n, value.unsigned);
      }
      case '-': {
        this.#advance();
        const value = this.#unary();
        return wrap(-value.n, value.unsigned);
      }
      case '+':
        this.#advance();
        return this.#unary();
      case '#':
        throw new UnsupportedError('assertion');
      default:
        throw new ConditionError(`${token.text} in a condition`);
    }
  }

  #name(token: Token): Value {
    if (token.text === 'defined') {
      let name = this.#expander.raw();
      const parenthesis = name.kind === 'punct' && name.text === '(';
      if (parenthesis) name = this.#expander.raw();
      if (name.kind !== 'name') throw new ConditionError('defined without a name');
      if (parenthesis && this.#expander.raw().text !== ')') throw new ConditionError('defined without )');
      const defined = this.#facts.isDefined(name.id);
      this.#advance();
      return truth(defined);
    }
    if (/^__has_(?:include|include_next|attribute|cpp_attribute|c_attribute|builtin)$/.test(token.text))
      throw new UnsupportedError(`${token.text} without being defined`);
    this.#advance();
    return truth(token.text === 'true' && (this.#facts.mode & MODE.cplusplus) !== 0);
  }
}
