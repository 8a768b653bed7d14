// A session's Remote Execution engine: the server asked what it can do, the connection, and what of this machine's compilers travels.
import { readFileSync } from 'node:fs';
import { placeOf } from '../engine/cloud/may-leave.ts';
import { RemoteHealth } from '../engine/cloud/health.ts';
import type { Engine, ForceJob } from '../engine/engine.ts';
import { RacingEngine } from '../engine/layers/racing.ts';
import type { LimitedEngine } from '../engine/layers/limited.ts';
import type { ReapiToolchain } from '../engine/reapi/action.ts';
import { type NotThere, ReapiEngine } from '../engine/reapi/reapi-engine.ts';
import { parseRef, sizeOf } from '../ir/name.ts';
import { formatReapiAddress, parseReapiAddress } from '../reapi/address.ts';
import { askCapabilities } from '../reapi/capabilities.ts';
import { Channel } from '../reapi/channel.ts';
import type { EngineChoice } from '../settings/engine-choice.ts';
import { CliError, EXIT } from '../settings/exit.ts';
import { reapiConnection } from '../settings/reapi-connection.ts';
import { VERSION } from '../settings/version.ts';
import { hashFile, type LocalStore } from '../store/local/local.ts';
import type { Captures } from '../toolchain/captures.ts';
import { manifestOf, partOf } from '../toolchain/parts.ts';
import { reapiNotes } from './cloud-notes.ts';

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
  const { tls, headers, platform } = reapiConnection(choice.reapi);
  const channel = new Channel({
    address,
    tls,
    headers,
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
  const capable = await askCapabilities(channel, address.instance);
  if (capable.kind === 'unfit') health.giveUp(capable.reason, capable.detail);
  const starterId = starterOf(parts.starter);
  if (!starterId) health.giveUp('no-starter', 'no static program could be compiled here (libc.a is missing)');
  const engine = new ReapiEngine({
    channel,
    instance: address.instance,
    store: parts.store,
    local: parts.local,
    toolchain: (job, fit) => toolchainOf(job, fit, parts.captures),
    starter: { id: starterId ?? { hash: '', sizeBytes: 0 }, absPath: parts.starter },
    platform,
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
  return {
    engine: racing ?? engine,
    report: () => reapiNotes(engine, channel.counters.calls, racing?.ranHere ?? 0),
  };
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

function starterOf(path: string): { readonly hash: string; readonly sizeBytes: number } | undefined {
  try {
    const { hash, sizeBytes } = parseRef(hashFile(path))!;
    // A dynamic one would need a loader that the worker has at the same place.
    return readFileSync(path).includes('/ld-linux') ? undefined : { hash, sizeBytes };
  } catch {
    return undefined;
  }
}
