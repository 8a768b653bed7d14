// Which file systems tell a watcher about every change: those whose changes all go through this kernel.
import { statfsSync } from 'node:fs';

/** Magic numbers of statfs(2). */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlay
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
]);

const byDevice = new Map<number, boolean>();

/** @param dev the device the path is on; one answer per device is enough. */
export function isLocal(path: string, dev: number): boolean {
  let local = byDevice.get(dev);
  if (local === undefined) {
    try {
      local = LOCAL.has(statfsSync(path).type);
    } catch {
      local = false;
    }
    byDevice.set(dev, local);
  }
  return local;
}
