// What is sent to a worker: a thunk, and those that only wait for it.
import { isValue, nameValue, type ObjectName } from '../../ir/name.ts';
import { encodeThunk } from '../../ir/thunk.ts';
import type { RemoteStore } from '../../store/remote/remote.ts';
import {
  type StoredMessage,
  WORKER_PROTOCOL,
  type WorkItem,
  type WorkRequest,
} from '../../worker/messages.ts';
import type { Follower, ForceJob } from '../engine.ts';
import { classOf, TIMEOUT_MS } from '../thunk-class.ts';
import { LAMBDA_PAYLOAD_BYTES_MAX } from './invoker.ts';
import type { CapturedToolchain } from './toolchains.ts';
import type { Wanted } from '../cloud/uploads.ts';

/** Outputs up to this size come with the answer: two S3 requests and a round trip less. */
const INLINE_OUTPUT_BYTES_MAX = 1024 * 1024;
const REQUEST_BYTES_MAX = LAMBDA_PAYLOAD_BYTES_MAX - 64 * 1024;

/** A job, or one of its followers, and what it runs with. */
export interface Link {
  readonly job: ForceJob;
  readonly toolchain: CapturedToolchain;
}

/** What is to be sent; the first is the job itself, the others its followers. */
export interface Chain {
  readonly id: string;
  readonly first: Link;
  readonly rest: readonly (Link & { readonly job: Follower })[];
}

/**
 * The bytes of the request; a large one is put into the store, and a message that names it goes in its place.
 * @param sharesResults others take results from the store: what does not come back is kept there for them.
 * @throws RemoteError
 */
export async function encodeRequest(
  { id, first, rest }: Chain,
  inline: Readonly<Record<string, string>>,
  remote: RemoteStore,
  sharesResults: boolean,
): Promise<Buffer> {
  const links = [first, ...rest];
  const internal = (next: Chain['rest'][number] | undefined): WorkItem['internal'] =>
    next?.job.alone ? (sharesResults ? 'stored' : 'kept') : undefined;
  const request: WorkRequest = {
    protocol: WORKER_PROTOCOL,
    id,
    toolchain: first.toolchain.manifest,
    remote: remote.address,
    packs: remote.hints(links.flatMap((l) => [...l.toolchain.blobs, ...wantedOf(l.job)].map((b) => b.name))),
    items: [
      itemOf(first, internal(rest[0])),
      ...rest.map((link, i) => ({
        ...itemOf(link, internal(rest[i + 1])),
        toolchain: link.toolchain.manifest,
        ...(link.job.known.length > 0 ? { known: link.job.known } : {}),
      })),
    ],
    inline,
    inlineBytesMax: INLINE_OUTPUT_BYTES_MAX,
    timeoutMs: Math.max(...links.map((l) => TIMEOUT_MS[classOf(l.job)])),
  };
  const bytes = Buffer.from(JSON.stringify(request));
  if (bytes.length <= REQUEST_BYTES_MAX) return bytes;
  const stored = nameValue(bytes);
  await remote.put(stored, bytes);
  const message: StoredMessage = { protocol: WORKER_PROTOCOL, stored, remote: remote.address };
  return Buffer.from(JSON.stringify(message));
}

/** What workers must find of its inputs. */
export function wantedOf({ thunk, placement }: ForceJob): Wanted[] {
  return thunk.inputs
    .filter((i) => isValue(i.name))
    .map((i) => ({
      name: i.name as ObjectName,
      absPath: i.path.startsWith('/') ? i.path : `${placement.cwd}/${i.path}`,
    }));
}

function itemOf({ job }: Link, internal: WorkItem['internal']): WorkItem {
  const { realTool, cwd, pwd, searchPath } = job.placement;
  return {
    name: job.name,
    thunk: encodeThunk(job.thunk).bytes.toString('utf8'),
    realTool,
    cwd,
    pwd,
    searchPath,
    ...(internal ? { internal } : {}),
  };
}
