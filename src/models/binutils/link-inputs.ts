// Which files ld will read for an argument vector: objects, archives, libraries found as ld finds them, what linker scripts
// name, scripts and lists, and the libraries that shared libraries need.
import { normalize } from 'node:path';
import { type Bypass, bypass, type ModelContext } from '../model.ts';
import { readDynamic } from './elf.ts';
import { parseLd } from './ld-parse.ts';
import { mayNameFiles, parseLibraryScript } from './linker-script.ts';
import { linkReadsForAssembler } from './lto.ts';

export interface LinkRequest {
  /** Absolute path of the real linker. */
  readonly ld: string;
  /** Its argv without [0]. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: ReadonlyMap<string, string>;
  /** File arguments that are no files of ours: objects the driver will make up. */
  readonly skip: ReadonlySet<string>;
  /** The driver's own plugin, which belongs to its toolchain; no other one is followed. */
  readonly plugin?: string;
  /** Link-time optimization is asked for. */
  readonly lto?: boolean;
}

export interface LinkInputs {
  readonly kind: 'inputs';
  /** As ld spells them, each once, in order. */
  readonly inputs: readonly string[];
  /** Looked up in vain, earlier on the search path. */
  readonly absent: readonly string[];
}

/** Shared libraries are read whole for their dynamic section; larger ones are not looked into. */
const LIBRARY_BYTES_MAX = 256 * 1024 * 1024;
const CONF = '/etc/ld.so.conf';

