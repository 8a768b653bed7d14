// The lexer of build.ninja and dyndep files. It works on bytes (one character each), so columns are ninja's; texts leave
// it decoded. Each method mirrors one state of the grammar: the parser asks for a token, a name, a path or a value.
import { decodeLatin1 } from './bytes.ts';
import { type ErrorPlace, NinjaError, type NinjaErrorReason } from './error.ts';

export type Token =
  | 'build'
  | 'colon'
  | 'default'
  | 'eof'
  | 'equals'
  | 'error'
  | 'ident'
  | 'include'
  | 'indent'
  | 'newline'
  | 'pipe'
  | 'pipe-at'
  | 'pipe2'
  | 'pool'
  | 'rule'
  | 'subninja';

const TOKEN_NAMES: Readonly<Record<Token, string>> = {
  build: "'build'",
  colon: "':'",
  default: "'default'",
  eof: 'eof',
  equals: "'='",
  error: 'lexing error',
  ident: 'identifier',
  include: "'include'",
  indent: 'indent',
  newline: 'newline',
  pipe: "'|'",
  'pipe-at': "'|@'",
  pipe2: "'||'",
  pool: "'pool'",
  rule: "'rule'",
  subninja: "'subninja'",
};

const KEYWORDS: ReadonlyMap<string, Token> = new Map<string, Token>([
  ['build', 'build'],
  ['default', 'default'],
  ['include', 'include'],
  ['pool', 'pool'],
  ['rule', 'rule'],
  ['subninja', 'subninja'],
]);

/** A `$name` inside a text. */
export interface Variable {
  readonly name: string;
}

/** A text with variables still to be replaced; without any it is a plain string. '' is the empty one. */
export type EvalString = string | readonly (string | Variable)[];

const NUL = 0;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DOLLAR = 0x24;
const COLON = 0x3a;
const PIPE = 0x7c;

/** Bit 1: letter of a plain name (`$name`); bit 2: also "." (names that stand alone or in braces); bit 4: ends plain text. */
const CLASSES = new Uint8Array(256);
for (const c of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-') {
  CLASSES[c.charCodeAt(0)] = 3;
}
CLASSES['.'.charCodeAt(0)] = 2;
for (const c of '$ :\r\n|\0') CLASSES[c.charCodeAt(0)]! |= 4;

/** Error lines longer than this many bytes are cut, as ninja does. */
const CONTEXT_BYTES_MAX = 72;

export class Lexer {
  readonly file: string;
  private readonly text: string;
  private readonly ascii: boolean;
  private offset = 0;
  private lastToken = 0;

  constructor(file: string, bytes: Buffer) {
    this.file = file;
    // A NUL byte ends the file, as in ninja; one is added so that there always is one.
    const text = `${bytes.toString('latin1')}\0`;
    this.text = text.slice(0, text.indexOf('\0') + 1);
    this.ascii = !/[\x80-\xff]/.test(this.text);
  }

  /** The next token; blanks after it are eaten, comments before it are skipped. */
  readToken(): Token {
    const text = this.text;
    let start = this.offset;
    let token: Token;
    for (;;) {
      let at = start;
      while (text.charCodeAt(at) === SPACE) at++;
      if (text.charCodeAt(at) === 0x23) {
        const end = this.endOfComment(at);
        if (end > 0) {
          start = end;
          continue;
        }
      }
      const newline = this.newlineAt(at);
      if (newline > 0) {
        token = 'newline';
        this.offset = at + newline;
      } else if (at > start) {
        token = 'indent';
        this.offset = at;
      } else {
        token = this.readSolid(at);
      }
      break;
    }
    this.lastToken = start;
    if (token !== 'newline' && token !== 'eof') this.eatWhitespace();
    return token;
  }

  /** Puts the last token back. */
  unreadToken(): void {
    this.offset = this.lastToken;
  }

  /** Takes the next token when it is this one. */
  peekToken(token: Token): boolean {
    if (this.readToken() === token) return true;
    this.unreadToken();
    return false;
  }

  expectToken(expected: Token): void {
    const token = this.readToken();
    if (token === expected) return;
    const hint = expected === 'colon' ? " ($ also escapes ':')" : '';
    throw this.error(`expected ${TOKEN_NAMES[expected]}, got ${TOKEN_NAMES[token]}${hint}`);
  }

  /** A name of a rule, pool or variable; undefined when there is none. */
  readIdent(): string | undefined {
    const start = this.offset;
    const end = this.endOfName(start, 2);
    this.lastToken = start;
    if (end === start) return undefined;
    this.offset = end;
    this.eatWhitespace();
    return this.text.slice(start, end);
  }

  /** A path; '' when the list of paths ends here. */
  readPath(): EvalString {
    const value = this.readEvalString(true);
    this.eatWhitespace();
    return value;
  }

  /** The rest of a `name = value` line with its newline. */
  readValue(): EvalString {
    return this.readEvalString(false);
  }

