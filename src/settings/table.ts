// Configuration: flags, then GG_* variables, then the file, in that order of precedence. One table; the README repeats it.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import {
  ENGINES,
  type EngineChoice,
  type EngineName,
  type ReapiChoice,
  REMOTE_USES,
  REMOTE_TRUSTS,
  type RemoteTrustName,
  type RemoteUseName,
} from './engine-choice.ts';
import { type ModeName, MODES } from './build-mode.ts';
import { CliError, EXIT } from './exit.ts';

export interface Settings {
  readonly engine: EngineName;
  readonly remote: string;
  readonly remoteUse: RemoteUseName;
  readonly remoteTrust: RemoteTrustName;
  readonly lambdaFunction: string;
  readonly reapi: ReapiChoice;
  /** 0: no limit. */
  readonly budgetUsd: number;
  readonly strict: boolean;
  readonly jobs: number;
  readonly mode: ModeName;
  readonly preload: boolean;
  readonly sandbox: 'none' | 'namespace';
  readonly prefetch: 'auto' | '1' | '0';
  readonly cacheSizeBytes: number;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

/** Key in the file -> variable. The flag is the key with dashes. */
export const SETTINGS = [
  {
    key: 'jobs',
    variable: 'GG_JOBS',
    meaning: 'thunks forced at once (default: the cores; for cloud engines 1000)',
  },
  {
    key: 'engine',
    variable: 'GG_ENGINE',
    meaning:
      'where thunks run: local (default), lambda, lambda,local, or a Remote Execution server: grpc(s)://HOST[:PORT][/INSTANCE], also with ,local',
  },
  {
    key: 'remote',
    variable: 'GG_REMOTE',
    meaning:
      'store shared with others, which cloud engines need: s3://BUCKET[/PREFIX][?region=R&endpoint=URL] or redis://...',
  },
  {
    key: 'remote-use',
    variable: 'GG_REMOTE_USE',
    meaning:
      'share (default): take results and add them; read: add none; blobs: believe no results of others',
  },
  {
    key: 'remote-trust',
    variable: 'GG_REMOTE_TRUST',
    meaning: 'any (default) or signed: take only results signed by a key of gg trust list',
  },
  {
    key: 'lambda-function',
    variable: 'GG_LAMBDA_FUNCTION',
    meaning: 'first part of the functions’ names (default gg-worker); gg deploy lambda makes them',
  },
  {
    key: 'reapi-header',
    variable: 'GG_REAPI_HEADER',
    meaning:
      'headers for a Remote Execution server, "NAME: VALUE" or "NAME: @FILE" (read anew each minute), several with ; between',
  },
  {
    key: 'reapi-platform',
    variable: 'GG_REAPI_PLATFORM',
    meaning: 'properties that its workers must have, e.g. OSFamily=linux,ISA=x86-64',
  },
  {
    key: 'reapi-tls-ca',
    variable: 'GG_REAPI_TLS_CA',
    meaning: 'PEM file of the authority that signed its certificate',
  },
  {
    key: 'reapi-tls-cert',
    variable: 'GG_REAPI_TLS_CERT',
    meaning: 'PEM file of our own certificate, for mutual TLS',
  },
  { key: 'reapi-tls-key', variable: 'GG_REAPI_TLS_KEY', meaning: 'PEM file of the key to it' },
  {
    key: 'reapi-cache',
    variable: 'GG_REAPI_CACHE',
    meaning: 'use (default) or skip: take no results from an action cache that others may write',
  },
  { key: 'budget', variable: 'GG_BUDGET', meaning: 'USD a build may cost; what could exceed it runs here' },
  { key: 'strict', variable: 'GG_STRICT', meaning: '1: fail rather than run here what the cloud did not do' },
  {
    key: 'mode',
    variable: 'GG_MODE',
    meaning:
      'auto (default): sync on this machine, defer with engines much wider than it; defer: calls leave placeholders; sync: every call returns with its real output; off: plain tools',
  },
  {
    key: 'preload',
    variable: 'GG_PRELOAD',
    meaning: '1 (default): programs that open a placeholder get the real file; 0: no preload library',
  },
  {
    key: 'sandbox',
    variable: 'GG_SANDBOX',
    meaning: 'none (default) or namespace: show each run only its declared inputs',
  },
  {
    key: 'prefetch',
    variable: 'GG_PREFETCH',
    meaning:
      'auto (default), 1, 0: gg ninja begins compiles before ninja asks; auto: where the engine is much wider than this machine',
  },
  {
    key: 'cache-size',
    variable: 'GG_CACHE_SIZE',
    meaning: 'limit of the store, e.g. 20G (default 20G); gg gc keeps to it',
  },
  { key: 'json', variable: 'GG_JSON', meaning: '1: events as JSON lines on stderr' },
  { key: 'quiet', variable: 'GG_QUIET', meaning: '1: no progress and no summary' },
  { key: 'color', variable: 'GG_COLOR', meaning: 'auto (default), always, never' },
] as const;

export type Flags = Readonly<Record<string, string | undefined>>;

/** Reads "key = value" lines; '#' starts a comment. */
export function parseConfigFile(text: string, path: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const m = /^([a-z-]+)\s*=\s*(.*)$/.exec(line);
    if (!m || !SETTINGS.some((s) => s.key === m[1])) {
      throw new CliError(
        EXIT.config,
        `${path}:${i + 1}: ${line}`,
        `known settings: ${SETTINGS.map((s) => s.key).join(', ')}`,
      );
    }
    values.set(m[1]!, m[2]!.replace(/^"(.*)"$/, '$1'));
  }
  return values;
}

