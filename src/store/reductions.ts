// What a thunk became, as a file.
//
// Format (version 1): first line "gg-reduction 1 SHA256OFREST", then JSON: thunk, outputs [[tag, name]...], exitCode,
// stdout and stderr (base64), wallMs; where known origin (provenance.ts) and, in shared stores, signature [key, base64]. A file that does not add up, or speaks of another thunk, counts as missing.
import { createHash } from 'node:crypto';
import { type ObjectName, parseRef } from '../ir/name.ts';
import { readOrigin, type Signature, writeOrigin } from './provenance.ts';
import type { Reduction } from './store.ts';

const HEAD = 'gg-reduction 1 ';
/** Of a record in a shared store: what a compile prints, and the names of its outputs. A longer one is not shared. */
export const REDUCTION_BYTES_MAX = 4 * 1024 * 1024;

export function encodeReduction(reduction: Reduction): Buffer {
  const body = JSON.stringify({
    thunk: reduction.thunk,
    outputs: reduction.outputs.map((o) => [o.tag, o.name]),
    exitCode: reduction.exitCode,
    stdout: reduction.stdout.toString('base64'),
    stderr: reduction.stderr.toString('base64'),
    wallMs: Math.round(reduction.wallMs),
    ...(reduction.origin ? { origin: writeOrigin(reduction.origin) } : {}),
    ...(reduction.signature
      ? { signature: [reduction.signature.key, reduction.signature.value.toString('base64')] }
      : {}),
  });
  return Buffer.from(`${HEAD}${createHash('sha256').update(body).digest('hex')}\n${body}\n`);
}

interface RawReduction {
  readonly thunk: string;
  readonly outputs: readonly (readonly [string, string])[];
  readonly stdout: string;
  readonly stderr: string;
  readonly wallMs: number;
  readonly origin?: unknown;
  readonly signature?: unknown;
}

function parse(body: Buffer): RawReduction | undefined {
  let raw: Readonly<Record<string, unknown>>;
  try {
    raw = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  const { outputs } = raw ?? {};
  const isFit =
    Array.isArray(outputs) &&
    outputs.every((o) => Array.isArray(o) && o.length === 2 && o.every((part) => typeof part === 'string')) &&
    ['thunk', 'stdout', 'stderr'].every((field) => typeof raw[field] === 'string') &&
    raw['exitCode'] === 0 &&
    Number.isFinite(raw['wallMs']);
  return isFit ? (raw as unknown as RawReduction) : undefined;
}

/** @returns undefined when the bytes are not the record of `thunk`. */
export function decodeReduction(bytes: Buffer, thunk: ObjectName): Reduction | undefined {
  const lineEnd = bytes.indexOf(0x0a);
  if (lineEnd < 0 || bytes.at(-1) !== 0x0a) return undefined;
  const head = bytes.toString('latin1', 0, lineEnd);
  const body = bytes.subarray(lineEnd + 1, bytes.length - 1);
  if (head !== HEAD + createHash('sha256').update(body).digest('hex')) return undefined;
  // The checksum says that nothing was lost on the way, not that the writer meant well.
  const raw = parse(body);
  if (raw?.thunk !== thunk || raw.outputs.some(([, name]) => parseRef(name)?.type !== 'V')) return undefined;
  return {
    thunk,
    outputs: raw.outputs.map(([tag, name]) => ({ tag, name: name as ObjectName })),
    exitCode: 0,
    stdout: Buffer.from(raw.stdout, 'base64'),
    stderr: Buffer.from(raw.stderr, 'base64'),
    wallMs: raw.wallMs,
    ...optional('origin', readOrigin(raw.origin)),
    ...optional('signature', readSignature(raw.signature)),
  };
}

function optional<K extends string, T>(key: K, value: T | undefined): { readonly [key in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]: T });
}

function readSignature(raw: unknown): Signature | undefined {
  if (!Array.isArray(raw) || typeof raw[0] !== 'string' || typeof raw[1] !== 'string') return undefined;
  return { key: raw[0], value: Buffer.from(raw[1], 'base64') };
}
