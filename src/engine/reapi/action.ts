// A thunk as an action of the Remote Execution API: its input root, its command, and what the command must leave.
//
// Everything a run can read is in the action's digest: the tree, the words of the command, and its variables, which travel as words of the starter
// so that whatever a worker's own environment holds is left out. The working directory of the Command is always the root; the starter enters the
// tool's own. So all servers read output paths and argv[0] alike.
import { create, toBinary } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import { type Blob, type BlobId, blobId, digestOf } from '../../reapi/cas.ts';
import {
  ActionSchema,
  CommandSchema,
  type Platform,
  Platform_PropertySchema,
  PlatformSchema,
} from '../../reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import { parseRef } from '../../ir/name.ts';
import { encodeThunk } from '../../ir/thunk.ts';
import { foreignInput } from '../../worker/run/checks.ts';
import {
  absolute,
  checkItem,
  commandOf,
  environmentOf,
  mtimeClasses,
  Refused,
  scratchOf,
  spelled,
} from '../../worker/run/layout.ts';
import type { WorkItem } from '../../worker/messages.ts';
import type { ToolchainManifest } from '../../toolchain/manifest.ts';
import type { ForceJob } from '../engine.ts';
import { classOf, TIMEOUT_MS } from '../thunk-class.ts';
import { type EncodedDirectory, InputRoot } from './input-root.ts';

const START_PATH = '/.gg/start';
export const LOG_OUTPUT = '.gg/log';
/** Words of commandOf before the tool's name: the loader's own. */
const LOADER_WORDS = 6;

/** A captured toolchain, or the part of it that a kind of call needs, and where its files are here. */
export interface ReapiToolchain {
  readonly manifest: ToolchainManifest;
  readonly pathByName: ReadonlyMap<string, string>;
}

export interface Starter {
  readonly id: BlobId;
  readonly absPath: string;
}

export interface ActionParts {
  readonly toolchain: ReapiToolchain;
  readonly starter: Starter;
  readonly platform: readonly (readonly [name: string, value: string])[];
  /** The file with an input's value, for what must be looked into. */
  readonly pathOf: (name: string) => string | undefined;
}

export interface BuiltAction {
  readonly id: BlobId;
  readonly item: WorkItem;
  readonly manifest: ToolchainManifest;
  readonly root: InputRoot;
  /** Root-relative path of each output, by tag. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Everything the server must have before it can run. */
  readonly blobs: () => Iterable<Blob>;
}

export const valueId = (name: string): BlobId => {
  const { hash, sizeBytes } = parseRef(name)!;
  return { hash, sizeBytes };
};

/** Toolchains' trees; one for each part of each compiler of a build. */
const TREES_MAX = 64;

export class Actions {
  readonly #trees = new Map<string, InputRoot>();

