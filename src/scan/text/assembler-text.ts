// Directives by which assembler code reads files (.incbin, .include), and whatever might be one that is put together from
// pieces: by the preprocessor (##, macros behind a dot), by neighbouring string literals and their escapes, by gas macros.
// What cannot be told is said to be so; the price is a call that is not put off. gas takes directives in either case.
import { latin1FileName } from './file-name.ts';

export interface AssemblerFile {
  /** As written. */
  readonly name: string;
  /** .include: it may include others; .incbin: it is data. */
  readonly code: boolean;
}

/** Files; undefined: there are some we cannot name. */
export type AssemblerFiles = readonly AssemblerFile[] | undefined;

/** No dot of a name or number stands here: `x.include` is a name. */
const START = /(?<![\w$.])/.source;
/** Proper beginnings and ends of the two words. */
const HEAD = 'i(?:n(?:c(?:bi?|l(?:ud?)?)?)?)?';
const TAIL = '(?:(?:n?c)?b)?in|n|(?:(?:(?:n?c)?l)?u)?de|e';
const DIRECTIVE = new RegExp(`${START}\\.(incbin|include)(?![\\w$.])([^\\n;]*)`, 'gi');
/** The word without its dot: an argument of something that adds one. */
const BARE = /(?<![\w$.])incbin(?![\w$])/i;
/**
 * A directive's name that goes on with a macro's argument, a paste or an alternative: `.\x`, `.in\()cbin`, `.&x` after
 * .altmacro, `.inc{bin|x}`.
 */
const GOES_ON = new RegExp(`${START}\\.(?:${HEAD})?(?:\\\\(?!@)[\\w(]|[{&]|(?<!##\\s*\\.)\\s*##)`, 'i');
/** In MRI mode directives have no dot. */
const OTHER_SYNTAX = /(?<![\w$.])\.mri(?![\w$.])/i;
const ENDS_OPEN = new RegExp(`${START}\\.(?:${HEAD})?$`, 'i');
const BEGINS_OPEN = new RegExp(`^(?:${TAIL})\\s*"`, 'i');
/** Arguments that could be pasted to one of the words. */
const PIECES = /(?<=[(,]\s*)i\w{0,5}(?:\s*,\s*\w{1,6})+/gi;
const JOINED = /incbin|include/i;

const LITERALS = /(?:(?:\b(?:u8|[LuU]))?"(?:[^"\\\n]|\\.)*"\s*)+/g;
const LITERAL = /"((?:[^"\\\n]|\\.)*)"/g;

