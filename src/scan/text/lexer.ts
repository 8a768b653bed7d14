// Reduces a file's bytes to its directives. Rules: libcpp's, as observed on gcc 12. Text is kept as latin1, a character a
// byte, because only bytes matter to the preprocessor.
import { DirectiveReader } from './directives.ts';
import { MODE } from './mode.ts';
import type { Program } from './program.ts';
import type { Symbols } from './symbols.ts';

const NEWLINE = 10;
const RETURN = 13;
const HASH = 35;
const QUOTE = 34;
const APOSTROPHE = 39;
const SLASH = 47;
const STAR = 42;
const PERCENT = 37;
const COLON = 58;
const BACKSLASH = 92;

/** Bytes that may end a run of plain text. */
const STOPS = new Uint8Array(256);
for (const byte of [NEWLINE, QUOTE, APOSTROPHE, SLASH, BACKSLASH]) STOPS[byte] = 1;
const STOPS_AND_DIGITS = STOPS.slice();
for (let digit = 48; digit < 58; digit++) STOPS_AND_DIGITS[digit] = 1;

const BLANK = new Uint8Array(256);
for (const byte of [0, 9, 11, 12, 32]) BLANK[byte] = 1;

const WORD = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 128 || /[\w$]/.test(String.fromCharCode(byte))) WORD[byte] = 1;
}

/** Longest delimiter of a raw string, in bytes. */
const RAW_DELIMITER_MAX = 16;
/** Bytes before a quote that make it a raw string. */
const RAW_PREFIXES: ReadonlySet<string> = new Set(['R', 'LR', 'UR', 'uR', 'u8R']);

/** One spelling for the ends of lines: gcc takes a lone carriage return for one too. */
function unifyNewlines(bytes: Buffer): Buffer {
  if (bytes.indexOf(RETURN) < 0) return bytes;
  const out = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    if (c !== RETURN) out[length++] = c;
    else if (bytes[i + 1] !== NEWLINE) out[length++] = NEWLINE;
  }
  return out.subarray(0, length);
}

const TRIGRAPHS: ReadonlyMap<string, string> = new Map([
  ['=', '#'],
  ['/', '\\'],
  ["'", '^'],
  ['(', '['],
  [')', ']'],
  ['!', '|'],
  ['<', '{'],
  ['>', '}'],
  ['-', '~'],
]);

