// Real projects: every translation unit's list from the fast scanner against `gcc -M`.
//
// Usage: node test/projects/scan.ts [--mm] [--sample N] DIR-OR-COMMANDS...
// A DIR is a project already unpacked whose compile commands `make -n -k` (or `ninja -t compdb`) prints; a file ending in
// .json is a compilation database. Prints for each how many units there are and how many equal.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FastScanner } from '../../src/scan/fast-scanner.ts';
import { GccMScanner } from '../../src/scan/gcc-m.ts';
import type { QueryRunner, ScanRequest } from '../../src/scan/scanner.ts';

const { values, positionals } = parseArgs({
  options: {
    mm: { type: 'boolean', default: false },
    sample: { type: 'string', default: '1' },
    cache: { type: 'string' },
    show: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});

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

const query: QueryRunner = (file, args, options) =>
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

const truth = new GccMScanner(query);
const scanner = new FastScanner({
  query,
  fallback: {
    scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
  },
  watch: true,
  ...(values.cache === undefined ? {} : { cacheDir: values.cache }),
});

let failed = 0;
for (const place of positionals) {
  const seen = new Set<string>();
  const requests = commandsOf(resolve(place)).flatMap((command) => {
    const request = requestOf(command);
    const key = JSON.stringify(request && [request.cwd, request.flags, request.source, request.language]);
    if (!request || seen.has(key)) return [];
    seen.add(key);
    return [request];
  });
  const step = Number(values.sample);
  let units = 0;
  let equal = 0;
  let broken = 0;
  let shown = 0;
  let scanMs = 0;
  let gccMs = 0;
  for (let i = 0; i < requests.length; i += step) {
    const request = requests[i]!;
    let start = performance.now();
    const ours = await scanner.scan(request);
    scanMs += performance.now() - start;
    start = performance.now();
    const theirs = await truth.scan(request);
    gccMs += performance.now() - start;
    if (theirs.kind !== 'found') {
      broken++;
      if (ours.kind === 'found' && shown++ < Number(values.show))
        console.log(`  gcc fails, the scan does not: ${request.source}: ${theirs.detail}`);
      continue;
    }
    units++;
    const same =
      ours.kind === 'found' &&
      ours.files.length === theirs.files.length &&
      ours.files.every((file, k) => file === theirs.files[k]) &&
      (!values.mm || ours.system.every((system, k) => system === theirs.system[k])) &&
      ours.usesTime === theirs.usesTime;
    if (same) equal++;
    else if (shown++ < Number(values.show)) {
      console.log(`  ${request.cwd}$ ${request.source} ${request.flags.join(' ')}`);
      if (ours.kind !== 'found') console.log(`    ${ours.reason}: ${ours.detail}`);
      else {
        const at = theirs.files.findIndex((file, k) => file !== ours.files[k]);
        console.log(
          `    time ${ours.usesTime} ${theirs.usesTime}; ours ${ours.files.length}, gcc ${theirs.files.length}`,
        );
        if (at >= 0) console.log(`    at ${at}: ours ${ours.files[at]}, gcc ${theirs.files[at]}`);
      }
    }
  }
  failed += units - equal;
  console.log(
    `${basename(resolve(place))}: ${equal} of ${units} units equal` +
      (broken > 0 ? `, ${broken} that gcc -M cannot read` : '') +
      `; scan ${(scanMs / units).toFixed(2)} ms a unit, gcc -M and -MM ${(gccMs / units).toFixed(1)} ms`,
  );
}
console.log(JSON.stringify(scanner.stats()));
await scanner.close();
process.exitCode = failed > 0 ? 1 : 0;