/** Operands of the directives in assembler code. @param strict the code is all there is: an operand without quotes is no text. */
function operands(text: string, strict: boolean): AssemblerFiles {
  const files: AssemblerFile[] = [];
  for (const [, word, rest] of text.matchAll(DIRECTIVE)) {
    const operand = rest!.trimStart();
    const code = word!.toLowerCase() === 'include';
    // Prose in a program's messages.
    if (code && !strict && /^[^"\\%'{]/.test(operand)) continue;
    const end = operand.indexOf('"', 1);
    const name = operand.slice(1, end);
    if (!operand.startsWith('"') || end < 2 || name.includes('\\')) return undefined;
    const path = latin1FileName(name);
    if (path === undefined) return undefined;
    files.push({ name: path, code });
  }
  return files;
}

function couldBePasted(text: string): boolean {
  for (const [pieces] of text.matchAll(PIECES)) if (JOINED.test(pieces.replace(/[\s,]+/g, ''))) return true;
  return false;
}

/** Directives before which an expression in parentheses is usual. */
const BEFORE_PARENTHESIS =
  /^(?:L.*|[248]?byte|[248]byte|word|[hxd]word|short|int|long|quad|octa|float|double|ascii|asciz|string|(?:else)?if\w*|b?align|p2align|balign|org|skip|space|fill|zero|rept|set|equ|size|uleb128|sleb128|error|warning)$/i;

/** Macros of the file, those with arguments as `NAME(`. */
function macrosOf(text: string): Set<string> {
  return new Set([...text.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+\(?)/gm)].map((m) => m[1]!));
}

/** A definition whose text may end in a dot, put one before an argument, or be one of the words. */
function definesPiece(text: string): boolean {
  for (const [, parameters = '', body] of text.matchAll(
    /^[ \t]*#[ \t]*define[ \t]+\w+(\([^)\n]*\))?([^\n]*)/gm,
  )) {
    if (/(?:^|[\s(])\.\s*$/.test(body!) || /(?<![\w$.<"/])include(?![\w$."/>])/i.test(body!)) return true;
    for (const [name] of parameters.matchAll(/\w+/g))
      if (new RegExp(`${START}\\.${name}(?![\\w$])`).test(body!)) return true;
  }
  return false;
}

/** @param text assembler code before or after preprocessing, lines joined, without comments and #include lines. */
export function filesInAssembler(text: string): AssemblerFiles {
  // In strings a backslash stands for something else.
  const code = text.replace(LITERAL, '""');
  if (BARE.test(text) || GOES_ON.test(code) || OTHER_SYNTAX.test(code)) return undefined;
  if (text.includes('#') && definesPiece(text)) return undefined;
  const defined = macrosOf(text);
  for (const [, name, next] of text.matchAll(/(?<![\w$.])\.([A-Za-z_]\w*)(\(?)/g)) {
    if (defined.has(name!) || defined.has(`${name}${next}`)) return undefined;
    if (next === '(' && !BEFORE_PARENTHESIS.test(name!)) return undefined;
  }
  // A macro of another file, by its looks; local labels begin with L.
  if (/(?:^|[;:])[ \t]*\.(?!L|INC(?:BIN|LUDE)\b)[A-Z][A-Z0-9_]+(?![\w$.:(])/m.test(text)) return undefined;
  if (/[(,]\s*include\s*[,)]/i.test(text) || couldBePasted(text)) return undefined;
  if (new RegExp(`${START}\\.(?:${HEAD})(?![\\w$.])`, 'i').test(text)) return undefined;
  return operands(text, true);
}

const ESCAPE = /\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))/g;
const BY_LETTER: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  v: '\v',
  f: '\f',
  a: '\x07',
  b: '\b',
  e: '\x1b',
};

function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(ESCAPE, (_, hex, octal, u, U, letter: string | undefined) => {
    if (letter !== undefined) return BY_LETTER[letter] ?? letter;
    const code = octal === undefined ? Number.parseInt(hex ?? u ?? U, 16) : Number.parseInt(octal, 8);
    return String.fromCharCode(code & 0xff);
  });
}

/** Characters looked at before a string. */
const LOOKED_BACK = 160;

/**
 * @param text C or C++ code, lines joined, without comments and #include lines.
 * @param asm it has assembler code of its own, not only strings for macros of other files.
 */
export function filesInC(text: string, asm: boolean): AssemblerFiles {
  const files: AssemblerFile[] = [];
  // In a raw string quotes need no backslash.
  if (asm && /\b(?:u8|[LuU])?R"[^\s()\\"]{0,16}\(/.test(text) && /incbin|\.inc/i.test(text)) return undefined;
  for (const match of text.matchAll(LITERALS)) {
    const code = [...match[0].matchAll(LITERAL)].map(([, inside]) => unescaped(inside!)).join('');
    // The word alone, as a program that parses such directives would compare with.
    if (!asm && /^\.(?:incbin|include)$/i.test(code)) continue;
    const found = operands(code, false);
    if (!found) return undefined;
    files.push(...found);
    if (!asm) continue;
    if (BARE.test(code) || GOES_ON.test(code) || OTHER_SYNTAX.test(code)) return undefined;
    const end = match.index + match[0].length;
    if (ENDS_OPEN.test(code) && /^[A-Za-z_]/.test(text.slice(end, end + 1))) return undefined;
    const before = text.slice(Math.max(0, match.index - LOOKED_BACK), match.index);
    if (BEGINS_OPEN.test(code) && /[\w)]\s*$/.test(before)) return undefined;
    // Macros alone stand before the operand.
    if (/^\s*"/.test(code) && /asm\w*[\s\w]*\(\s*(?:\w+\s+)*\w+\s*$/.test(before)) return undefined;
  }
  const rest = text.replace(LITERALS, '"" ');
  if (/(?<![\w$.])\.(?:incbin(?![\w$])|include\s*")/i.test(rest)) return undefined;
  if (asm && (BARE.test(rest) || couldBePasted(rest) || /[(,]\s*\.\s*\w+\s*\(/.test(rest))) return undefined;
  return files;
}
