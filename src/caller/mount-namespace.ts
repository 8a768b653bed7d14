// Whether a caller sees the files that the server sees. A recipe may enter a mount namespace of its own (unshare -m, a container, bwrap) and mount
// something over its sources; then the same paths are other files.
import { readlinkSync } from 'node:fs';

let own: string | undefined;

/** @returns what is unusual about the caller, or '' when it shares our mounts; a process that is gone shares them. */
export function otherMounts(pid: number): string {
  try {
    own ??= readlinkSync('/proc/self/ns/mnt');
    return readlinkSync(`/proc/${pid}/ns/mnt`) === own ? '' : 'mount namespace';
  } catch (error) {
    // Whoever may not be looked at is in a user namespace of its own, or another user's.
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'mount namespace' : '';
  }
}
