// `gg toolchain`: what a captured toolchain consists of.
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VROOT_LIBRARY } from '../../native/build.ts';
import { Spawner } from '../../native/spawner.ts';
import type { QueryRunner } from '../../scan/scanner.ts';
import { DigestCache } from '../../store/local/digest-cache.ts';
import { captureToolchain } from '../../toolchain/capture.ts';
import { Toolchains } from '../../toolchain/toolchain.ts';
import { CliError, EXIT } from '../../settings/exit.ts';
import { prepareNative } from '../../client/native.ts';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The tool a name on the search path or a path means. */
function findTool(name: string, searchPath: string): string {
  const candidates = name.includes('/')
    ? [resolve(name)]
    : searchPath.split(':').map((directory) => join(directory, name));
  const found = candidates.find(isProgram);
  if (found === undefined)
    throw new CliError(
      EXIT.config,
      `${name}: no such program`,
      'name a compiler or a binutils program, or its path',
    );
  return found;
}

/** @param tools names or paths; at least one */
export async function toolchain(tools: readonly string[], json: boolean): Promise<number> {
  const native = await prepareNative();
  const spawner = new Spawner(join(native.directory, 'gg-spawner'));
  const query: QueryRunner = async (file, args, options) => {
    const r = await spawner.run({
      file,
      argv: [file, ...args],
      cwd: options.cwd,
      env: [...options.env].map(([k, v]) => `${k}=${v}`),
    });
    return { code: r.startErrno !== 0 ? 127 : r.exitCode, stdout: r.stdout, stderr: r.stderr };
  };
  const digests = new DigestCache();
  const digestOf = (path: string) => digests.digest(path);
  const toolchains = new Toolchains(query, digestOf);
  const searchPath = (process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin')
    .split(':')
    .filter(
      (directory) => !isProgram(join(directory, 'gg-shim')) && !isProgram(join(directory, '..', 'gg-shim')),
    )
    .join(':');
  let code: number = EXIT.ok;
  try {
    for (const tool of tools) {
      const realTool = findTool(tool, searchPath);
      const captured = await captureToolchain(await toolchains.of(realTool, searchPath), {
        realTool,
        vroot: join(native.directory, VROOT_LIBRARY),
        digestOf,
        query,
      });
      if (captured.kind === 'unsupported') {
        code = EXIT.failed;
        if (json) print(JSON.stringify({ tool: realTool, ...captured }));
        else print(`${realTool}: runs on this machine only: ${captured.reason}: ${captured.detail}`);
        continue;
      }
      const { manifest, name, sizeBytes } = captured;
      const files = manifest.files.map(([path, blob]) => ({
        path,
        name: blob,
        sizeBytes: sizeAt(captured.pathByName.get(blob)),
      }));
      if (json) {
        print(
          JSON.stringify({
            tool: realTool,
            kind: captured.kind,
            digest: manifest.digest,
            name,
            sizeBytes,
            files,
            links: manifest.links,
          }),
        );
        continue;
      }
      print(`${realTool}`);
      for (const file of files) print(`${String(file.sizeBytes).padStart(12)}  ${file.path}`);
      for (const [path, target] of manifest.links) print(`${'link'.padStart(12)}  ${path} -> ${target}`);
      print(
        `${String(sizeBytes).padStart(12)}  bytes in ${files.length} files and ${manifest.links.length} symlinks`,
      );
      print(`digest ${manifest.digest}`);
      print(`manifest ${name}`);
    }
  } finally {
    await spawner.close();
  }
  return code;
}

function sizeAt(path: string | undefined): number {
  return path === undefined ? 0 : statSync(path).size;
}
