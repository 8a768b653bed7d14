// What a recipe does with a command's exit status besides handing it to its build tool. Where it looks at it, the command
// cannot be put off: `gcc -c probe.c || echo no` is a question, and so is `gcc -c a.c && touch stamp`.
import { basename } from 'node:path';
import { type Element, parseScript, type Word } from './shell-script.ts';

/** What runs the command that stands behind it, and ends as that does. */
const PREFIXES: ReadonlySet<string> = new Set([
  'exec',
  'command',
  'builtin',
  'env',
  'nice',
  'ionice',
  'time',
  'timeout',
  'stdbuf',
  'nohup',
  'setsid',
  'taskset',
  'chrt',
  'setarch',
  'prlimit',
]);
/** They look for a place or at a file: whether they ran is neither seen in the tree nor said. */
const HARMLESS: ReadonlySet<string> = new Set([':', 'true', 'cd', 'test', '[']);
/** Harmless on what the command made, which goes where it fails. */
const CARERS: ReadonlySet<string> = new Set(['rm', 'chmod']);
/** They give another name to what the command made, or else they decide something. */
const MOVERS: ReadonlySet<string> = new Set(['mv', 'cp', 'ln']);
const MADE = /\.(?:l?o|T?po|Plo|d|a|s|i|ii|so|gch|obj|tmp|Tpo)$/;
/** They are put off too, or read what the command made and so learn how it ended. */
const TOOL =
  /^(?:[a-z0-9_]+(?:-[a-z0-9_.]+){1,3}-|gg-|gcc-)?(?:gcc|g\+\+|cc|c\+\+|ld|ar|ranlib|strip|objcopy)(?:-[0-9]+(?:\.[0-9]+)*)?$/;
/** What a compile without -o names its object after. */
const SOURCE = /^(?:.*\/)?([^/]+)\.(?:c|cc|cp|cpp|cxx|c\+\+|C|i|ii|s|S|sx|m|mm)$/;
const ASSIGNMENT = /^\w+\+?=/;
const SHELL = /^(?:sh|bash|dash|ksh|mksh|zsh|ash|eval)$/;

export function isPassedThrough(program: string): boolean {
  return PREFIXES.has(program);
}

/**
 * True when a shell that runs `script` does something with the exit status of a command other than ending with it, or when
 * nobody can tell.
 * @param flags the shell's own flags, e.g. "ec".
 * @param names of the programs the command may be seen as: the tool's, and of what the shell ran that runs the tool.
 */
export function looksAtStatus(script: string, flags: string, names: readonly string[]): boolean {
  const elements = parseScript(script);
  if (!elements) return true;
  const candidates = elements.flatMap((e, i) => (e.kind === 'command' && mayRun(e.words, names) ? [i] : []));
  if (candidates.length === 0) return true;
  return candidates.some((at) => isAsked(elements, at, flags.includes('e')));
}

function mayRun(words: readonly Word[], names: readonly string[]): boolean {
  if (words.some((w) => w.substitutions.some((s) => names.some((n) => s.includes(n))))) return true;
  const at = words.findIndex((w) => !ASSIGNMENT.test(w.text));
  if (at < 0) return false;
  const first = words[at]!;
  if (first.expands) return true;
  if (isNamed(first.text, names)) return true;
  const program = basename(first.text);
  if (PREFIXES.has(program)) return words.slice(at + 1).some((w) => w.expands || isNamed(w.text, names));
  if (SHELL.test(program))
    return words.slice(at + 1).some((w) => w.expands || names.some((n) => w.text.includes(n)));
  return false;
}

/** Processes' names are cut at 15 characters. */
function isNamed(word: string, names: readonly string[]): boolean {
  const program = basename(word);
  return names.some((n) => n === program || (n.length === 15 && program.startsWith(n)));
}

