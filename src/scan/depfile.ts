// Depfile text as gcc writes it. Source: libcpp's mkdeps (behaviour observed on gcc 12, not copied).
//
// A rule is "targets: prerequisites", wrapped with " \\\n " before a word that would cross COLUMNS. Prerequisites are
// quoted for make; targets given by -MT are not, those by -MQ and the default are.

/** Where gcc wraps: a word that would end beyond this column goes to the next line. */
const COLUMNS = 72;

export interface DepfileTarget {
  readonly text: string;
  /** -MQ and default targets; -MT is written as it is. */
  readonly quote: boolean;
}

export interface Depfile {
  readonly targets: readonly DepfileTarget[];
  /** In the scanner's order, the source first; with duplicates. */
  readonly files: readonly string[];
  /** -MP: an empty rule for each file but the source. */
  readonly phony: boolean;
}

/** Quoting for make: a space or tab takes a backslash and doubles those before it; '#' a backslash, '$' a '$'. */
export function quoteForMake(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === ' ' || c === '\t') {
      for (let k = i - 1; k >= 0 && text[k] === '\\'; k--) out += '\\';
      out += `\\${c}`;
    } else if (c === '$') out += '$$';
    else if (c === '#') out += '\\#';
    else out += c;
  }
  return out;
}

/** A leading "./" goes, with the slashes behind it; gcc does so to targets and prerequisites alike. */
function withoutDot(path: string): string {
  return path.replace(/^(?:\.\/+)+(?=.)/, '');
}

/** gcc keeps unquoted targets in front: one that comes late changes places with the first quoted one. */
function targetOrder(targets: readonly DepfileTarget[]): DepfileTarget[] {
  const ordered: DepfileTarget[] = [];
  let unquoted = 0;
  for (const target of targets) {
    if (target.quote || unquoted === ordered.length) ordered.push(target);
    else {
      ordered.push(ordered[unquoted]!);
      ordered[unquoted] = target;
    }
    if (!target.quote) unquoted++;
  }
  return ordered;
}

export function formatDepfile(depfile: Depfile): Buffer {
  const files = depfile.files.map(withoutDot);
  let text = '';
  let column = 0;
  const word = (raw: string, quote: boolean): void => {
    const shown = quote ? quoteForMake(raw) : raw;
    const width = Buffer.byteLength(shown);
    if (column > 0) {
      if (column + width > COLUMNS) {
        text += ' \\\n ';
        column = 1;
      } else {
        text += ' ';
        column++;
      }
    }
    text += shown;
    column += width;
  };
  for (const target of targetOrder(depfile.targets)) word(withoutDot(target.text), target.quote);
  text += ':';
  column++;
  for (const file of files) word(file, true);
  text += '\n';
  if (depfile.phony) for (const file of files.slice(1)) text += `${quoteForMake(file)}:\n`;
  return Buffer.from(text);
}

/** The target when neither -MT, -MQ nor -o names one: the source's base name with the object suffix. */
export function defaultTarget(source: string, objectSuffix: '.o'): string {
  const base = source.slice(source.lastIndexOf('/') + 1);
  const dot = base.lastIndexOf('.');
  return (dot < 0 ? base : base.slice(0, dot)) + objectSuffix;
}