  /** ninja's message about the place of the last token. */
  error(message: string, reason: NinjaErrorReason = 'syntax', cause?: unknown): NinjaError {
    const text = this.text;
    let line = 1;
    let lineStart = 0;
    for (let i = text.indexOf('\n'); i >= 0 && i < this.lastToken; i = text.indexOf('\n', i + 1)) {
      line++;
      lineStart = i + 1;
    }
    const column = this.lastToken - lineStart;
    const place: ErrorPlace = { file: this.file, line, column };
    let full = `${this.file}:${line}: ${message}\n`;
    if (column > 0 && column < CONTEXT_BYTES_MAX) {
      let end = lineStart;
      while (end < lineStart + CONTEXT_BYTES_MAX && text[end] !== '\0' && text[end] !== '\n') end++;
      const cut = end === lineStart + CONTEXT_BYTES_MAX;
      full += `${decodeLatin1(text.slice(lineStart, end))}${cut ? '...' : ''}\n${' '.repeat(column)}^ near here`;
    }
    return new NinjaError(reason, full, { place, cause });
  }

  /** The error for a token that nothing begins with. */
  unexpected(token: Token): NinjaError {
    if (token === 'error') return this.lexingError();
    return this.error(`unexpected ${TOKEN_NAMES[token]}`);
  }

  private lexingError(): NinjaError {
    const tab = this.text[this.lastToken] === '\t';
    return this.error(tab ? 'tabs are not allowed, use spaces' : 'lexing error');
  }

  /** Offset behind the newline of a comment that begins at `at`; 0 when the file ends before. */
  private endOfComment(at: number): number {
    const end = this.text.indexOf('\n', at);
    return end + 1;
  }

  /** Length of the newline at `at`: 0, 1 or 2. */
  private newlineAt(at: number): number {
    const c = this.text.charCodeAt(at);
    if (c === LF) return 1;
    return c === CR && this.text.charCodeAt(at + 1) === LF ? 2 : 0;
  }

  private endOfName(at: number, mask: number): number {
    let end = at;
    while ((CLASSES[this.text.charCodeAt(end)]! & mask) !== 0) end++;
    return end;
  }

  private readSolid(at: number): Token {
    const end = this.endOfName(at, 2);
    if (end > at) {
      this.offset = end;
      return KEYWORDS.get(this.text.slice(at, end)) ?? 'ident';
    }
    this.offset = at + 1;
    switch (this.text.charCodeAt(at)) {
      case 0x3d:
        return 'equals';
      case COLON:
        return 'colon';
      case NUL:
        return 'eof';
      case PIPE: {
        const next = this.text[at + 1];
        if (next !== '|' && next !== '@') return 'pipe';
        this.offset = at + 2;
        return next === '|' ? 'pipe2' : 'pipe-at';
      }
      default:
        return 'error';
    }
  }

  private eatWhitespace(): void {
    for (let at = this.offset; ; ) {
      this.offset = at;
      const c = this.text.charCodeAt(at);
      if (c === SPACE) {
        at++;
      } else {
        const newline = c === DOLLAR ? this.newlineAt(at + 1) : 0;
        if (newline === 0) return;
        at += 1 + newline;
      }
    }
  }

  private readEvalString(isPath: boolean): EvalString {
    const text = this.text;
    const pieces = new Pieces();
    let at = this.offset;
    for (;;) {
      const start = at;
      while ((CLASSES[text.charCodeAt(at)]! & 4) === 0) at++;
      if (at > start) pieces.add(this.slice(start, at));
      const c = text.charCodeAt(at);
      if (c === DOLLAR) {
        at = this.readEscape(at, pieces);
        continue;
      }
      const newline = this.newlineAt(at);
      if (newline > 0 || (isPath && (c === SPACE || c === COLON || c === PIPE))) {
        this.lastToken = at;
        this.offset = isPath ? at : at + newline;
        return pieces.finish();
      }
      if (c === NUL || c === CR) {
        this.lastToken = at;
        throw c === NUL ? this.error('unexpected EOF') : this.lexingError();
      }
      pieces.add(text[at]!);
      at++;
    }
  }

  /** Reads what stands at a "$"; returns the offset behind it. */
  private readEscape(at: number, pieces: Pieces): number {
    const text = this.text;
    const c = text[at + 1]!;
    if (c === '$' || c === ' ' || c === ':') {
      pieces.add(c);
      return at + 2;
    }
    const newline = this.newlineAt(at + 1);
    if (newline > 0) {
      let end = at + 1 + newline;
      while (text.charCodeAt(end) === SPACE) end++;
      return end;
    }
    const braced = c === '{';
    const start = braced ? at + 2 : at + 1;
    const end = this.endOfName(start, braced ? 2 : 1);
    if (end === start || (braced && text[end] !== '}')) {
      this.lastToken = at;
      throw this.error('bad $-escape (literal $ must be written as $$)');
    }
    pieces.addVariable(text.slice(start, end));
    return braced ? end + 1 : end;
  }

  private slice(start: number, end: number): string {
    const raw = this.text.slice(start, end);
    return this.ascii ? raw : decodeLatin1(raw);
  }
}

/** Collects an EvalString: neighbouring texts become one. */
class Pieces {
  private text = '';
  private list: (string | Variable)[] | undefined;

  add(text: string): void {
    this.text += text;
  }

  addVariable(name: string): void {
    this.list ??= [];
    if (this.text !== '') this.list.push(this.text);
    this.text = '';
    this.list.push({ name });
  }

  finish(): EvalString {
    if (this.list === undefined) return this.text;
    if (this.text !== '') this.list.push(this.text);
    return this.list;
  }
}
