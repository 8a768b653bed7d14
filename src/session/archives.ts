// Archives that some program made out of placeholders (CMake calls /usr/bin/ar by its full name, and so the shim never saw
// it). Healing puts the real members in their place and has the real ranlib write the index anew, which gives the bytes
// the archiver would have made of the real members.
//
// Format: "!<arch>\n", then members: 60 bytes head (name 16, date 12, uid 6, gid 6, mode 8, size 10, "`\n"), the bytes, "\n"
// to an even length. Source: ar(5).
import { chmodSync, closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import type { ProcessRunner } from '../base/process-runner.ts';
import { type ForceNode, outputOf } from '../force/node.ts';
import { baseName, type ObjectRef, tagOf } from '../ir/name.ts';
import { mayBePlaceholder, readPlaceholder, SIZE_BY_FORM } from '../ir/placeholder.ts';
import { readHead } from '../base/head.ts';
import type { LocalStore } from '../store/local/local.ts';
import { tryStat, tryStatNs } from '../base/stat.ts';
import { ESTALE, type Placer } from '../tree/write-back.ts';
import type { Forcer } from './forcer.ts';

const MAGIC = '!<arch>\n';
const HEAD_BYTES = 60;

interface Member {
  readonly headAt: number;
  readonly dataAt: number;
  readonly sizeBytes: number;
  readonly name: string;
}

/** Members in order; undefined when this is no well-formed archive. */
export function readMembers(archive: Buffer): Member[] | undefined {
  if (archive.toString('latin1', 0, 8) !== MAGIC) return undefined;
  const members: Member[] = [];
  let at = 8;
  while (at + HEAD_BYTES <= archive.length) {
    if (archive.toString('latin1', at + 58, at + 60) !== '`\n') return undefined;
    const sizeBytes = Number(archive.toString('latin1', at + 48, at + 58).trim());
    const dataAt = at + HEAD_BYTES;
    if (!Number.isInteger(sizeBytes) || dataAt + sizeBytes > archive.length) return undefined;
    members.push({ headAt: at, dataAt, sizeBytes, name: archive.toString('latin1', at, at + 16).trimEnd() });
    at = dataAt + sizeBytes + (sizeBytes & 1);
  }
  return members;
}

/** References of placeholders inside an archive; empty for a clean one. Reads heads only. */
export function placeholdersInArchive(absPath: string): ObjectRef[] {
  const head = readHead(absPath, 8);
  if (head?.toString('latin1') !== MAGIC) return [];
  const sizeBytes = tryStat(absPath)?.size ?? 0;
  if (mayBePlaceholder(sizeBytes)) {
    const whole = readHead(absPath, 512);
    if (whole && readPlaceholder(whole)) return [];
  }
  const refs: ObjectRef[] = [];
  const fd = openSync(absPath, 'r');
  try {
    const bytes = Buffer.alloc(HEAD_BYTES + 512);
    let at = 8;
    while (at + HEAD_BYTES <= sizeBytes) {
      const n = readSync(fd, bytes, 0, bytes.length, at);
      if (n < HEAD_BYTES || bytes.toString('latin1', 58, 60) !== '`\n') break;
      const memberBytes = Number(bytes.toString('latin1', 48, 58).trim());
      if (!Number.isInteger(memberBytes)) break;
      if (memberBytes === SIZE_BY_FORM.object) {
        const ref = readPlaceholder(bytes.subarray(HEAD_BYTES, n));
        if (ref) refs.push(ref);
      }
      at += HEAD_BYTES + memberBytes + (memberBytes & 1);
    }
  } finally {
    closeSync(fd);
  }
  return refs;
}

export interface HealParts {
  readonly forcer: Forcer;
  readonly store: LocalStore;
  readonly runner: ProcessRunner;
  readonly place: Placer;
  /** Absolute path of the real ranlib. */
  readonly ranlib: string;
}

/** Times an archive may be replaced while it is healed. */
const ROUNDS_MAX = 5;

/** @returns true when the archive holds no placeholder any more. */
export async function healArchive(absPath: string, owner: string, parts: HealParts): Promise<boolean> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const refs = placeholdersInArchive(absPath);
    if (refs.length === 0) return true;
    const nodes = await Promise.all(refs.map((ref) => parts.forcer.reductor.force(baseName(ref), owner)));
    if (nodes.some((n) => n.state !== 'done')) return false;
    // One writer a path: a placeholder that takes the archive's place is not to be overwritten.
    const healed = await parts.forcer.withPath(absPath, () => replaceMembers(absPath, refs, nodes, parts));
    if (healed !== 'replaced') return healed === 'done';
  }
  return false;
}

/** @returns 'replaced': another archive stands there by now. */
async function replaceMembers(
  absPath: string,
  refs: readonly ObjectRef[],
  nodes: readonly ForceNode[],
  parts: HealParts,
): Promise<'done' | 'failed' | 'replaced'> {
  const stat = tryStatNs(absPath);
  if (!stat) return 'replaced';
  const archive = readFileSync(absPath);
  if (placeholdersInArchive(absPath).join() !== refs.join()) return 'replaced';
  const members = readMembers(archive);
  if (!members) return 'failed';
  const pieces: Buffer[] = [Buffer.from(MAGIC, 'latin1')];
  let index: 'none' | 'zero-date' | 'dated' = 'none';
  for (const member of members) {
    if (member.name === '/' || member.name === '/SYM64/') {
      index =
        archive.toString('latin1', member.headAt + 16, member.headAt + 28).trim() === '0'
          ? 'zero-date'
          : 'dated';
      continue;
    }
    const head = Buffer.from(archive.subarray(member.headAt, member.dataAt));
    let data: Buffer = archive.subarray(member.dataAt, member.dataAt + member.sizeBytes);
    const ref = member.sizeBytes === SIZE_BY_FORM.object ? readPlaceholder(data) : undefined;
    if (ref) {
      const value = outputOf(nodes[refs.indexOf(ref)], tagOf(ref));
      const real = value === undefined ? undefined : parts.store.get(value);
      if (!real) return 'failed';
      data = real;
      head.write(String(real.length).padEnd(10), 48, 'latin1');
    }
    pieces.push(head, data);
    if (data.length & 1) pieces.push(Buffer.from('\n'));
  }
  const temporary = parts.store.temporary();
  try {
    writeFileSync(temporary, Buffer.concat(pieces));
    chmodSync(temporary, 0o600);
    if (index !== 'none') {
      const r = await parts.runner.run({
        file: parts.ranlib,
        argv: ['ranlib', index === 'zero-date' ? '-D' : '-U', temporary],
        cwd: '/',
        env: ['LC_ALL=C'],
      });
      if (r.startErrno !== 0 || r.exitCode !== 0) return 'failed';
    }
    const errno = await parts.place({
      source: temporary,
      dest: absPath,
      mode: Number(stat.mode) & 0o7777,
      mtimeNs: stat.mtimeNs,
      sameInode: stat.nlink > 1n,
      inode: stat.ino,
    });
    return errno === 0 ? 'done' : errno === ESTALE ? 'replaced' : 'failed';
  } finally {
    rmSync(temporary, { force: true });
  }
}