function isAsked(elements: readonly Element[], at: number, exitsOnError: boolean): boolean {
  const own = elements[at]!;
  if (own.kind !== 'command') return true;
  // `x=$(gcc ...)`: what it is asked for is not its file.
  if (own.words.every((w) => ASSIGNMENT.test(w.text))) return true;
  const errexit = exitsOnError || elements.slice(0, at).some(setsErrexit);
  const condition = conditionAround(elements, at);
  if (condition === 'asked') return true;
  let made = madeBy(own.words);
  let i = at + 1;
  let inAndList = false;
  if (condition === 'if') {
    const past = pastGuard(elements, at, own.words);
    if (past === undefined) return true;
    i = past;
    inAndList = true;
  }
  for (; i < elements.length; i++) {
    const element = elements[i]!;
    if (element.kind === 'command') return true;
    if (element.kind === 'keyword') {
      switch (element.text) {
        case 'fi':
        case '}':
        case 'esac':
          continue;
        case 'else':
        case 'elif':
          i = pastBlock(elements, i, 'if', 'fi');
          continue;
        case 'done':
          if (!errexit || inAndList) return true;
          continue;
        default:
          return true;
      }
    }
    switch (element.text) {
      case ')':
        continue;
      case '&&': {
        inAndList = true;
        i++;
        const next = elements[i];
        if (!isHarmless(next, own.words, made)) return true;
        if (next?.kind === 'command') made = [...made, ...madeBy(next.words)];
        continue;
      }
      case '||': {
        const past = pastExit(elements, i + 1, own.words);
        if (past === undefined) return true;
        if (!isOperator(elements[past], ')')) return isCaught(elements, past);
        i = past;
        inAndList = true;
        continue;
      }
      case ';;':
        i = pastBlock(elements, i, 'case', 'esac');
        continue;
      case ';':
      case '\n':
        if (!isOver(elements, i + 1) && errexit && !inAndList) return isCaught(elements, i);
        continue;
      default:
        return true;
    }
  }
  return false;
}

function isOver(elements: readonly Element[], from: number): boolean {
  return elements
    .slice(from)
    .every((e) =>
      e.kind === 'operator'
        ? /^[;\n)]$/.test(e.text)
        : e.kind === 'keyword' && /^(?:fi|\}|esac)$/.test(e.text),
    );
}

function isOperator(element: Element | undefined, text: string): boolean {
  return element?.kind === 'operator' && element.text === text;
}

/** What ends the script here may end a part of it only, whose status something else looks at: `( gcc || exit 1 ) || true`. */
function isCaught(elements: readonly Element[], from: number): boolean {
  return elements.slice(from).some((element, i, rest) => {
    if (element.kind !== 'operator' || !/^(?:\|\|?|\|&|&)$/.test(element.text)) return false;
    const before = rest[i - 1];
    return (
      isOperator(before, ')') || (before?.kind === 'keyword' && /^(?:\}|fi|done|esac)$/.test(before.text))
    );
  });
}

function setsErrexit(element: Element): boolean {
  if (element.kind !== 'command' || element.words[0]?.text !== 'set') return false;
  return element.words.slice(1).some((w) => /^-\w*e/.test(w.text) || w.text === 'errexit');
}

/** `if` when the command alone is what an `if` looks at; `asked` for other conditions and for `!`. */
function conditionAround(elements: readonly Element[], at: number): 'none' | 'if' | 'asked' {
  const before = elements[at - 1];
  const isIf = before?.kind === 'keyword' && before.text === 'if';
  // Conditions of several commands, and blocks that are conditions: between the word and its `then` or `do`.
  let open = 0;
  for (const element of elements.slice(0, isIf ? at - 1 : at)) {
    if (element.kind !== 'keyword') continue;
    if (/^(?:if|elif|while|until)$/.test(element.text)) open++;
    else if (element.text === 'then' || (element.text === 'do' && open > 0)) open--;
    else if (element.text === '!') return 'asked';
    else if (element.text === 'for') open++;
  }
  if (open > 0) return 'asked';
  return isIf ? 'if' : 'none';
}

/** `if TOOL; then mv a b; else rm a; exit 1; fi`: nothing but the tool's own end. @returns the place of `fi`. */
function pastGuard(elements: readonly Element[], at: number, own: readonly Word[]): number | undefined {
  let i = at + 1;
  const skip = (): void => {
    while (
      i < elements.length &&
      elements[i]!.kind === 'operator' &&
      /^[;\n]$/.test((elements[i] as { text: string }).text)
    )
      i++;
  };
  const isWord = (text: string): boolean => {
    const e = elements[i];
    return e?.kind === 'keyword' && e.text === text;
  };
  skip();
  if (!isWord('then')) return undefined;
  for (i++, skip(); !isWord('else'); skip()) if (!isHarmless(elements[i++], own)) return undefined;
  i++;
  let exits = false;
  for (skip(); !isWord('fi'); skip()) {
    const element = elements[i++];
    exits = isExit(element);
    if (!exits && !isHarmless(element, own)) return undefined;
  }
  return exits ? i : undefined;
}

