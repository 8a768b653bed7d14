// Keeps the store below its limit: the least recently used blobs and reductions go first.
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { baseName, type ObjectName } from '../../ir/name.ts';
import { viaOf } from '../provenance.ts';
import { decodeReduction } from '../reductions.ts';

export interface GcResult {
  readonly keptBytes: number;
  readonly keptFiles: number;
  readonly removedBytes: number;
  readonly removedFiles: number;
}

interface StoredFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly usedMs: number;
}

/**
 * Removes the records of what came from a shared store, or was made of such; the bytes stay, which prove themselves by their names.
 * @returns how many.
 */
export function removeFrom(directory: string, store: string): number {
  let removed = 0;
  for (const sub of readdirSync(join(directory, 'reductions'))) {
    for (const name of readdirSync(join(directory, 'reductions', sub))) {
      const path = join(directory, 'reductions', sub, name);
      const record = decodeReduction(readFileSync(path), name as ObjectName);
      if (!record || !viaOf(record).some((via) => via.store === store)) continue;
      rmSync(path, { force: true });
      removed++;
    }
  }
  return removed;
}

/** @param pinned names that outstanding placeholders need: never removed. */
export function collectGarbage(
  directory: string,
  limitBytes: number,
  pinned: ReadonlySet<ObjectName>,
): GcResult {
  const files: StoredFile[] = [];
  for (const kind of ['cas', 'reductions']) {
    for (const sub of readdirSync(join(directory, kind))) {
      for (const name of readdirSync(join(directory, kind, sub))) {
        const path = join(directory, kind, sub, name);
        const stat = lstatSync(path, { throwIfNoEntry: false });
        if (!stat) continue;
        // atime under relatime is a day coarse; that is fine enough for an order of days.
        if (!pinned.has(baseName(name)))
          files.push({ path, sizeBytes: stat.size, usedMs: Math.max(stat.atimeMs, stat.mtimeMs) });
        else limitBytes -= stat.size;
      }
    }
  }
  let keptBytes = files.reduce((sum, f) => sum + f.sizeBytes, 0);
  let removedBytes = 0;
  let removedFiles = 0;
  files.sort((a, b) => a.usedMs - b.usedMs);
  for (const file of files) {
    if (keptBytes <= limitBytes) break;
    rmSync(file.path, { force: true });
    keptBytes -= file.sizeBytes;
    removedBytes += file.sizeBytes;
    removedFiles++;
  }
  return { keptBytes, keptFiles: files.length - removedFiles, removedBytes, removedFiles };
}
