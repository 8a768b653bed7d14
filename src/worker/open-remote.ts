// The remote store behind an address, for a worker: with the credentials its place gives it.
import { type RemoteAddress, RemoteError, type RemoteStore } from '../store/remote.ts';

export async function openRemote(address: RemoteAddress): Promise<RemoteStore> {
  throw new RemoteError('denied', `no ${address.kind} store is built into this worker`);
}
