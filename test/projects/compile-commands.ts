// The compile commands of real projects as scan requests, and a way to run compilers.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { QueryRunner, ScanRequest } from '../../src/scan/scanner.ts';

interface Command {
  readonly directory: string;
  readonly words: readonly string[];
}

/** Splits a command line as a shell would, without expansions. */
function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const [, single, double, escaped, blank, plain] of line.matchAll(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\([\s\S])|(\s+)|([^\s'"\\]+)/g,
  )) {
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + (single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '');
  }
  if (word !== undefined) words.push(word);
  return words;
}

const COMPILER = /(?:^|\/)(?:[\w.-]+-)?(?:gcc|g\+\+|cc|c\+\+)(?:-[0-9.]+)?$/;
const SOURCE = /\.(?:c|cc|cpp|cxx|C|S)$/;

function makeCommands(directory: string): Command[] {
  const run = spawnSync('make', ['-n', '-k', '-w', 'all', 'MALLOC=libc'], {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const stack = [directory];
  const commands: Command[] = [];
  for (const line of run.stdout.replaceAll('\\\n', ' ').split('\n')) {
    const entering = /: Entering directory '(.*)'/.exec(line);
    if (entering) stack.push(entering[1]!);
    else if (/: Leaving directory '/.test(line)) stack.pop();
    else {
      let here = stack.at(-1)!;
      for (const part of line.split(/&&|;|\|\|/)) {
        const words = splitWords(part);
        while (words[0] !== undefined && /^\w+=/.test(words[0])) words.shift();
        if (words[0] === 'cd' && words[1] !== undefined) here = resolve(here, words[1]);
        const at = words.findIndex((word) => COMPILER.test(word));
        if (at >= 0 && words.includes('-c')) commands.push({ directory: here, words: words.slice(at) });
      }
    }
  }
  return commands;
}

function databaseCommands(text: string): Command[] {
  const entries = JSON.parse(text) as readonly { directory: string; command: string }[];
  return entries.flatMap(({ directory, command }) => {
    const words = splitWords(command);
    return words.includes('-c') ? [{ directory, words }] : [];
  });
}

function commandsOf(place: string): Command[] {
  if (place.endsWith('.json')) return databaseCommands(readFileSync(place, 'utf8'));
  if (existsSync(`${place}/build.ninja`))
    return databaseCommands(
      execFileSync('ninja', ['-C', place, '-t', 'compdb'], { encoding: 'utf8', maxBuffer: 1 << 28 }).replace(
        /^ninja: .*\n/,
        '',
      ),
    );
  return makeCommands(place);
}

const drivers = new Map<string, string>();
function driverOf(word: string): string {
  let path = drivers.get(word);
  if (path === undefined) {
    path = word.startsWith('/') ? word : execFileSync('which', [word], { encoding: 'utf8' }).trim();
    drivers.set(word, path);
  }
  return path;
}

function requestOf({ directory, words }: Command): ScanRequest | undefined {
  const flags: string[] = [];
  let source: string | undefined;
  for (let i = 1; i < words.length; i++) {
    const word = words[i]!;
    if (/^-(?:o|MF|MT|MQ)$/.test(word)) i++;
    else if (/^-(?:c$|o|M)/.test(word)) continue;
    else if (/^-(?:include|imacros|isystem|iquote|idirafter|I|D|U|x|-param)$/.test(word))
      flags.push(word, words[++i]!);
    else if (word.startsWith('-')) flags.push(word);
    else if (SOURCE.test(word)) source = word;
  }
  if (source === undefined || !existsSync(resolve(directory, source))) return undefined;
  const cplusplus = /\.(?:cc|cpp|cxx|C)$/.test(source) || /\+\+/.test(basename(words[0]!));
  return {
    driver: driverOf(words[0]!),
    toolchain: 'test',
    flags,
    language: source.endsWith('.S') ? 'assembler-with-cpp' : cplusplus ? 'c++' : 'c',
    source,
    cwd: directory,
    env: new Map(),
  };
}

export const query: QueryRunner = (file, args, options) =>
  new Promise((done) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { PATH: process.env['PATH'], ...Object.fromEntries(options.env) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('close', (code) =>
      done({ code: code ?? 1, stdout: Buffer.concat(out), stderr: Buffer.concat(err) }),
    );
  });

/**
 * The units of a project, each once.
 * @param place a directory whose commands `make -n` or ninja's compdb prints, or a compilation database.
 */
export function unitsOf(place: string): ScanRequest[] {
  const seen = new Set<string>();
  return commandsOf(resolve(place)).flatMap((command) => {
    const request = requestOf(command);
    const key = JSON.stringify(request && [request.cwd, request.flags, request.source, request.language]);
    if (!request || seen.has(key)) return [];
    seen.add(key);
    return [request];
  });
}
