// Preprocessing tokens of conditions and macro bodies. The text comes from the lexer: no comments, no splices.
import { MODE } from '../text/mode.ts';
import type { Symbols } from '../text/symbols.ts';

export type TokenKind = 'name' | 'number' | 'char' | 'string' | 'header' | 'punct' | 'placemarker' | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Symbol of a name, else -1. */
  readonly id: number;
  /** White space before it. */
  readonly space: boolean;
  /** Met while its macro was being expanded: never expanded again. */
  readonly painted: boolean;
}

export const END: Token = { kind: 'end', text: '', id: -1, space: false, painted: false };

/** Something our rules do not cover; the unit is handed over. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
}

const NAME = /[A-Za-z_\x80-\xff$][\w\x80-\xff$]*/y;
const NAME_NO_DOLLAR = /[A-Za-z_\x80-\xff][\w\x80-\xff]*/y;
const NUMBER = /\.?[0-9](?:[eEpP][+-]|[\w.\x80-\xff$])*/y;
const NUMBER_WITH_SEPARATORS = /\.?[0-9](?:[eEpP][+-]|'\w|[\w.\x80-\xff$])*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const CHAR = /'(?:[^'\\]|\\.)*'/y;
const SPACE = /[ \t\f\v\0\n]+/y;
const PUNCT =
  /%:%:|\.\.\.|<<=|>>=|<=>|->\*|##|%:|<:|:>|<%|%>|&&|\|\||<<|>>|<=|>=|==|!=|->|\+\+|--|::|[+\-*/%&|^]=|[^\w]/y;
const HAS_INCLUDE = /^__has_include(?:_next)?$/;

/** Bits of a mode that change tokens here; texts are tokenized once for each. */
export const TOKEN_MODES = MODE.digitSeparators | MODE.dollars;

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** @param condition in the text of a condition `<...>` behind __has_include( is one token. */
export function tokenize(text: string, mode: number, symbols: Symbols, condition: boolean): Token[] {
  const tokens: Token[] = [];
  const name = mode & MODE.dollars ? NAME : NAME_NO_DOLLAR;
  const number = mode & MODE.digitSeparators ? NUMBER_WITH_SEPARATORS : NUMBER;
  let at = 0;
  let space = false;
  const push = (kind: TokenKind, length: number, id = -1): void => {
    tokens.push({ kind, text: text.slice(at, at + length), id, space, painted: false });
    at += length;
    space = false;
  };
  while (at < text.length) {
    const blank = match(SPACE, text, at);
    if (blank !== undefined) {
      at += blank.length;
      space = true;
      continue;
    }
    const word = match(name, text, at);
    if (word !== undefined) {
      const after = text[at + word.length];
      const prefix = /^(?:L|u|U|u8)$/.test(word) && (after === '"' || after === "'");
      if (after === '"' && /^(?:R|LR|uR|UR|u8R)$/.test(word)) throw new UnsupportedError('raw string');
      if (!prefix) {
        push('name', word.length, symbols.id(word));
        continue;
      }
      const pattern = after === '"' ? STRING : CHAR;
      const constant = match(pattern, text, at + word.length);
      if (constant === undefined) throw new UnsupportedError('quote without an end');
      push(after === '"' ? 'string' : 'char', word.length + constant.length);
      continue;
    }
    const digits = match(number, text, at);
    if (digits !== undefined) {
      push('number', digits.length);
      continue;
    }
    const c = text[at];
    if (c === '"' || c === "'") {
      const constant = match(c === '"' ? STRING : CHAR, text, at);
      // A quote without an end is the rest of the line.
      push(
        constant === undefined ? 'punct' : c === '"' ? 'string' : 'char',
        constant?.length ?? text.length - at,
      );
      continue;
    }
    if (c === '<' && condition && isHeaderPlace(tokens)) {
      const close = text.indexOf('>', at);
      if (close > 0) {
        push('header', close + 1 - at);
        continue;
      }
    }
    if (c === '\\') throw new UnsupportedError('backslash in a directive');
    push('punct', match(PUNCT, text, at)?.length ?? 1);
  }
  return tokens;
}

function isHeaderPlace(tokens: readonly Token[]): boolean {
  const last = tokens.at(-1);
  if (last?.text === '(') return HAS_INCLUDE.test(tokens.at(-2)?.text ?? '');
  return last !== undefined && HAS_INCLUDE.test(last.text);
}