/** `|| exit 1`, `|| { rm -f a; exit 1; }`. @returns the last place of it. */
function pastExit(elements: readonly Element[], from: number, own: readonly Word[]): number | undefined {
  if (isExit(elements[from])) return from;
  const open = elements[from];
  const close =
    open?.kind === 'keyword' && open.text === '{'
      ? '}'
      : open?.kind === 'operator' && open.text === '('
        ? ')'
        : undefined;
  if (close === undefined) return undefined;
  let exits = false;
  for (let i = from + 1; i < elements.length; i++) {
    const element = elements[i]!;
    if (element.kind !== 'command') {
      if (element.text === close) return exits ? i : undefined;
      if (element.kind === 'operator' && /^[;\n]$/.test(element.text)) continue;
      return undefined;
    }
    exits = isExit(element);
    if (!exits && !isHarmless(element, own)) return undefined;
  }
  return undefined;
}

function isExit(element: Element | undefined): boolean {
  if (element?.kind !== 'command' || element.redirected) return false;
  const [program, code] = element.words.map((w) => w.text);
  return program === 'false' || (program === 'exit' && code !== undefined && code !== '0');
}

/** @param made names of what `own`, and what came after it, may have made. */
function isHarmless(element: Element | undefined, own: readonly Word[], made = madeBy(own)): boolean {
  if (element?.kind !== 'command') return false;
  const [program = '', ...args] = element.words.map((w) => w.text);
  if (element.redirected) return false;
  if (HARMLESS.has(program)) return true;
  const files = args.filter((a) => !a.startsWith('-'));
  if (TOOL.test(basename(program)))
    return args.some((a, i) => !a.startsWith('-') && args[i - 1] !== '-o' && isOneOf(a, made));
  if (CARERS.has(program))
    return files.slice(program === 'chmod' ? 1 : 0).every((file) => MADE.test(file) || isOneOf(file, made));
  if (!MOVERS.has(program)) return false;
  const [source, ...rest] = files;
  if (source === undefined || rest.length !== 1) return false;
  return MADE.test(source) || own.some((w) => w.text === source || w.text.endsWith(source));
}

/** Names of what a tool may make, as its words tell. */
function madeBy(own: readonly Word[]): readonly string[] {
  return own.flatMap(({ text }, i) => {
    if (own[i - 1]?.text === '-o' || MADE.test(text)) return [text];
    if (text.startsWith('-o')) return [text.slice(2)];
    const stem = SOURCE.exec(text)?.[1];
    return stem === undefined ? [] : [`${stem}.o`];
  });
}

/** Another directory may spell a file with more of its path, or with less. */
function isOneOf(file: string, made: readonly string[]): boolean {
  return made.some((name) => name === file || name.endsWith(`/${file}`) || file.endsWith(`/${name}`));
}

function pastBlock(elements: readonly Element[], from: number, open: string, close: string): number {
  let depth = 1;
  for (let i = from + 1; i < elements.length; i++) {
    const element = elements[i]!;
    if (element.kind !== 'keyword') continue;
    if (element.text === open) depth++;
    if (element.text === close && --depth === 0) return i;
  }
  return elements.length;
}

/**
 * Where a descriptor leads, compared along the way up to the build tool.
 * @param links what /proc/PID/fd/N says for the tool, then each process above it, the build tool last; undefined: unknown.
 */
export function isRedirected(links: readonly (string | undefined)[], buildTool: string): boolean {
  const own = links[0];
  if (own === undefined) return false;
  for (const [i, link] of links.slice(1).entries()) {
    if (link === undefined || link === own) continue;
    if (i < links.length - 2) return true;
    // ninja gives each command a pipe of its own, make under --output-sync a file without a name.
    if (own.startsWith('pipe:') && /^(?:ninja|samu|n2|fbuild|muon)/.test(buildTool)) return false;
    return !/\/Gm[A-Za-z0-9]{6} \(deleted\)$/.test(own);
  }
  return false;
}
