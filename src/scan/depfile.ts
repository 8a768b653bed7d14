// Depfile text, byte for byte as gcc 12 writes it for -M -MM -MD -MMD -MP; DEPENDENCIES_OUTPUT and SUNPRO_DEPENDENCIES
// hold the same text, appended to what the file has.
//
// Shape: TARGET... ":" FILE... "\n", then with -MP a line "FILE:\n" for every file but the source. A line is broken by
// " \" before a word that would go past COLUMN_MAX.

export interface DepfileTarget {
  readonly text: string;
  /** -MQ, and the default target: special characters are quoted. -MT goes out raw. */
  readonly quote: boolean;
}

export interface Depfile {
  /** In the order of the command line. */
  readonly targets: readonly DepfileTarget[];
  /** The source first, then the headers as gcc spells them, with duplicates. */
  readonly files: readonly string[];
  /** -MP. */
  readonly phony: boolean;
}

/** Bytes of a line before a break, without the break. */
const COLUMN_MAX = 72;

/** Quotes a word as make wants it: blanks, "#" and "$"; backslashes only where a quoted blank follows. */
export function quoteForMake(text: string): string {
  return text.replace(/(\\*)([ \t])|#|\$/g, (special, backslashes: string | undefined, blank: string) =>
    blank === undefined ? (special === '#' ? '\\#' : '$$') : `${backslashes}${backslashes}\\${blank}`,
  );
}

/** gcc drops a leading "./" of targets and files alike, with the slashes behind it. */
function withoutDot(path: string): string {
  return path.replace(/^(?:\.\/+)+(?=.)/, '');
}

/**
 * The driver hands all of -MQ to the preprocessor before all of -MT, and the preprocessor keeps raw targets in front: each
 * takes the place of the first quoted one, which moves to the end.
 */
function orderTargets(targets: readonly DepfileTarget[]): readonly string[] {
  const ordered = targets
    .filter((target) => target.quote)
    .map((target) => quoteForMake(withoutDot(target.text)));
  let raw = 0;
  for (const target of targets) {
    if (target.quote) continue;
    const displaced = ordered[raw];
    ordered[raw] = withoutDot(target.text);
    if (displaced !== undefined) ordered.push(displaced);
    raw++;
  }
  return ordered;
}

/** @returns the text gcc would write, in UTF-8. */
export function formatDepfile({ targets, files, phony }: Depfile): Buffer {
  let text = '';
  let column = 0;
  const put = (word: string): void => {
    const sizeBytes = Buffer.byteLength(word);
    if (column > 0) {
      if (column + sizeBytes > COLUMN_MAX) {
        text += ' \\\n';
        column = 0;
      }
      text += ' ';
      column++;
    }
    text += word;
    column += sizeBytes;
  };
  for (const target of orderTargets(targets)) put(target);
  text += ':';
  column++;
  const quoted = files.map((file) => quoteForMake(withoutDot(file)));
  for (const file of quoted) put(file);
  text += '\n';
  if (phony) for (const file of quoted.slice(1)) text += `${file}:\n`;
  return Buffer.from(text);
}

/** The target of a rule nobody named: the source's last component with the object's suffix. */
export function defaultTarget(source: string, objectSuffix: '.o'): string {
  const base = source.slice(source.lastIndexOf('/') + 1);
  const dot = base.lastIndexOf('.');
  return (dot < 0 ? base : base.slice(0, dot)) + objectSuffix;
}
