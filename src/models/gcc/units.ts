// What compiling the sources of one call reads: the include scanner asked once per source, and the depfile that follows.
import { randomBytes } from 'node:crypto';
import { formatDepfile } from '../../scan/depfile.ts';
import { marksOf } from '../../scan/text/file-facts.ts';
import type { ScanFound, ScanResult } from '../../scan/scanner.ts';
import { type Bypass, bypass, type Call, type ModelContext, type PlannedFile } from '../model.ts';
import { scanEnvironment } from './environment.ts';
import { defaultDepfile, depTargets } from './names.ts';
import type { FlagWord, Parsed, SourceWord } from './parse.ts';
import { absolute, checkInput, checkOutput } from '../paths.ts';
import { findPrecompiled } from './precompiled.ts';

/** What one source's compilation reads. */
export interface Unit {
  readonly source: SourceWord;
  /** As gcc spells them, each once, the source first. */
  readonly inputs: readonly string[];
  readonly absent: readonly string[];
  /** Its result holds the time of the run. */
  readonly usesTime: boolean;
  /** ... and no SOURCE_DATE_EPOCH fixes that time. */
  readonly timeSalt: readonly string[];
  readonly depfile: PlannedFile | undefined;
}

/** Line directives in assembler code make the assembler write the directory down, with or without -g. */
export function assembles(source: SourceWord): boolean {
  return !source.language.compiled;
}

/** What is compiled now is assembled, and optimized, by the link. */
export function usesLto(parsed: Parsed): boolean {
  return parsed.words.some((word) => word.kind === 'flag' && word.flag.spelling === '-flto');
}

function flagWords(parsed: Parsed): FlagWord[] {
  return parsed.words.filter((word): word is FlagWord => word.kind === 'flag');
}

/** The flags the scanner needs, in order; -Wp's macros come last, as the driver hands them on. */
function scanFlags(parsed: Parsed, language: string): string[] {
  const flags: string[] = [];
  const late: string[] = [];
  for (const { flag, args, value } of flagWords(parsed)) {
    if (flag.verdict === 'wp') late.push(...value.split(',').filter((part) => /^-[DU]./.test(part)));
    else if (flag.verdict === 'depfile') continue;
    else if (flag.stages.includes('p')) flags.push(...args);
    else if (flag.verdict === 'wa' && language.startsWith('assembler')) flags.push(...args);
  }
  return [...flags, ...late];
}

/** Asks the scanner, or reads what needs none. */
export async function scanSource(
  parsed: Parsed,
  source: SourceWord,
  call: Call,
  context: ModelContext,
): Promise<ScanResult> {
  const language = source.language.name;
  if (flagsMention(parsed, READS_FILES))
    return { kind: 'incomplete', reason: 'asm-include', detail: 'flags' };
  if (!source.language.preprocessed && language !== 'assembler')
    return scanPreprocessed(source, call, context);
  return context.scan({
    driver: call.realTool,
    flags: scanFlags(parsed, language),
    language,
    source: source.path,
    cwd: call.cwd,
    env: scanEnvironment(call.env),
  });
}

/** Preprocessed text includes nothing, but assembler code in it may. */
function scanPreprocessed(source: SourceWord, call: Call, context: ModelContext): ScanResult {
  const text = context.read(absolute(call.cwd, source.path));
  if (!text) return { kind: 'incomplete', reason: 'unreadable-file', detail: source.path };
  const { assembler } = marksOf(text, false);
  if (assembler?.length !== 0 || text.includes('GCC pch_preprocess'))
    return { kind: 'incomplete', reason: 'asm-include', detail: source.path };
  return { kind: 'found', files: [source.path], system: [false], extra: [], absent: [], usesTime: false };
}

/** Macros given by flags may hold a directive by which assembler code reads files, or a part of it. */
const READS_FILES = /^-D.*(?:(?<![\w$])incbin(?![\w$])|(?<![\w$./-])\.inc(?:[lb"]|$))/i;

/** Macros given by flags may hold the time too. */
function flagsMention(parsed: Parsed, macro: RegExp): boolean {
  return flagWords(parsed).some((word) => word.flag.stages.includes('p') && macro.test(word.args.join(' ')));
}

/** SOURCE_DATE_EPOCH fixes __DATE__ and __TIME__, but __TIMESTAMP__ and `#pragma GCC dependency` look at the file's own. */
function mentionsTimestamp(
  parsed: Parsed,
  files: readonly string[],
  call: Call,
  context: ModelContext,
): boolean {
  if (flagsMention(parsed, /__TIMESTAMP__/)) return true;
  return files.some((file) => {
    const text = context.read(absolute(call.cwd, file));
    return text === undefined || text.includes('__TIMESTAMP__') || text.includes('dependency');
  });
}

function depfileFor(parsed: Parsed, source: SourceWord, found: ScanFound): PlannedFile | undefined {
  const request = parsed.depfile;
  if (!request || !source.language.preprocessed) return undefined;
  const files = request.userOnly ? found.files.filter((_, i) => !found.system[i]) : found.files;
  const output = parsed.output?.path;
  return {
    path: request.path ?? defaultDepfile(source.path, output, parsed.goal),
    text: formatDepfile({
      targets: depTargets(request, source.path, output),
      files,
      phony: request.phony,
    }),
  };
}

/** Finds everything the compilation of one source reads, or why that cannot be known. */
export async function planUnit(
  parsed: Parsed,
  source: SourceWord,
  call: Call,
  context: ModelContext,
): Promise<Unit | Bypass> {
  const named = parsed.forces;
  const bad = checkInput(call, context, source.path, named);
  if (bad) return bad;
  if (context.isPlaceholder(absolute(call.cwd, source.path)))
    return bypass('scan-incomplete', `${source.path}: not built yet`, named);

  const found = await scanSource(parsed, source, call, context);
  if (found.kind === 'incomplete') {
    return bypass('scan-incomplete', `${found.reason}: ${found.detail}`, named);
  }

  // Once more by the link, of which nothing would tell: such an object is never put off, and its link looks into it.
  if (found.assemblerReads && usesLto(parsed))
    return bypass('scan-incomplete', `asm-include: ${source.path} with -flto`, named);
  const precompiled = findPrecompiled(parsed, source, found, call, context);
  if (precompiled !== undefined) return bypass('too-hard-flag', `${precompiled}: precompiled header`, named);
  const depfile = depfileFor(parsed, source, found);
  if (depfile) {
    const unwritable = checkOutput(call, context, depfile.path, named);
    if (unwritable) return unwritable;
  }
  const inputs = [...new Set([source.path, ...found.files, ...found.extra])];
  const usesTime = found.usesTime || flagsMention(parsed, /__(?:DATE|TIME|TIMESTAMP)__/);
  const fixedTime =
    call.env.has('SOURCE_DATE_EPOCH') && usesTime && !mentionsTimestamp(parsed, inputs, call, context);
  return {
    source,
    inputs,
    absent: found.absent,
    usesTime,
    timeSalt: usesTime && !fixedTime ? [`time:${Date.now()}:${randomBytes(8).toString('hex')}`] : [],
    depfile,
  };
}
