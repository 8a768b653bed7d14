// What the bytes of a file say that no list of includes does.
import type { AssemblerFile } from './assembler.ts';
import { latin1FileName } from './file-name.ts';

export interface Marks {
  /** __DATE__, __TIME__ or __TIMESTAMP__ outside of comments. */
  readonly time: boolean;
  /** Files that assembler code in it includes; undefined: there are some we cannot name. */
  readonly assembler: readonly AssemblerFile[] | undefined;
  /** _Pragma in text (definitions apart) may do what only a full preprocessor run shows. */
  readonly pragma: boolean;
}

const NOTHING: Marks = { time: false, assembler: [], pragma: false };

const TIME = /__(?:DATE|TIME|TIMESTAMP)__/;
/** Comments and constants, roughly: enough to tell a mention from a use. */
const COMMENT = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\*[\s\S]*?\*\/|\/\/.*/g;
/** A definition with its continued lines. */
const DEFINE = /^[ \t]*#[ \t]*define\b(?:[^\\\n]|\\[\s\S])*/gm;
/** At the start of a word: `x.include` is a name. In a string an escape may stand before it. */
const START = /(?<![\w$.])|(?<=\\[abfnrtv])/.source;
const ASSEMBLER = new RegExp(`(?:${START})\\.(?:incbin|include)\\b`);
const IN_CODE = new RegExp(`(?:${START})\\.(incbin|include)\\b([^\\n;]*)`, 'g');
const IN_STRINGS = new RegExp(`(?:${START})\\.(incbin|include)\\b([^\\n]*)`, 'g');
/** What hands a string to the assembler, but for macros, whose callers give the operand in the same string. */
const ASM = /\basm\b|\b__asm(?:__)?\b/;
/** The word alone, as a program that parses such directives would compare with. */
const WORD_ALONE = /"\.(?:incbin|include)"/g;
/** A _Pragma, or a macro for one, that changes macros or what is read. */
export const PRAGMA_WITH_EFFECT =
  /_Pragma\s*\(\s*"\s*(?:once|push_macro|pop_macro|GCC\s+(?:system_header|poison|target|optimize))|PRAGMA\w*\s*\(\s*(?:once|push_macro|pop_macro)\b/i;

function withoutComments(text: string): string {
  return text.replace(COMMENT, (piece) => (piece.startsWith('/') ? ' ' : piece));
}

/**
 * Operands of .incbin and .include.
 * @param quote what their quotes look like: in C they stand inside a string.
 */
function assemblerFiles(text: string, quote: '"' | '\\"'): AssemblerFile[] | undefined {
  const files: AssemblerFile[] = [];
  for (const [, directive, rest] of text.matchAll(quote === '"' ? IN_CODE : IN_STRINGS)) {
    const operand = rest!.trimStart();
    // A member called `include` is no directive.
    if (directive === 'include' && quote === '\\"' && !/^\\?"|^'/.test(operand)) continue;
    const name = operand.startsWith(quote)
      ? operand.slice(quote.length, operand.indexOf(quote, quote.length))
      : undefined;
    const closed = name !== undefined && operand.indexOf(quote, quote.length) > 0;
    if (!closed || name === '' || name!.includes('\\') || name!.includes('"')) return undefined;
    const path = latin1FileName(name!);
    if (path === undefined) return undefined;
    files.push({ name: path, code: directive === 'include' });
  }
  return files;
}

/** @param assembler the file is assembler code, not C with assembler in it. */
export function marksOf(bytes: Buffer, assembler: boolean): Marks {
  const time = bytes.includes('__TIME') || bytes.includes('__DATE__');
  const pragma = bytes.includes('_Pragma') || bytes.includes('PRAGMA');
  const asm = bytes.includes('.incbin') || bytes.includes('.include');
  if (!time && !pragma && !asm) return NOTHING;
  const text = bytes.toString('latin1');
  const bare = withoutComments(text);
  const code = asm && !assembler && !ASM.test(bare) ? bare.replace(WORD_ALONE, '""') : bare;
  return {
    time: time && TIME.test(bare),
    assembler: asm && ASSEMBLER.test(code) ? assemblerFiles(code, assembler ? '"' : '\\"') : [],
    pragma: pragma && PRAGMA_WITH_EFFECT.test(bare.replace(DEFINE, '')),
  };
}
