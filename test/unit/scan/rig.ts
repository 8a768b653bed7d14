// A directory of small files, scanned by us and listed by the real gcc.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FastScanner, type FastScannerOptions } from '../../../src/scan/fast-scanner.ts';
import { GccMScanner } from '../../../src/scan/gcc-m.ts';
import type { QueryRunner, ScanRequest, ScanResult } from '../../../src/scan/scanner.ts';

export const query: QueryRunner = (file, args, options) =>
  new Promise((done, fail) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { PATH: process.env['PATH'], ...Object.fromEntries(options.env) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.on('error', fail);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('close', (code) =>
      done({ code: code ?? 1, stdout: Buffer.concat(out), stderr: Buffer.concat(err) }),
    );
  });

export const gccM = new GccMScanner(query);

export interface Rig {
  readonly directory: string;
  /** Bytes of files, or { link } for symlinks; directories come by themselves. */
  write(files: Readonly<Record<string, string | Buffer | { readonly link: string }>>): void;
  request(source: string, flags?: readonly string[], more?: Partial<ScanRequest>): ScanRequest;
  remove(): void;
}

const LANGUAGES: Readonly<Record<string, string>> = {
  S: 'assembler-with-cpp',
  c: 'c',
  cc: 'c++',
  s: 'assembler',
};

export function makeRig(): Rig {
  const directory = mkdtempSync(join(tmpdir(), 'scan-'));
  return {
    directory,
    write(files) {
      for (const [name, content] of Object.entries(files)) {
        const path = join(directory, name);
        mkdirSync(dirname(path), { recursive: true });
        if (typeof content === 'object' && 'link' in content) symlinkSync(content.link, path);
        else writeFileSync(path, content);
      }
    },
    request: (source, flags = [], more = {}) => ({
      driver: '/usr/bin/gcc',
      toolchain: 'test',
      flags,
      language: LANGUAGES[source.slice(source.lastIndexOf('.') + 1)] ?? 'c',
      source,
      cwd: directory,
      env: new Map(),
      ...more,
    }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A fast scanner whose fallback only says that it was asked. */
export function makeScanner(options: Partial<FastScannerOptions> = {}): FastScanner {
  return new FastScanner({
    query,
    fallback: {
      scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
    },
    watch: false,
    ...options,
  });
}

/** What can be compared: the lists of -M and -MM, or that there are none. */
export function listing(result: ScanResult): unknown {
  if (result.kind !== 'found') return result.detail === 'handed over' ? 'handed over' : 'incomplete';
  return { all: result.files, own: result.files.filter((_, i) => !result.system[i]) };
}
