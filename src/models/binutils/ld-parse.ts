// ld's argument vector as a value; touches no disk.
import type { BypassReason } from '../model.ts';
import { type LdFlag, LONG_FLAGS, SHORT_FLAGS } from './ld-flags.ts';

export type LdInput =
  | { readonly kind: 'file'; readonly path: string; readonly static: boolean }
  | { readonly kind: 'library'; readonly name: string; readonly static: boolean };

export interface LdCommand {
  readonly kind: 'command';
  readonly inputs: readonly LdInput[];
  /** Scripts, version scripts, symbol lists. */
  readonly files: readonly string[];
  /** Libraries that ld loads into itself, and what they are told. */
  readonly plugins: readonly string[];
  readonly pluginOptions: readonly string[];
  readonly directories: readonly string[];
  readonly rpaths: readonly string[];
  readonly rpathLinks: readonly string[];
  readonly sysroot: string;
  readonly emulation: string | undefined;
  readonly output: string | undefined;
  /** Index in the arguments and what stands before the output's path in its word. */
  readonly outputAt: { readonly index: number; readonly prefix: string } | undefined;
  readonly relocatable: boolean;
}

export interface LdRefused {
  readonly kind: 'refused';
  readonly reason: BypassReason;
  readonly detail: string;
}

interface Found {
  readonly flag: LdFlag;
  readonly name: string;
  /** Text behind "=" or the letter; undefined: none there. */
  readonly text: string | undefined;
  readonly prefix: string;
}

function lookUp(word: string): Found | undefined {
  const dashes = word.startsWith('--') ? 2 : 1;
  const body = word.slice(dashes);
  const eq = body.indexOf('=');
  const name = eq < 0 ? body : body.slice(0, eq);
  // With one dash an "o" is always -o and its value.
  const mayBeLong = (dashes === 2 || !body.startsWith('o')) && Object.hasOwn(LONG_FLAGS, name);
  const long = mayBeLong ? LONG_FLAGS[name] : undefined;
  if (long && (eq < 0 || long.value !== 'none')) {
    return {
      flag: long,
      name,
      text: eq < 0 ? undefined : body.slice(eq + 1),
      prefix: word.slice(0, dashes + eq + 1),
    };
  }
  if (dashes === 2) return undefined;
  const letter = body[0] ?? '';
  const short = Object.hasOwn(SHORT_FLAGS, letter) ? SHORT_FLAGS[letter] : undefined;
  if (!short) return undefined;
  if (short.value === 'none')
    return body.length === 1 ? { flag: short, name: letter, text: undefined, prefix: word } : undefined;
  return {
    flag: short,
    name: letter,
    text: body.length > 1 ? body.slice(1) : undefined,
    prefix: `-${letter}`,
  };
}

export function parseLd(args: readonly string[]): LdCommand | LdRefused {
  const inputs: LdInput[] = [];
  const files: string[] = [];
  const plugins: string[] = [];
  const pluginOptions: string[] = [];
  const directories: string[] = [];
  const rpaths: string[] = [];
  const rpathLinks: string[] = [];
  const states: boolean[] = [];
  let isStatic = false;
  let sysroot = '';
  let emulation: string | undefined;
  let output: string | undefined;
  let outputAt: LdCommand['outputAt'];
  let relocatable = false;
  const refused = (reason: BypassReason, detail: string): LdRefused => ({ kind: 'refused', reason, detail });
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word.startsWith('@')) return refused('bad-response-file', word);
    if (!word.startsWith('-') || word === '-') {
      inputs.push({ kind: 'file', path: word, static: isStatic });
      continue;
    }
    const found = lookUp(word);
    if (!found) return refused('unknown-flag', word);
    if (found.flag.bypass) return refused(found.flag.bypass, word);
    let text = found.text ?? '';
    if (found.flag.value === 'value' && found.text === undefined) {
      const next = args[++i];
      if (next === undefined) return refused('unknown-flag', `${word} without a value`);
      text = next;
    }
    if (['r', 'i', 'Ur', 'relocatable'].includes(found.name)) relocatable = true;
    switch (found.flag.role) {
      case 'file':
      case 'script':
        files.push(text);
        break;
      case 'plugin':
        plugins.push(text);
        break;
      case 'plugin-option':
        pluginOptions.push(text);
        break;
      case 'directory':
        directories.push(text);
        break;
      case 'library':
        inputs.push({ kind: 'library', name: text, static: isStatic });
        break;
      case 'rpath':
        rpaths.push(...text.split(':'));
        break;
      case 'rpath-link':
        rpathLinks.push(...text.split(':'));
        break;
      case 'sysroot':
        sysroot = text;
        break;
      case 'emulation':
        emulation = text;
        break;
      case 'output':
        output = text;
        outputAt = found.text === undefined ? { index: i, prefix: '' } : { index: i, prefix: found.prefix };
        break;
      case 'group-static':
        isStatic = true;
        break;
      case 'group-dynamic':
        isStatic = false;
        break;
      case 'push':
        states.push(isStatic);
        break;
      case 'pop':
        isStatic = states.pop() ?? isStatic;
        break;
      case undefined:
        break;
    }
  }
  return {
    kind: 'command',
    inputs,
    files,
    plugins,
    pluginOptions,
    directories,
    rpaths,
    rpathLinks,
    sysroot,
    emulation,
    output,
    outputAt,
    relocatable,
  };
}