export function parseSize(text: string): number | undefined {
  const m = /^([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (!m) return undefined;
  return Math.floor(Number(m[1]) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(m[2]!.toUpperCase()));
}

export function configFilePath(env: NodeJS.ProcessEnv): string {
  return (
    env['GG_CONFIG'] ||
    join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || '/nonexistent', '.config'), 'gg', 'config')
  );
}

const list = (text: string | undefined, separator: string): string[] =>
  (text ?? '')
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** @throws CliError for what names no engine. */
function engineName(value: string): EngineName {
  if (
    (ENGINES as readonly string[]).includes(value) ||
    /^grpcs?:\/\/[^/,]+(?:\/[^,]*)?(?:,local)?$/.test(value)
  )
    return value as EngineName;
  throw new CliError(
    EXIT.config,
    `engine: ${value}`,
    `one of: ${ENGINES.join(', ')}, grpc(s)://HOST[:PORT][/INSTANCE][,local]`,
  );
}

/** Keys of `gg trust`, beside the configuration. */
export function trustDirectory(env: NodeJS.ProcessEnv): string {
  return join(dirname(configFilePath(env)), 'trust');
}

/** Thunks in flight with a cloud engine: Lambda's usual limit for an account, and what it starts at once. */
const CLOUD_JOBS = 1000;

/** What the server needs to know; the credentials go to our own server only, over its socket. */
export function engineChoice(settings: Settings, env: NodeJS.ProcessEnv): EngineChoice {
  const { engine, remote, remoteUse, remoteTrust, lambdaFunction, reapi, budgetUsd, strict } = settings;
  const aws = Object.entries(env).filter(
    // HOME is where profiles are.
    (e): e is [string, string] => (e[0].startsWith('AWS_') || e[0] === 'HOME') && e[1] !== undefined,
  );
  return {
    engine,
    remote,
    remoteUse,
    remoteTrust,
    trustDirectory: trustDirectory(env),
    lambdaFunction,
    reapi,
    budgetUsd,
    strict,
    env: engine === 'local' && remote === '' ? {} : Object.fromEntries(aws),
  };
}

/** @throws CliError `bad-config` with the offending text and the accepted forms. */
export function loadSettings(flags: Flags, env: NodeJS.ProcessEnv): Settings {
  const path = configFilePath(env);
  let file = new Map<string, string>();
  try {
    file = parseConfigFile(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof CliError) throw error;
  }
  const text = (key: (typeof SETTINGS)[number]['key']): string | undefined => {
    const setting = SETTINGS.find((s) => s.key === key)!;
    return flags[key] ?? (env[setting.variable] || undefined) ?? file.get(key);
  };
  const choice = <T extends string>(
    key: (typeof SETTINGS)[number]['key'],
    all: readonly T[],
    fallback: T,
  ): T => {
    const value = text(key);
    if (value === undefined) return fallback;
    if ((all as readonly string[]).includes(value)) return value as T;
    throw new CliError(EXIT.config, `${key}: ${value}`, `one of: ${all.join(', ')}`);
  };
  const on = (key: (typeof SETTINGS)[number]['key'], fallback: boolean): boolean => {
    const value = text(key);
    if (value === undefined) return fallback;
    if (/^(?:1|true|yes|on)$/i.test(value)) return true;
    if (/^(?:0|false|no|off)$/i.test(value)) return false;
    throw new CliError(EXIT.config, `${key}: ${value}`, 'one of: 1, 0, true, false, yes, no, on, off');
  };
  const jobsText = text('jobs');
  const engine = engineName(text('engine') ?? 'local');
  const jobs =
    jobsText === undefined ? (engine === 'local' ? availableParallelism() : CLOUD_JOBS) : Number(jobsText);
  const budgetText = text('budget') ?? '0';
  const budgetUsd = Number(budgetText.replace(/^\$/, ''));
  if (!Number.isFinite(budgetUsd) || budgetUsd < 0)
    throw new CliError(EXIT.config, `budget: ${budgetText}`, 'US dollars, e.g. 0.50');
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 100_000)
    throw new CliError(EXIT.config, `jobs: ${jobsText}`, 'a whole number from 1 to 100000');
  const sizeText = text('cache-size') ?? '20G';
  const cacheSizeBytes = parseSize(sizeText);
  if (cacheSizeBytes === undefined)
    throw new CliError(EXIT.config, `cache-size: ${sizeText}`, 'a number with K, M, G or T, e.g. 20G');
  return {
    engine,
    remote: text('remote') ?? '',
    remoteUse: choice('remote-use', REMOTE_USES, 'share'),
    remoteTrust: choice('remote-trust', REMOTE_TRUSTS, 'any'),
    lambdaFunction: text('lambda-function') ?? 'gg-worker',
    reapi: {
      headers: list(text('reapi-header'), ';'),
      platform: list(text('reapi-platform'), ','),
      tlsCa: text('reapi-tls-ca') ?? '',
      tlsCert: text('reapi-tls-cert') ?? '',
      tlsKey: text('reapi-tls-key') ?? '',
      cache: choice('reapi-cache', ['use', 'skip'], 'use'),
    },
    budgetUsd,
    strict: on('strict', false),
    jobs,
    mode: choice('mode', MODES, 'auto'),
    preload: on('preload', true),
    sandbox: choice('sandbox', ['none', 'namespace'], 'none'),
    prefetch: choice('prefetch', ['auto', '1', '0'], 'auto'),
    cacheSizeBytes,
    json: on('json', false),
    quiet: on('quiet', false),
    color: choice('color', ['auto', 'always', 'never'], 'auto'),
  };
}