/** Only where there are no raw strings, which would keep theirs. */
function replaceTrigraphs(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(
    text.replace(/\?\?([=/'()!<>-])/g, (_, c: string) => TRIGRAPHS.get(c)!),
    'latin1',
  );
}

function hasTrigraph(bytes: Buffer): boolean {
  for (let i = bytes.indexOf('??'); i >= 0; i = bytes.indexOf('??', i + 1)) {
    if (i + 2 < bytes.length && TRIGRAPHS.has(String.fromCharCode(bytes[i + 2]!))) return true;
  }
  return false;
}

/** A file is read through `text` with a line's end put behind it, so that every loop meets one. */
class Lexer {
  readonly #b: Buffer;
  readonly #end: number;
  readonly #mode: number;
  readonly #stops: Uint8Array;
  /** A comment or a raw string had no end. */
  #unterminated = false;

  constructor(bytes: Buffer, mode: number) {
    const unified = unifyNewlines(bytes);
    const text = Buffer.allocUnsafe(unified.length + 1);
    unified.copy(text);
    text[unified.length] = NEWLINE;
    this.#b = text;
    this.#end = unified.length;
    this.#mode = mode;
    this.#stops = mode & MODE.digitSeparators ? STOPS_AND_DIGITS : STOPS;
  }

  run(reader: DirectiveReader): void {
    const b = this.#b;
    // A byte order mark is no text.
    let p = b[0] === 0xef && b[1] === 0xbb && b[2] === 0xbf ? 3 : 0;
    while (p < this.#end) {
      p = this.#blanks(p);
      const c = b[p]!;
      if (c === HASH) p = this.#directive(p + 1, reader);
      else if (c === PERCENT && this.#mode & MODE.digraphs && this.#isDigraphHash(p))
        p = this.#directive(this.#splices(p + 1) + 1, reader);
      else p = this.#textLine(p);
    }
    if (this.#unterminated) reader.fail('comment or raw string without an end');
  }

  #isDigraphHash(p: number): boolean {
    const colon = this.#splices(p + 1);
    if (this.#b[colon] !== COLON) return false;
    const after = this.#splices(colon + 1);
    return !(this.#b[after] === PERCENT && this.#b[this.#splices(after + 1)] === COLON);
  }

  /** Past any backslashes that end lines, with the blanks behind them. */
  #splices(p: number): number {
    const b = this.#b;
    while (b[p] === BACKSLASH) {
      let q = p + 1;
      while (BLANK[b[q]!] === 1) q++;
      if (b[q] !== NEWLINE || q >= this.#end) return p;
      p = q + 1;
    }
    return p;
  }

  /** Past blanks, comments and splices. */
  #blanks(p: number): number {
    const b = this.#b;
    for (;;) {
      const c = b[p]!;
      if (BLANK[c] === 1) p++;
      else if (c === BACKSLASH) {
        const q = this.#splices(p);
        if (q === p) return p;
        p = q;
      } else if (c === SLASH) {
        const q = this.#comment(p);
        if (q === p) return p;
        p = q;
      } else return p;
    }
  }

  /** @returns the index behind a comment that starts at p (for a line comment that of the line's end), or p. */
  #comment(p: number): number {
    const b = this.#b;
    let q = p + 1;
    if (b[q] === BACKSLASH) q = this.#splices(q);
    if (b[q] === STAR) {
      q++;
      for (;;) {
        q = b.indexOf(STAR, q);
        if (q < 0) {
          this.#unterminated = true;
          return this.#end;
        }
        q++;
        const after = b[q] === BACKSLASH ? this.#splices(q) : q;
        if (b[after] === SLASH) return after + 1;
      }
    }
    if (b[q] === SLASH && this.#mode & MODE.lineComments) return this.#lineEnd(q);
    return p;
  }

  /** Index of the newline that ends the logical line. */
  #lineEnd(p: number): number {
    const b = this.#b;
    for (;;) {
      const newline = b.indexOf(NEWLINE, p);
      if (newline >= this.#end) return this.#end;
      let before = newline - 1;
      while (before >= p && BLANK[b[before]!] === 1) before--;
      if (before < p || b[before] !== BACKSLASH) return newline;
      p = newline + 1;
    }
  }

  /** Past a string or character constant that starts at p; one without an end takes the rest of the line. */
  #quoted(p: number, escapes: boolean): number {
    const b = this.#b;
    const quote = b[p]!;
    p++;
    for (;;) {
      const c = b[p]!;
      if (c === quote) return p + 1;
      if (c === NEWLINE) return p;
      if (c === BACKSLASH) {
        const q = this.#splices(p);
        if (q !== p) p = q;
        else if (!escapes) p++;
        else {
          p = this.#splices(p + 1);
          if (b[p] !== NEWLINE) p++;
        }
      } else p++;
    }
  }

  /** @returns the index behind the raw string whose quote is at p, or -1 when it is an ordinary string. */
  #raw(p: number): number {
    const b = this.#b;
    if (!(this.#mode & MODE.rawStrings) || b[p - 1] !== 0x52) return -1;
    let start = p - 1;
    while (start > 0 && WORD[b[start - 1]!] === 1) start--;
    if (!RAW_PREFIXES.has(b.toString('latin1', start, p))) return -1;
    let open = p + 1;
    while (open - p - 1 <= RAW_DELIMITER_MAX && b[open] !== 0x28) {
      const c = b[open]!;
      if (BLANK[c] === 1 || c === NEWLINE || c === BACKSLASH || c === 0x29 || c === QUOTE) return -1;
      open++;
    }
    if (b[open] !== 0x28) return -1;
    const close = b.indexOf(`)${b.toString('latin1', p + 1, open)}"`, open, 'latin1');
    if (close >= 0) return close + (open - p) + 1;
    this.#unterminated = true;
    return this.#end;
  }

  /** Past a line that is no directive, the comments and raw strings that start on it included. */
  #textLine(p: number): number {
    const b = this.#b;
    const stops = this.#stops;
    for (;;) {
      while (stops[b[p]!] === 0) p++;
      const c = b[p]!;
      if (c === NEWLINE) return p + 1;
      if (c === SLASH) {
        const q = this.#comment(p);
        p = q === p ? p + 1 : q;
      } else if (c === BACKSLASH) {
        const q = this.#splices(p);
        p = q === p ? p + 1 : q;
      } else if (c === QUOTE) {
        const raw = this.#raw(p);
        p = raw < 0 ? this.#quoted(p, true) : raw;
      } else if (c === APOSTROPHE) p = this.#quoted(p, true);
      else p = this.#number(p);
    }
  }

  /** Past a number that starts at the digit p, with apostrophes between its digits; past the digit inside a word. */
  #number(p: number): number {
    const b = this.#b;
    if (p > 0 && WORD[b[p - 1]!] === 1) return p + 1;
    for (;;) {
      const c = b[p]!;
      if (WORD[c] === 1 || c === 46) {
        p++;
        if ((c === 69 || c === 101 || c === 80 || c === 112) && (b[p] === 43 || b[p] === 45)) p++;
      } else if (c === APOSTROPHE && WORD[b[p + 1]!] === 1) p += 2;
      else return p;
    }
  }

  /** Reads the directive whose text starts at p. */
  #directive(p: number, reader: DirectiveReader): number {
    const b = this.#b;
    const stops = STOPS;
    p = this.#blanks(p);
    let q = p;
    while (stops[b[q]!] === 0) q++;
    if (b[q] === NEWLINE) {
      reader.read(b.toString('latin1', p, q));
      return q + 1;
    }
    return this.#oddDirective(p, reader);
  }

  /** A directive with comments, splices or quotes: its text without the first two. */
  #oddDirective(p: number, reader: DirectiveReader): number {
    const b = this.#b;
    let text = '';
    const header = (): boolean =>
      /^(?:include|include_next|import)[ \t\f\v\0]*$/.test(text) ||
      /^(?:el)?if\b.*\b__has_include(?:_next)?[ \t\f\v\0]*\([ \t\f\v\0]*$/s.test(text);
    for (;;) {
      const c = b[p]!;
      if (c === NEWLINE) break;
      if (c === SLASH) {
        const q = this.#comment(p);
        if (q !== p) {
          text += ' ';
          p = q;
          continue;
        }
      } else if (c === BACKSLASH) {
        const q = this.#splices(p);
        if (q !== p) {
          p = q;
          continue;
        }
      } else if (c === QUOTE || c === APOSTROPHE) {
        const raw = c === QUOTE ? this.#raw(p) : -1;
        const q = raw < 0 ? this.#quoted(p, !header()) : raw;
        text += this.#unspliced(p, q);
        p = q;
        continue;
      } else if (c === 0x3c && header()) {
        const end = this.#lineEnd(p);
        const close = b.indexOf(0x3e, p);
        if (close > 0 && close < end) {
          text += this.#unspliced(p, close + 1);
          p = close + 1;
          continue;
        }
      } else if (c >= 48 && c < 58 && this.#mode & MODE.digitSeparators) {
        const q = this.#number(p);
        text += b.toString('latin1', p, q);
        p = q;
        continue;
      }
      text += String.fromCharCode(c);
      p++;
    }
    reader.read(text);
    return p + 1;
  }

  #unspliced(from: number, to: number): string {
    const text = this.#b.toString('latin1', from, to);
    return text.includes('\n') ? text.replace(/\\[ \t\f\v\0]*\n/g, '') : text;
  }
}

/** The directives of a file under these lexing rules. */
export function lexFile(bytes: Buffer, mode: number, symbols: Symbols): Program {
  const reader = new DirectiveReader(mode, symbols);
  if (!(mode & MODE.trigraphs) || !hasTrigraph(bytes)) new Lexer(bytes, mode).run(reader);
  else if (mode & MODE.rawStrings && bytes.includes('R"')) reader.handOver('trigraphs');
  else new Lexer(replaceTrigraphs(bytes), mode).run(reader);
  return reader.finish();
}
