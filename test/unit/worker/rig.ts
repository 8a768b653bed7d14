// Requests to runItems over directories, with a toolchain captured once.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nameValue, type ObjectName } from '../../../src/ir/name.ts';
import { encodeThunk, type Thunk } from '../../../src/ir/thunk.ts';
import type { QueryRunner } from '../../../src/scan/scanner.ts';
import { DigestCache } from '../../../src/store/local/digest-cache.ts';
import { type Captured, captureToolchain } from '../../../src/toolchain/capture.ts';
import { Toolchains } from '../../../src/toolchain/toolchain.ts';
import { BlobError } from '../../../src/worker/blobs/blobs.ts';
import {
  WORKER_PROTOCOL,
  type WorkDone,
  type WorkFailed,
  type WorkItem,
  type WorkRequest,
} from '../../../src/worker/messages.ts';
import { runItems } from '../../../src/worker/run/run-items.ts';

export const PATH = '/usr/bin:/bin';
const VROOT_SOURCE = fileURLToPath(new URL('../../../wrappers/vroot.c', import.meta.url));

export const query: QueryRunner = async (file, args, options) => {
  const r = spawnSync(file, [...args], { cwd: options.cwd, env: Object.fromEntries(options.env) });
  const nothing = Buffer.alloc(0);
  return { code: r.status ?? 127, stdout: r.stdout ?? nothing, stderr: r.stderr ?? nothing };
};

export class WorkerRig {
  readonly home = realpathSync(mkdtempSync(join(tmpdir(), 'gg-worker-')));
  readonly directory = join(this.home, 'worker');
  readonly remote = join(this.home, 'remote');
  readonly vroot = join(this.home, 'vroot.so');
  readonly digests = new DigestCache();
  readonly #captured = new Map<string, Promise<Captured>>();

  constructor() {
    mkdirSync(this.remote);
    const made = spawnSync('gcc', [
      '-std=gnu11',
      '-O2',
      '-shared',
      '-fPIC',
      '-o',
      this.vroot,
      VROOT_SOURCE,
      '-ldl',
    ]);
    if (made.status !== 0) throw new Error(made.stderr.toString());
  }

  close(): void {
    rmSync(this.home, { recursive: true, force: true });
  }

  captured(realTool = '/usr/bin/gcc'): Promise<Captured> {
    const known = this.#captured.get(realTool);
    if (known) return known;
    const captured = (async () => {
      const digestOf = (path: string) => this.digests.digest(path);
      const toolchain = await new Toolchains(query, digestOf).of(realTool, PATH);
      const captured = await captureToolchain(toolchain, {
        realTool,
        vroot: this.vroot,
        digestOf,
        query,
      });
      if (captured.kind === 'unsupported') throw new Error(`${captured.reason}: ${captured.detail}`);
      for (const [name, path] of captured.pathByName) copyFileSync(path, join(this.remote, name));
      writeFileSync(join(this.remote, captured.name), captured.bytes);
      return captured;
    })();
    this.#captured.set(realTool, captured);
    return captured;
  }

  put(text: string): ObjectName {
    const name = nameValue(Buffer.from(text));
    writeFileSync(join(this.remote, name), text);
    return name;
  }

  /** A thunk of gcc in /w, with its inputs' texts. */
  async item(
    args: Thunk['args'],
    inputs: Readonly<Record<string, string>>,
    more: Partial<Thunk> = {},
    moreItem: Partial<WorkItem> = {},
  ): Promise<WorkItem> {
    const { manifest } = await this.captured();
    const { name, bytes } = encodeThunk({
      tool: 'gcc',
      toolchain: manifest.digest,
      args,
      env: [],
      cwd: '',
      inputs: Object.entries(inputs).map(([path, text]) => ({ path, name: this.put(text) })),
      absent: [],
      outputs: [{ tag: 'out', path: 'a.o' }],
      salt: [],
      ...more,
    });
    return {
      name,
      thunk: bytes.toString(),
      realTool: '/usr/bin/gcc',
      cwd: '/w',
      pwd: '/w',
      searchPath: PATH,
      ...moreItem,
    };
  }

  async run(
    items: readonly WorkItem[],
    more: Partial<WorkRequest> & { readonly signal?: AbortSignal } = {},
  ): Promise<readonly (WorkDone | WorkFailed)[]> {
    const { name } = await this.captured();
    const { signal = new AbortController().signal, ...fields } = more;
    return runItems(
      {
        protocol: WORKER_PROTOCOL,
        id: 'test',
        toolchain: name,
        remote: { kind: 'redis', url: 'none', prefix: '' },
        items,
        inline: {},
        inlineBytesMax: 1 << 20,
        timeoutMs: 60_000,
        ...fields,
      },
      {
        directory: this.directory,
        signal,
        fetcher: {
          fetch: async (blob, absPath) => {
            try {
              copyFileSync(join(this.remote, blob), absPath);
            } catch (error) {
              throw new BlobError('missing-blob', `${blob}: ${(error as Error).message}`);
            }
          },
        },
        sink: {
          put: async (blob, absPath) => {
            copyFileSync(absPath, join(this.remote, blob));
          },
        },
      },
    );
  }

  /** Files in the worker's directory that neither its cache nor the toolchain in its roots accounts for. */
  async leftovers(): Promise<string[]> {
    const manifests = (await Promise.all(this.#captured.values())).map((c) => c.manifest);
    const own = new Set(manifests.flatMap((m) => [...m.files, ...m.links].map(([path]) => path)));
    return spawnSync('find', [this.directory, '!', '-type', 'd'], { encoding: 'utf8' })
      .stdout.split('\n')
      .map((path) => path.slice(this.directory.length))
      .filter((path) => path !== '' && !path.startsWith('/blobs/'))
      .filter((path) => !own.has(path.replace(/^\/slot-\d+-\d+\/root/, '')));
  }
}
