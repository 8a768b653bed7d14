// The tree that an action finds below its root, as Directory messages. Unchanged directories are shared: a toolchain is a tree that is encoded
// once, and each thunk's tree lies over it. Names are resolved here, symlinks and ".." included, as on our own workers (worker/run/root.ts).
import { create, toBinary } from '@bufbuild/protobuf';
import type { LaidOut } from '../../worker/run/checks.ts';
import { HOPS_MAX, linkText, pathParts } from '../../worker/run/link-text.ts';
import { type BlobId, blobId, digestOf } from '../../reapi/cas.ts';
import {
  DirectoryNodeSchema,
  DirectorySchema,
  FileNodeSchema,
  SymlinkNodeSchema,
} from '../../reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';

export class InputRootError extends Error {
  override readonly name = 'InputRootError';
}

interface FileEntry {
  readonly id: BlobId;
  readonly executable: boolean;
}

/** A directory's message and what it is called by. */
export interface EncodedDirectory {
  readonly id: BlobId;
  readonly bytes: Uint8Array;
  readonly below: readonly EncodedDirectory[];
}

interface Node {
  /** The tree that may change it; another one makes a copy first. */
  owner: InputRoot;
  readonly files: Map<string, FileEntry>;
  readonly directories: Map<string, Node>;
  readonly links: Map<string, { readonly target: string; readonly text: string }>;
  encoded: EncodedDirectory | undefined;
}

const newNode = (owner: InputRoot): Node => ({
  owner,
  files: new Map(),
  directories: new Map(),
  links: new Map(),
  encoded: undefined,
});

export class InputRoot implements LaidOut {
  #top: Node;

  /** @param base a tree that stays as it is; this one begins as the same */
  constructor(base?: InputRoot) {
    this.#top = base ? base.#top : newNode(this);
  }

  /** The canonical parts of a name; the last part's symlink is followed too. */
  #resolve(path: string): string[] {
    const rest = pathParts(path);
    const at: string[] = [];
    let hops = 0;
    while (rest.length > 0) {
      const part = rest.shift()!;
      if (part === '..') {
        at.pop();
        continue;
      }
      const link = this.#node(at)?.links.get(part);
      if (!link) {
        at.push(part);
        continue;
      }
      if (++hops > HOPS_MAX) throw new InputRootError(`${path}: too many symlinks`);
      rest.unshift(...pathParts(link.target));
      if (link.target.startsWith('/')) at.length = 0;
    }
    return at;
  }

  #node(at: readonly string[]): Node | undefined {
    let node: Node | undefined = this.#top;
    for (const part of at) {
      node = node.directories.get(part);
      if (!node) return undefined;
    }
    return node;
  }

  /** The node there, made where it is missing, and of this tree alone. */
  #own(at: readonly string[]): Node {
    const mine = (node: Node): Node => {
      if (node.owner === this) {
        node.encoded = undefined;
        return node;
      }
      return {
        owner: this,
        files: new Map(node.files),
        directories: new Map(node.directories),
        links: new Map(node.links),
        encoded: undefined,
      };
    };
    this.#top = mine(this.#top);
    let node = this.#top;
    for (const part of at) {
      if (node.files.has(part)) throw new InputRootError(`/${at.join('/')}: a file is in the way`);
      const next = node.directories.get(part);
      const own = next ? mine(next) : newNode(this);
      node.directories.set(part, own);
      node = own;
    }
    return node;
  }

  directory(path: string): void {
    const at = this.#resolve(path);
    if (!this.#node(at)) this.#own(at);
  }

  /** `path` is canonical but for its last part. */
  link(path: string, target: string): void {
    const name = pathParts(path).at(-1)!;
    const at = this.#resolve(path.slice(0, path.lastIndexOf('/')) || '/');
    this.#own(at).links.set(name, { target, text: linkText(target, at.length) });
  }

  /** @throws InputRootError when something else is there */
  file(path: string, id: BlobId, executable: boolean): void {
    const at = this.#resolve(path);
    const name = at.pop();
    if (name === undefined) throw new InputRootError(`${path} is the root`);
    const there = this.#node(at);
    const known = there?.files.get(name);
    // An input that the toolchain has too keeps the toolchain's bit: libc.so names the loader.
    if (known?.id.hash === id.hash) return;
    if (known) throw new InputRootError(`${path} is two different files`);
    if (there?.directories.has(name)) throw new InputRootError(`${path} is a file and a directory`);
    this.#own(at).files.set(name, { id, executable });
  }

  /**
   * Makes room for an output, with an input in its place where given.
   * @returns its canonical name
   */
  output(path: string, from: BlobId | undefined): string {
    const at = this.#resolve(path);
    const name = at.pop();
    const there = this.#node(at);
    if (name === undefined || there?.directories.has(name))
      throw new InputRootError(`${path} is a directory`);
    if (from) this.#own(at).files.set(name, { id: from, executable: true });
    else if (there?.files.has(name)) throw new InputRootError(`${path} is an input and an output`);
    else if (!there) this.#own(at);
    return `/${[...at, name].join('/')}`;
  }

  holds(path: string): boolean {
    const at = this.#resolve(path);
    if (this.#node(at)) return true;
    const name = at.pop();
    return name !== undefined && this.#node(at)?.files.has(name) === true;
  }

  canonical(path: string): string {
    return `/${this.#resolve(path).join('/')}`;
  }

  /** Does a file stand where this name leads? */
  isFile(path: string): boolean {
    const at = this.#resolve(path);
    const name = at.pop();
    return name !== undefined && this.#node(at)?.files.has(name) === true;
  }

  /** Deepest first, without recursion into what is encoded already. The tree must not be changed afterwards. */
  encode(): EncodedDirectory {
    const stack: { readonly node: Node; seen: boolean }[] = [{ node: this.#top, seen: false }];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (top.node.encoded) stack.pop();
      else if (top.seen) {
        top.node.encoded = encodeNode(top.node);
        stack.pop();
      } else {
        top.seen = true;
        for (const node of top.node.directories.values())
          if (!node.encoded) stack.push({ node, seen: false });
      }
    }
    return this.#top.encoded!;
  }
}

/** By the bytes of the names. */
function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function encodeNode(node: Node): EncodedDirectory {
  const below: EncodedDirectory[] = [];
  const bytes = toBinary(
    DirectorySchema,
    create(DirectorySchema, {
      files: sorted(node.files).map(([name, { id, executable }]) =>
        create(FileNodeSchema, { name, digest: digestOf(id), isExecutable: executable }),
      ),
      directories: sorted(node.directories).map(([name, { encoded }]) => {
        below.push(encoded!);
        return create(DirectoryNodeSchema, { name, digest: digestOf(encoded!.id) });
      }),
      symlinks: sorted(node.links).map(([name, { text }]) =>
        create(SymlinkNodeSchema, { name, target: text }),
      ),
    }),
  );
  return { id: blobId(bytes), bytes, below };
}
