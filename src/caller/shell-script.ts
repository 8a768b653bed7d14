// A shell script as far as it has to be known to say what becomes of one command's exit status: simple commands, the
// operators between them, reserved words. POSIX shell, and what bash adds to words and redirections.

export interface Word {
  /** Quotes taken away; expansions stand as they were written. */
  readonly text: string;
  /** Nothing in it was quoted. */
  readonly bare: boolean;
  /** Has a parameter expansion or a command substitution. */
  readonly expands: boolean;
  /** The texts of its command substitutions. */
  readonly substitutions: readonly string[];
}

export type Element =
  | { readonly kind: 'command'; readonly words: readonly Word[]; readonly redirected: boolean }
  | { readonly kind: 'operator'; readonly text: string }
  | { readonly kind: 'keyword'; readonly text: string };

type Token = { readonly kind: 'word'; readonly word: Word } | { readonly kind: 'op'; readonly text: string };

/** What make or ninja hand to a shell is far shorter; longer scripts count as not understood. */
const SCRIPT_CHARS_MAX = 1 << 20;
const OPERATORS = [
  '&>>',
  '<<<',
  '<<-',
  '&&',
  '||',
  ';;',
  '|&',
  '>>',
  '<<',
  '>&',
  '<&',
  '>|',
  '<>',
  '&>',
] as const;
const REDIRECTION = /^(?:&>>?|<<<|>>|>&|<&|>\||<>|[<>])$/;
const OPENING: ReadonlySet<string> = new Set([
  'if',
  'then',
  'elif',
  'else',
  'while',
  'until',
  'do',
  '{',
  '!',
]);
const CLOSING: ReadonlySet<string> = new Set(['fi', 'done', '}', 'esac']);
/** They need more of a parser than is worth having. */
const BEYOND: ReadonlySet<string> = new Set(['function', 'select', 'coproc', '[[']);

class NotUnderstood extends Error {}

