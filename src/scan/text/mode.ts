// How a language and standard cut text into tokens, as bits; a file is lexed once per combination it is read under.
export const MODE = {
  /** R"x(...)x" */
  rawStrings: 1,
  /** // */
  lineComments: 2,
  /** 1'000 */
  digitSeparators: 4,
  /** true and false are numbers. */
  cplusplus: 8,
  /** Directives nobody knows are text; quotes need no partner. */
  assembler: 16,
  /** ??= may stand for #: such files are handed over. */
  trigraphs: 32,
  /** %: stands for # */
  digraphs: 64,
  /** $ is a letter. */
  dollars: 128,
  /** and, or, not are operators. */
  namedOperators: 256,
  /** char has no sign. */
  unsignedChars: 512,
  /** #elifdef and #elifndef are directives; gcc 11 and before know none. */
  elifdef: 1024,
} as const;

export const NAMED_OPERATORS: ReadonlyMap<string, string> = new Map([
  ['and', '&&'],
  ['and_eq', '&='],
  ['bitand', '&'],
  ['bitor', '|'],
  ['compl', '~'],
  ['not', '!'],
  ['not_eq', '!='],
  ['or', '||'],
  ['or_eq', '|='],
  ['xor', '^'],
  ['xor_eq', '^='],
]);

/** @param macro the text a predefined macro has, undefined when it is not defined. */
export function lexingMode(
  macro: (name: string) => string | undefined,
  flags: {
    readonly assembler: boolean;
    readonly trigraphs: boolean;
    readonly dollars: boolean | undefined;
    readonly operatorNames: boolean;
  },
): number {
  const number = (name: string): number => Number.parseInt(macro(name)?.trim() ?? '0', 10) || 0;
  const dollars = flags.dollars ?? !flags.assembler;
  const common =
    (dollars ? MODE.dollars : 0) |
    (flags.trigraphs ? MODE.trigraphs : 0) |
    (macro('__CHAR_UNSIGNED__') !== undefined ? MODE.unsignedChars : 0);
  const elifdef = number('__GNUC__') >= 12 ? MODE.elifdef : 0;
  if (flags.assembler) return common | MODE.assembler | MODE.lineComments | elifdef;
  const cplusplus = number('__cplusplus');
  const strict = macro('__STRICT_ANSI__') !== undefined;
  // C++17 did away with them.
  const trigraphs = strict && cplusplus <= 201402 ? MODE.trigraphs : 0;
  if (cplusplus > 0) {
    return (
      common |
      trigraphs |
      MODE.cplusplus |
      (flags.operatorNames ? MODE.namedOperators : 0) |
      MODE.digraphs |
      MODE.lineComments |
      (cplusplus >= 201103 ? MODE.rawStrings : 0) |
      (cplusplus >= 201402 ? MODE.digitSeparators : 0) |
      (!strict || cplusplus > 202002 ? elifdef : 0)
    );
  }
  const c = number('__STDC_VERSION__');
  return (
    common |
    trigraphs |
    // Strict C90 has neither digraphs nor line comments; C94 has digraphs.
    (!strict || c >= 199901 ? MODE.lineComments : 0) |
    (!strict || c >= 199409 ? MODE.digraphs : 0) |
    (!strict && c >= 199901 ? MODE.rawStrings : 0) |
    (c > 201710 ? MODE.digitSeparators : 0) |
    (!strict || c > 201710 ? elifdef : 0)
  );
}