  /** @throws Refused or InputRootError: the thunk cannot be run there */
  build(job: ForceJob, parts: ActionParts): BuiltAction {
    const { thunk, placement } = job;
    const { manifest } = parts.toolchain;
    const item: WorkItem = {
      name: job.name,
      thunk: encodeThunk(thunk).bytes.toString('utf8'),
      realTool: placement.realTool,
      cwd: placement.cwd,
      pwd: placement.pwd,
      searchPath: placement.searchPath,
    };
    checkItem(item, manifest);
    if (mtimeClasses(thunk).size > 0) throw new Refused('inputs whose times count');
    const bitcode = foreignInput(thunk, (input) => {
      const path = parts.pathOf(input.name);
      if (path === undefined) throw new Refused(`${input.path} is gone`);
      return path;
    });
    if (bitcode !== undefined)
      throw new Refused(`${bitcode}: LLVM bitcode needs a plugin that is not captured`);
    const root = new InputRoot(this.#tree(parts));
    root.directory(item.cwd);
    for (const path of scratchOf(thunk)) root.directory(path);
    const rewritten = new Set(
      thunk.outputs.flatMap((o) => (o.from === undefined ? [] : absolute(item, o.path))),
    );
    for (const input of thunk.inputs)
      if (!rewritten.has(absolute(item, input.path)))
        root.file(spelled(item, input.path), valueId(input.name), false);
    // The directories in which names were looked up in vain: without them the tool would not look there at all.
    const absent = new Set(thunk.absent.map((path) => absolute(item, path)));
    for (const path of absent) {
      const directory = path.slice(0, path.lastIndexOf('/'));
      if (directory !== '' && !absent.has(directory)) tryDirectory(root, directory);
    }
    const own: string[] = [];
    const outputs = new Map<string, string>();
    for (const output of thunk.outputs) {
      const from = output.from === undefined ? undefined : thunk.inputs.find((i) => i.path === output.from);
      const at = root.output(spelled(item, output.path), from && valueId(from.name));
      if (from) own.push(at);
      outputs.set(output.tag, at.slice(1));
    }
    return this.#finish(job, { item, root, own, outputs }, parts);
  }

  #finish(
    job: ForceJob,
    laid: {
      readonly item: WorkItem;
      readonly root: InputRoot;
      readonly own: readonly string[];
      readonly outputs: ReadonlyMap<string, string>;
    },
    parts: ActionParts,
  ): BuiltAction {
    const { item, root, own, outputs } = laid;
    const { manifest } = parts.toolchain;
    const { GG_VROOT_LOG: _log, LOCPATH: locales, ...env } = environmentOf('', '', manifest, item, job.thunk);
    const words = commandOf('', manifest, item, job.thunk);
    const option = (name: string, values: readonly string[]): string[] => values.flatMap((v) => [name, v]);
    const platform = platformOf(parts.platform);
    const command = toBinary(
      CommandSchema,
      create(CommandSchema, {
        arguments: [
          START_PATH.slice(1),
          ...option('-c', [item.cwd]),
          ...option('-l', [manifest.loader]),
          ...option('-p', [manifest.libraryPath.join(':')]),
          ...option('-L', locales === undefined ? [] : [locales]),
          ...option('-m', scratchOf(job.thunk)),
          ...option('-w', own),
          ...option(
            '-e',
            Object.entries(env).map(([name, value]) => `${name}=${value}`),
          ),
          '--',
          ...words.args.slice(LOADER_WORDS),
        ],
        outputPaths: [LOG_OUTPUT, ...outputs.values()].sort(),
        ...(platform ? { platform } : {}),
      }),
    );
    const tree = root.encode();
    const commandId = blobId(command);
    const action = toBinary(
      ActionSchema,
      create(ActionSchema, {
        commandDigest: digestOf(commandId),
        inputRootDigest: digestOf(tree.id),
        timeout: create(DurationSchema, { seconds: BigInt(TIMEOUT_MS[classOf(job)] / 1000) }),
        ...(platform ? { platform } : {}),
      }),
    );
    const id = blobId(action);
    return {
      id,
      item,
      manifest,
      root,
      outputs,
      blobs: () =>
        blobsOf(
          job,
          parts,
          [
            [id, action],
            [commandId, command],
          ],
          tree,
        ),
    };
  }

  /** The tree of a toolchain, with our starter in it. */
  #tree({ toolchain, starter }: ActionParts): InputRoot {
    const { manifest } = toolchain;
    const key = `${manifest.digest} ${manifest.files.length} ${manifest.omitted.join(' ')}`;
    let tree = this.#trees.get(key);
    if (!tree) {
      tree = new InputRoot();
      for (const [path, target] of manifest.links) tree.link(path, target);
      for (const [path, name, mode] of manifest.files) tree.file(path, valueId(name), (mode & 0o100) !== 0);
      tree.file(START_PATH, starter.id, true);
      tree.directory('/tmp');
      tree.encode();
      if (this.#trees.size >= TREES_MAX) this.#trees.clear();
      this.#trees.set(key, tree);
    }
    return tree;
  }
}

/** Not where a file stands in the way: then the lookup fails there as it did. */
function tryDirectory(root: InputRoot, directory: string): void {
  for (let at = directory; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) if (root.isFile(at)) return;
  root.directory(directory);
}

function platformOf(properties: ActionParts['platform']): Platform | undefined {
  if (properties.length === 0) return undefined;
  const byName = [...properties].sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1));
  return create(PlatformSchema, {
    properties: byName.map(([name, value]) => create(Platform_PropertySchema, { name, value })),
  });
}

function* blobsOf(
  { thunk, placement }: ForceJob,
  { toolchain, starter, pathOf }: ActionParts,
  messages: readonly (readonly [BlobId, Uint8Array])[],
  tree: EncodedDirectory,
): Generator<Blob, void, undefined> {
  for (const [id, bytes] of messages) yield { id, source: () => bytes };
  yield { id: starter.id, source: () => ({ absPath: starter.absPath }) };
  for (const [, name] of toolchain.manifest.files)
    yield {
      id: valueId(name),
      source: () => {
        const absPath = toolchain.pathByName.get(name);
        return absPath === undefined ? undefined : { absPath };
      },
    };
  for (const input of thunk.inputs)
    yield {
      id: valueId(input.name),
      source: () => ({
        absPath:
          pathOf(input.name) ?? (input.path.startsWith('/') ? input.path : `${placement.cwd}/${input.path}`),
      }),
    };
  const stack: EncodedDirectory[] = [tree];
  const seen = new Set<string>();
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (seen.has(at.id.hash)) continue;
    seen.add(at.id.hash);
    const { id, bytes } = at;
    yield { id, source: () => bytes };
    stack.push(...at.below);
  }
}
