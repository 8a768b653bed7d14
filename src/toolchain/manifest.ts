// A captured toolchain: what a worker lays out below its root before it can run the user's compiler.
//
// Format (version 1): UTF-8 JSON of ToolchainManifest with `gg: 1` first, paths sorted, one "\n" at the end. Its value name is
// how requests refer to it.
import type { ObjectName } from '../ir/name.ts';

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
}

/** Where the preload of the virtual root lies below each root. */
export const VROOT_PATH = '/.gg/vroot.so';