class Lexer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  *tokens(): Generator<Token> {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined) return;
      if (c === ' ' || c === '\t') this.#at++;
      else if (this.#text.startsWith('\\\n', this.#at)) this.#at += 2;
      else if (c === '#') while (this.#at < this.#text.length && this.#text[this.#at] !== '\n') this.#at++;
      else if (c === '\n') {
        this.#at++;
        yield { kind: 'op', text: '\n' };
      } else if (';&|()<>'.includes(c)) {
        const text = OPERATORS.find((o) => this.#text.startsWith(o, this.#at)) ?? c;
        this.#at += text.length;
        yield { kind: 'op', text };
      } else yield { kind: 'word', word: this.#word() };
    }
  }

  #word(): Word {
    let text = '';
    let bare = true;
    let expands = false;
    const substitutions: string[] = [];
    const expansion = (): void => {
      const { raw, substitution } = this.#expansion();
      text += raw;
      expands ||= raw.length > 1;
      if (substitution !== undefined) substitutions.push(substitution);
    };
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || ' \t\n;&|()<>'.includes(c)) break;
      this.#at++;
      if (c === '\\') {
        const escaped = this.#take();
        if (escaped !== '\n') text += escaped;
        bare = false;
      } else if (c === "'") {
        text += this.#until("'");
        bare = false;
      } else if (c === '"') {
        bare = false;
        for (;;) {
          const inner = this.#take();
          if (inner === '"') break;
          if (inner === '\\') text += this.#take();
          else if (inner === '$' || inner === '`') {
            this.#at--;
            expansion();
          } else text += inner;
        }
      } else if (c === '$' || c === '`') {
        this.#at--;
        expansion();
      } else text += c;
    }
    return { text, bare, expands, substitutions };
  }

  #take(): string {
    const c = this.#text[this.#at++];
    if (c === undefined) throw new NotUnderstood('unterminated');
    return c;
  }

  #until(end: string): string {
    const from = this.#at;
    const at = this.#text.indexOf(end, from);
    if (at < 0) throw new NotUnderstood('unterminated quote');
    this.#at = at + 1;
    return this.#text.slice(from, at);
  }

  #expansion(): { raw: string; substitution?: string } {
    const from = this.#at;
    if (this.#take() === '`') {
      while (this.#take() !== '`') if (this.#text[this.#at - 1] === '\\') this.#take();
      const raw = this.#text.slice(from, this.#at);
      return { raw, substitution: raw.slice(1, -1) };
    }
    const open = this.#text[this.#at];
    if (open === '(' || open === '{') {
      this.#at++;
      this.#balanced(open === '(' ? ')' : '}');
      const raw = this.#text.slice(from, this.#at);
      return open === '(' ? { raw, substitution: raw.slice(2, -1) } : { raw };
    }
    const name = /^(?:\w+|[@*#?$!-])/.exec(this.#text.slice(this.#at, this.#at + 256))?.[0] ?? '';
    this.#at += name.length;
    return { raw: `$${name}` };
  }

  #balanced(end: string): void {
    for (;;) {
      const c = this.#take();
      if (c === end) return;
      if (c === '\\') this.#take();
      else if (c === "'" && end === ')') this.#until("'");
      else if (c === '"') {
        for (let inner = this.#take(); inner !== '"'; inner = this.#take()) if (inner === '\\') this.#take();
      } else if (c === '(') this.#balanced(')');
      else if (c === '{') this.#balanced('}');
    }
  }
}

/** @returns undefined when it is not understood: here documents, functions, what is not terminated. */
export function parseScript(script: string): readonly Element[] | undefined {
  if (script.length > SCRIPT_CHARS_MAX) return undefined;
  try {
    return elementsOf([...new Lexer(script).tokens()]);
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}

function elementsOf(tokens: readonly Token[]): Element[] {
  const elements: Element[] = [];
  let words: Word[] = [];
  let redirected = false;
  const end = (): void => {
    if (words.length > 0 || redirected) elements.push({ kind: 'command', words, redirected });
    words = [];
    redirected = false;
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind === 'op') {
      if (token.text.startsWith('<<') && token.text !== '<<<') throw new NotUnderstood('here document');
      if (REDIRECTION.test(token.text)) {
        // `2>file`: the descriptor's number is no argument.
        if (/^\d$/.test(words.at(-1)?.text ?? '') && words.at(-1)!.bare) words.pop();
        if (tokens[i + 1]?.kind !== 'word') throw new NotUnderstood('redirection');
        redirected = true;
        i++;
        continue;
      }
      if (token.text === '(' && words.length > 0) throw new NotUnderstood('function');
      end();
      elements.push({ kind: 'operator', text: token.text });
      if (token.text === ';;') i = pastPattern(tokens, i);
      continue;
    }
    const { word } = token;
    if (words.length > 0 || redirected || !word.bare || word.expands) {
      words.push(word);
      continue;
    }
    if (BEYOND.has(word.text)) throw new NotUnderstood(word.text);
    if (OPENING.has(word.text) || CLOSING.has(word.text)) elements.push({ kind: 'keyword', text: word.text });
    else if (word.text === 'for' || word.text === 'case') {
      elements.push({ kind: 'keyword', text: word.text });
      const isEnd = (t: Token): boolean =>
        word.text === 'for'
          ? t.kind === 'op' || t.word.text === 'do'
          : t.kind === 'word' && t.word.text === 'in';
      while (i + 1 < tokens.length && !isEnd(tokens[i + 1]!)) i++;
      if (word.text === 'case') i = pastPattern(tokens, i + 1);
    } else words.push(word);
  }
  end();
  return elements;
}

/** @returns the place of the ")" that ends the pattern behind `from`, or `from` when `esac` comes. */
function pastPattern(tokens: readonly Token[], from: number): number {
  for (let i = from + 1; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind === 'word' && token.word.text === 'esac') return i - 1;
    if (token.kind === 'op' && token.text === ')') return i;
  }
  throw new NotUnderstood('case');
}