export async function resolveLink(request: LinkRequest, context: ModelContext): Promise<LinkInputs | Bypass> {
  const command = parseLd(request.args);
  if (command.kind === 'refused') return bypass(command.reason, command.detail, 'all');
  const foreign =
    command.plugins.find((plugin) => plugin !== request.plugin) ??
    (request.plugin === undefined ? command.pluginOptions[0] : undefined);
  if (foreign !== undefined) return bypass('too-hard-flag', `-plugin ${foreign}`, 'all');
  const query = ['--verbose', ...(command.emulation === undefined ? [] : ['-m', command.emulation])];
  const verbose = await context.query(request.ld, query);
  const defaults = [...verbose.stdout.matchAll(/SEARCH_DIR\("([^"]*)"\)/g)].map((m) => m[1]!);
  const rooted = (dir: string): string =>
    dir.startsWith('=')
      ? command.sysroot + dir.slice(1)
      : dir.startsWith('$SYSROOT')
        ? command.sysroot + dir.slice(8)
        : dir;
  const walk = new Walk(request, context, [...command.directories, ...defaults].map(rooted), command.sysroot);
  for (const input of command.inputs) {
    if (input.kind === 'file') {
      if (!request.skip.has(input.path)) walk.file(input.path, input.static);
    } else walk.library(input.name, input.static);
    if (walk.problem) return walk.problem;
  }
  for (const file of command.files) walk.listed(file);
  if (walk.problem) return walk.problem;
  walk.needed(command.rpathLinks, command.rpaths);
  return { kind: 'inputs', inputs: [...walk.inputs], absent: [...walk.absent] };
}

class Walk {
  readonly inputs = new Set<string>();
  readonly absent = new Set<string>();
  problem: Bypass | undefined;
  readonly #request: LinkRequest;
  readonly #context: ModelContext;
  readonly #directories: string[];
  readonly #sysroot: string;
  readonly #shared: { path: string; needed: readonly string[]; runpath: readonly string[] }[] = [];
  readonly #sonames = new Set<string>();
  readonly #inside = new Set<string>();

  constructor(request: LinkRequest, context: ModelContext, directories: readonly string[], sysroot: string) {
    this.#sysroot = sysroot;
    this.#request = request;
    this.#context = context;
    this.#directories = [...directories];
  }

  #absolute(path: string): string {
    return path.startsWith('/') ? path : `${this.#request.cwd}/${path}`;
  }

  #isFile(path: string): boolean {
    return this.#context.stat(this.#absolute(path))?.kind === 'file';
  }

  #refuse(reason: Bypass['reason'], detail: string): void {
    this.problem ??= bypass(reason, detail, 'all');
  }

  /** A script or list named by an option: read, not linked. */
  listed(path: string): void {
    if (this.#isFile(path)) {
      if (this.#context.isPlaceholder(this.#absolute(path))) return this.#refuse('odd-linker-script', path);
      const text = this.#context.read(this.#absolute(path))?.toString('latin1');
      if (text === undefined) return this.#refuse('unreadable-input', path);
      if (mayNameFiles(text)) return this.#refuse('odd-linker-script', path);
      this.inputs.add(path);
      return;
    }
    const found = this.#directories.map((d) => `${d}/${path}`).find((p) => this.#isFile(p));
    if (found === undefined) return this.#refuse('missing-input', path);
    this.listed(found);
  }

  file(path: string, onlyStatic: boolean): void {
    if (this.inputs.has(path)) return;
    if (!this.#isFile(path)) return this.#refuse('missing-input', path);
    this.inputs.add(path);
    this.#look(path, onlyStatic);
  }

  library(name: string, onlyStatic: boolean): void {
    const candidates = name.startsWith(':')
      ? [name.slice(1)]
      : onlyStatic
        ? [`lib${name}.a`]
        : [`lib${name}.so`, `lib${name}.a`];
    for (const directory of this.#directories) {
      for (const candidate of candidates) {
        const path = `${directory}/${candidate}`;
        if (this.#isFile(path)) {
          if (this.inputs.has(path)) return;
          this.inputs.add(path);
          return this.#look(path, onlyStatic);
        }
        this.absent.add(path);
      }
    }
    this.#refuse('library-not-found', `-l${name}`);
  }

  /** Follows what a file brings with it; a script's libraries are searched as the one that is it. */
  #look(path: string, onlyStatic: boolean): void {
    const absPath = this.#absolute(path);
    if (this.#context.isPlaceholder(absPath)) {
      for (const input of this.#context.placeholderInputs(absPath)) {
        if (/\.so(?:\.|$)/.test(input) && this.#isFile(input) && !this.inputs.has(input)) {
          this.inputs.add(input);
          this.#look(input, false);
        } else if (this.#request.lto === true) this.#within(this.#absolute(input));
      }
      return;
    }
    const bytes = this.#context.read(absPath, LIBRARY_BYTES_MAX);
    if (!bytes) return this.#refuse('unreadable-input', path);
    const magic = bytes.toString('latin1', 0, 8);
    if (linkReadsForAssembler(bytes))
      return this.#refuse('scan-incomplete', `${path}: its assembler code may read files when it is linked`);
    if (magic === '!<arch>\n') return;
    if (magic === '!<thin>\n') return this.#refuse('thin-archive', path);
    if (magic.startsWith('\x7fELF')) {
      const info = readDynamic(bytes);
      if (!info) return;
      this.#sonames.add(info.soname ?? path.slice(path.lastIndexOf('/') + 1));
      this.#shared.push({ path, needed: info.needed, runpath: info.runpath });
      return;
    }
    if (magic.startsWith('BC\xc0\xde')) return;
    const script = bytes.length < 65_536 ? parseLibraryScript(bytes.toString('latin1')) : undefined;
    if (!script) return this.#refuse('odd-linker-script', path);
    this.#directories.push(...script.searchDirectories);
    for (const item of script.items) {
      if (item.kind === 'library') this.library(item.name, onlyStatic);
      else this.#named(item.name, path, onlyStatic);
    }
  }

  /** A file that a script names: below the script's sysroot, beside the script, here, or on the search path. */
  #named(name: string, script: string, onlyStatic: boolean): void {
    if (name.startsWith('/')) {
      const root = normalize(`${this.#absolute(this.#sysroot)}/`);
      const rooted = this.#sysroot !== '' && normalize(this.#absolute(script)).startsWith(root);
      return this.file(rooted ? this.#sysroot + name : name, onlyStatic);
    }
    const beside = script.includes('/') ? `${script.slice(0, script.lastIndexOf('/'))}/${name}` : name;
    const near = [...new Set([beside, name])].filter((p) => this.#isFile(p));
    // Linkers differ in which of the two comes first.
    if (near.length > 1) return this.#refuse('odd-linker-script', `${name}, named by ${script}`);
    if (near[0] !== name) this.absent.add(name);
    if (near[0] !== beside) this.absent.add(beside);
    if (near[0] !== undefined) return this.file(near[0], onlyStatic);
    for (const directory of this.#directories) {
      const path = `${directory}/${name}`;
      if (this.#isFile(path)) return this.file(path, onlyStatic);
      this.absent.add(path);
    }
    this.#refuse('missing-input', `${name}, named by ${script}`);
  }

  /** Real objects in what is not built yet. */
  #within(absPath: string): void {
    if (!/\.l?[oa]$/.test(absPath) || this.#inside.has(absPath)) return;
    this.#inside.add(absPath);
    if (this.#context.isPlaceholder(absPath)) {
      for (const input of this.#context.placeholderInputs(absPath)) this.#within(input);
      return;
    }
    const bytes = this.#context.read(absPath, LIBRARY_BYTES_MAX);
    if (bytes && linkReadsForAssembler(bytes)) this.#refuse('scan-incomplete', absPath);
  }

  /** Libraries needed by libraries, searched as ld does; one that is not found is only a warning there. */
  needed(rpathLinks: readonly string[], rpaths: readonly string[]): void {
    const env = this.#request.env;
    const listOf = (name: string): string[] => (env.get(name) ?? '').split(':').filter((d) => d !== '');
    const before = [
      ...rpathLinks,
      ...rpaths,
      ...(rpaths.length === 0 ? listOf('LD_RUN_PATH') : []),
      ...listOf('LD_LIBRARY_PATH'),
    ];
    const after = ['/lib', '/usr/lib', ...this.#configured(CONF, 0), ...this.#directories];
    for (let i = 0; i < this.#shared.length; i++) {
      const library = this.#shared[i]!;
      const origin = library.path.slice(0, Math.max(0, library.path.lastIndexOf('/')));
      const own = library.runpath.map((d) => d.replace(/\$\{?ORIGIN\}?/g, origin));
      for (const soname of library.needed) {
        if (this.#sonames.has(soname)) continue;
        this.#sonames.add(soname);
        for (const directory of [...before, ...own, ...after]) {
          const path = `${directory}/${soname}`;
          if (!this.#isFile(path)) continue;
          if (!this.inputs.has(path)) {
            this.inputs.add(path);
            this.#look(path, false);
          }
          break;
        }
      }
    }
  }

  #configured(file: string, depth: number): string[] {
    const text = depth > 4 ? undefined : this.#context.read(file)?.toString('utf8');
    const directories: string[] = [];
    for (const raw of (text ?? '').split('\n')) {
      const line = raw.replace(/#.*/, '').trim();
      const pattern = /^include\s+(\S+)$/.exec(line)?.[1];
      if (pattern !== undefined) {
        const path = pattern.startsWith('/') ? pattern : `${file.slice(0, file.lastIndexOf('/'))}/${pattern}`;
        const directory = path.slice(0, path.lastIndexOf('/'));
        const wanted = globOf(path.slice(directory.length + 1));
        for (const name of this.#context.entries(directory))
          if (wanted.test(name)) directories.push(...this.#configured(`${directory}/${name}`, depth + 1));
      } else if (line.startsWith('/')) directories.push(line);
    }
    return directories;
  }
}

/** A file name's pattern with * and ?; a name with a leading dot is not meant. */
function globOf(pattern: string): RegExp {
  const text = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^(?!\\.)${text}$`);
}
