// A session's Remote Execution engine: the server asked what it can do, the connection, and what of this machine's compilers travels.
import { readFileSync, statSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { placeOf } from '../engine/cloud/may-leave.ts';
import { RemoteHealth } from '../engine/cloud/health.ts';
import type { Engine, ForceJob } from '../engine/engine.ts';
import { RacingEngine } from '../engine/layers/racing.ts';
import type { LimitedEngine } from '../engine/layers/limited.ts';
import type { ReapiToolchain } from '../engine/reapi/action.ts';
import { type NotThere, ReapiEngine } from '../engine/reapi/reapi-engine.ts';
import { parseRef, sizeOf } from '../ir/name.ts';
import { formatReapiAddress, parseReapiAddress } from '../reapi/address.ts';
import { Channel, ReapiError } from '../reapi/channel.ts';
import {
  Capabilities,
  DigestFunction_Value,
  GetCapabilitiesRequestSchema,
} from '../reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import type { EngineChoice } from '../settings/engine-choice.ts';
import { CliError, EXIT } from '../settings/exit.ts';
import { VERSION } from '../settings/version.ts';
import { hashFile, type LocalStore } from '../store/local/local.ts';
import type { Captures } from '../toolchain/captures.ts';
import { manifestOf, partOf } from '../toolchain/parts.ts';

export interface ReapiParts {
  readonly local: LimitedEngine;
  readonly store: LocalStore;
  readonly captures: Captures;
  /** The static program that starts tools over there. */
  readonly starter: string;
  readonly problem: (reason: string, subject: string, detail: string, advice: string) => void;
}

export interface OpenReapi {
  readonly engine: Engine;
  /** Lines for the end of the build. */
  readonly report: () => readonly string[];
}

const CAPABILITIES_MS_MAX = 10_000;
/** How long what a header's file says is believed. */
const HEADER_MS = 60_000;
/** Servers take 100 calls at a time on one connection. */
const CALLS_A_CONNECTION = 80;
const CONNECTIONS_MAX = 8;

/** @throws CliError when a setting cannot be used. A server that cannot be had is no error: the build goes on here. */
export async function openReapi(
  choice: EngineChoice,
  inFlightMax: number,
  parts: ReapiParts,
): Promise<OpenReapi> {
  const race = choice.engine.endsWith(',local');
  const text = choice.engine.replace(/,local$/, '');
  const address = parseReapiAddress(text);
  if (!address) throw new CliError(EXIT.config, `engine: ${text}`, 'grpc(s)://HOST[:PORT][/INSTANCE]');
  const channel = new Channel({
    address,
    tls: {
      ...pem('ca', 'reapi-tls-ca', choice.reapi.tlsCa),
      ...pem('cert', 'reapi-tls-cert', choice.reapi.tlsCert),
      ...pem('key', 'reapi-tls-key', choice.reapi.tlsKey),
    },
    headers: headersOf(choice.reapi.headers),
    connections: Math.min(CONNECTIONS_MAX, Math.ceil(inFlightMax / CALLS_A_CONNECTION)),
  });
  const name = formatReapiAddress(address);
  const health = new RemoteHealth((down) =>
    parts.problem(
      down.reason,
      name,
      down.detail,
      choice.strict ? 'the build stops here: --strict' : 'the build goes on here, without the cluster',
    ),
  );
  const why = await cannot(channel, address.instance);
  if (why) health.giveUp(why.reason, why.detail);
  const starterId = starterOf(parts.starter);
  if (!starterId) health.giveUp('no-starter', 'no static program could be compiled here (libc.a is missing)');
  const engine = new ReapiEngine({
    channel,
    instance: address.instance,
    store: parts.store,
    local: parts.local,
    toolchain: (job, fit) => toolchainOf(job, fit, parts.captures),
    starter: { id: starterId ?? { hash: '', sizeBytes: 0 }, absPath: parts.starter },
    platform: choice.reapi.platform.map(property),
    health,
    strict: choice.strict,
    skipCacheLookup: choice.reapi.cache === 'skip',
    problem: parts.problem,
    inFlightMax,
    version: VERSION,
  });
  const racing = race
    ? new RacingEngine({
        remote: engine,
        local: parts.local,
        inputBytes: (job) => job.thunk.inputs.reduce((sum, i) => sum + sizeOf(i.name), 0),
        missingBytes: () => 0,
        remoteIsFull: () => false,
      })
    : undefined;
  return { engine: racing ?? engine, report: () => notes(engine, channel, racing?.ranHere ?? 0) };
}

/** What of its compiler a thunk's workers get. */
async function toolchainOf(
  job: ForceJob,
  fit: 'part' | 'whole',
  captures: Captures,
): Promise<ReapiToolchain | NotThere> {
  const place = placeOf(job.thunk);
  if (place.kind === 'local-only') return { localOnly: place.reason, detail: place.detail };
  const { realTool, searchPath, stage } = job.placement;
  const found = await captures.of(job.thunk.toolchain, realTool, searchPath);
  if (found.kind === 'changed') return { localOnly: 'toolchain-changed', detail: realTool };
  if (found.kind === 'unsupported') return { localOnly: found.reason, detail: found.detail };
  const part = fit === 'part' ? partOf(job.thunk, stage) : undefined;
  const key = `${found.name} ${part ?? ''}`;
  let manifest = manifests.get(key);
  if (!manifest) {
    manifest = part === undefined ? found.manifest : manifestOf(found, part);
    if (manifests.size >= MANIFESTS_MAX) manifests.clear();
    manifests.set(key, manifest);
  }
  return { manifest, pathByName: found.pathByName };
}

/** Parts of toolchains, by the toolchain's name and the part: finding one out reads the programs. */
const manifests = new Map<string, ReapiToolchain['manifest']>();
const MANIFESTS_MAX = 64;

/** What keeps this server from running thunks; undefined when nothing does. */
async function cannot(
  channel: Channel,
  instanceName: string,
): Promise<{ readonly reason: string; readonly detail: string } | undefined> {
  try {
    const { executionCapabilities, lowApiVersion, highApiVersion } = await channel.unary(
      Capabilities.method.getCapabilities,
      create(GetCapabilitiesRequestSchema, { instanceName }),
      { timeoutMs: CAPABILITIES_MS_MAX },
    );
    if (!executionCapabilities?.execEnabled)
      return { reason: 'no-execution', detail: 'this server is a cache only; it runs nothing' };
    const functions = [executionCapabilities.digestFunction, ...executionCapabilities.digestFunctions];
    if (!functions.includes(DigestFunction_Value.SHA256))
      return { reason: 'digest-function', detail: 'this server does not name blobs by SHA-256' };
    if ((lowApiVersion?.major ?? 2) > 2 || (highApiVersion?.major ?? 2) < 2)
      return { reason: 'api-version', detail: 'this server does not speak version 2 of the API' };
    return undefined;
  } catch (error) {
    if (!(error instanceof ReapiError)) throw error;
    return { reason: 'unreachable', detail: `code ${error.code}: ${error.message}` };
  }
}

function starterOf(path: string): { readonly hash: string; readonly sizeBytes: number } | undefined {
  try {
    const { hash, sizeBytes } = parseRef(hashFile(path))!;
    // A dynamic one would need a loader that the worker has at the same place.
    return readFileSync(path).includes('/ld-linux') ? undefined : { hash, sizeBytes };
  } catch {
    return undefined;
  }
}

function pem<K extends string>(kind: K, setting: string, path: string): { readonly [P in K]?: Buffer } {
  if (path === '') return {};
  try {
    return { [kind]: readFileSync(path) } as { readonly [P in K]?: Buffer };
  } catch (error) {
    throw new CliError(
      EXIT.config,
      `${setting}: ${path}: ${(error as Error).message}`,
      'a readable PEM file',
    );
  }
}

function property(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CliError(EXIT.config, `reapi-platform: ${text}`, 'NAME=VALUE, several with commas');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** @throws CliError for a line that is no header, or a file that cannot be read at the start. */
function headersOf(lines: readonly string[]): () => (readonly [string, string])[] {
  const readers = lines.map((line) => {
    const m = /^([A-Za-z0-9_.-]+):\s*(.+)$/.exec(line);
    // The value may be a secret: it is not repeated.
    if (!m)
      throw new CliError(
        EXIT.config,
        'reapi-header: not of the form NAME: VALUE',
        'NAME: VALUE, or NAME: @FILE',
      );
    const [, name, value] = m;
    if (!value!.startsWith('@')) return () => [name!, value!] as const;
    const path = value!.slice(1);
    let last = { atMs: 0, text: '' };
    const read = (): readonly [string, string] => {
      if (Date.now() - last.atMs > HEADER_MS && statSync(path, { throwIfNoEntry: false })?.isFile())
        last = { atMs: Date.now(), text: readFileSync(path, 'utf8').trim() };
      return [name!, last.text];
    };
    if (read()[1] === '')
      throw new CliError(EXIT.config, `reapi-header: ${name}: @${path}`, 'a readable file with the value');
    return read;
  });
  return () => readers.map((read) => read());
}

function notes(engine: ReapiEngine, channel: Channel, raced: number): string[] {
  const { counts, cas } = engine;
  const listed = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .sort((a, b) => b[1] - a[1])
      .map(([what, n]) => `${n} ${what}`)
      .join(', ');
  const lines = [
    `reapi: ${counts.done} thunks, ${counts.cached} of them from the server's cache; ${channel.counters.calls} requests, ` +
      `${cas.counters.uploadedBlobs} blobs of ${megabytes(cas.counters.uploadedBytes)} sent, ${megabytes(cas.counters.readBytes)} fetched`,
  ];
  if (counts.retries.size > 0) lines.push(`reapi: again after ${listed(counts.retries)}`);
  if (counts.local.size > 0) lines.push(`reapi: run here: ${listed(counts.local)}`);
  if (counts.confirmed + counts.disagreed > 0)
    lines.push(`reapi: ${counts.confirmed} failures confirmed here, ${counts.disagreed} not`);
  if (raced > 0) lines.push(`local: ${raced} thunks on idle cores`);
  return lines;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
