// A captured toolchain: what a worker lays out below its root before it can run the user's compiler.
//
// Format (version 2): UTF-8 JSON of ToolchainManifest with `gg: 2` first, paths sorted, one "\n" at the end. Its value name is
// how requests refer to it.
import { type ObjectName, parseRef } from '../ir/name.ts';

export const MANIFEST_VERSION = 2;

export interface ToolchainManifest {
  /** The `toolchain` of the thunks it can run. */
  readonly digest: string;
  /** Absolute path of the dynamic loader among `files`, e.g. "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2". */
  readonly loader: string;
  /** Directories the loader searches, absolute. */
  readonly libraryPath: readonly string[];
  /** Regular files: absolute path, blob, mode bits (0o755 or 0o644). Includes the virtual root's preload at VROOT_PATH. */
  readonly files: readonly (readonly [path: string, name: ObjectName, mode: number])[];
  /** Symlinks: absolute path, text. */
  readonly links: readonly (readonly [path: string, target: string])[];
  /** Files of the toolchain that this part of it lacks (parts.ts); who looks for one of them needs the whole. */
  readonly omitted: readonly string[];
  /** Blobs that travel as zstd frames: the blob, the value name of its frame. */
  readonly frames: readonly (readonly [name: ObjectName, frame: ObjectName])[];
}

/** Where the preload of the virtual root lies below each root. */
export const VROOT_PATH = '/.gg/vroot.so';

export function encodeManifest(manifest: ToolchainManifest): Buffer {
  const { digest, loader, libraryPath, files, links, omitted, frames } = manifest;
  return Buffer.from(
    `${JSON.stringify({ gg: MANIFEST_VERSION, digest, loader, libraryPath, files, links, omitted, frames })}\n`,
  );
}

export class BadManifestError extends Error {
  override readonly name = 'BadManifestError';
}

/** An absolute path without "." and ".." parts: what may be made below a root. */
export function isPlainPath(path: unknown): path is string {
  return typeof path === 'string' && /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/.test(path);
}

/** @throws BadManifestError for another version, or anything that must not be laid out. */
export function decodeManifest(bytes: Uint8Array): ToolchainManifest {
  let raw: Record<string, unknown> & Partial<ToolchainManifest>;
  try {
    raw = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new BadManifestError('not JSON');
  }
  if (typeof raw !== 'object' || raw === null || raw['gg'] !== MANIFEST_VERSION)
    throw new BadManifestError(`manifest version ${String(raw?.['gg'])}, this is ${MANIFEST_VERSION}`);
  const { digest, loader, libraryPath, files, links, omitted, frames } = raw;
  const ok =
    typeof digest === 'string' &&
    isPlainPath(loader) &&
    Array.isArray(libraryPath) &&
    libraryPath.every((p) => isPlainPath(p) && !p.includes(':')) &&
    Array.isArray(files) &&
    files.every(
      (f) => isPlainPath(f[0]) && parseRef(f[1])?.type === 'V' && (f[2] === 0o755 || f[2] === 0o644),
    ) &&
    Array.isArray(links) &&
    links.every((l) => isPlainPath(l[0]) && typeof l[1] === 'string') &&
    Array.isArray(omitted) &&
    omitted.every(isPlainPath) &&
    Array.isArray(frames) &&
    frames.every((f) => parseRef(f[0])?.type === 'V' && parseRef(f[1])?.type === 'V');
  if (!ok) throw new BadManifestError('a part is missing or a path is not plain');
  return { digest, loader, libraryPath, files, links, omitted, frames } as ToolchainManifest;
}
