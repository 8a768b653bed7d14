// What the bytes of a file say that no list of includes does.
import { type AssemblerFiles, filesInAssembler, filesInC } from './assembler-text.ts';

export interface Marks {
  /** __DATE__, __TIME__ or __TIMESTAMP__ outside of comments, or a pragma that compares times of files. */
  readonly time: boolean;
  /** Files that assembler code in it includes; undefined: there are some we cannot name. */
  readonly assembler: AssemblerFiles;
  /** _Pragma in text (definitions apart) may do what only a full preprocessor run shows. */
  readonly pragma: boolean;
}

const NOTHING: Marks = { time: false, assembler: [], pragma: false };

const TIME = /__(?:DATE|TIME|TIMESTAMP)__/;
/** Warns where the file it names is newer. */
const COMPARES_TIMES = /^[ \t]*#[ \t]*pragma[ \t]+GCC[ \t]+dependency\b/m;
/** Comments and constants, roughly: enough to tell a mention from a use. */
const COMMENT = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\*[\s\S]*?\*\/|\/\/.*/g;
/** A definition with its continued lines. */
const DEFINE = /^[ \t]*#[ \t]*define\b(?:[^\\\n]|\\[\s\S])*/gm;
/** What hands a string to the assembler, but for macros, whose callers give the operand in the same string. */
const ASM = /\basm\b|\b__asm(?:__)?\b/;
/** Lines whose quotes hold names of headers. */
const INCLUDE_LINE = /^[ \t]*#[ \t]*(?:include|include_next|import|embed)\b.*$/gm;
/** In a file without assembler code of its own only these are worth a look. */
const HINTS = ['incbin', '.inc', 'INCBIN', '.INC'] as const;
/** -traditional-cpp pastes over a comment. */
const OVER_COMMENT = /(?<![\w$.])\.i?n?c?\/\*/;
/** A _Pragma, or a macro for one, that changes macros or what is read. */
export const PRAGMA_WITH_EFFECT =
  /_Pragma\s*\(\s*"\s*(?:once|push_macro|pop_macro|GCC\s+(?:system_header|poison|target|optimize))|PRAGMA\w*\s*\(\s*(?:once|push_macro|pop_macro)\b/i;

function withoutComments(text: string): string {
  return text.replace(COMMENT, (piece) => (piece.startsWith('/') ? ' ' : piece));
}

/** @param assembler the file is assembler code, not C with assembler in it. */
export function marksOf(bytes: Buffer, assembler: boolean): Marks {
  const time = bytes.includes('__TIME') || bytes.includes('__DATE__');
  const dependency = bytes.includes('dependency');
  const pragma = bytes.includes('_Pragma') || bytes.includes('PRAGMA');
  const asm = assembler || bytes.includes('asm');
  const hinted = asm || HINTS.some((hint) => bytes.includes(hint));
  if (!time && !dependency && !pragma && !hinted) return NOTHING;
  const text = bytes.toString('latin1');
  const bare = withoutComments(text);
  return {
    time: (time && TIME.test(bare)) || (dependency && COMPARES_TIMES.test(bare)),
    assembler: hinted ? filesFor(text, bare, assembler) : [],
    pragma: pragma && PRAGMA_WITH_EFFECT.test(bare.replace(DEFINE, '')),
  };
}

function filesFor(text: string, bare: string, assembler: boolean): AssemblerFiles {
  // A line that goes on may do so within a comment or a word.
  const joined = /\\\r?\n/.test(text) ? withoutComments(text.replace(/\\\r?\n/g, '')) : bare;
  const code = joined.replace(INCLUDE_LINE, '');
  if (!assembler) return filesInC(code, ASM.test(code));
  return OVER_COMMENT.test(text) ? undefined : filesInAssembler(code);
}
