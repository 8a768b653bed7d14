import { RedisStore, type RedisStoreOptions } from './redis/redis.ts';
import type { RemoteAddress, RemoteStore } from './remote.ts';
import { S3Store, type S3StoreOptions } from './s3/s3.ts';

/** What is given for the other kind of backend is passed over. */
export type OpenRemoteOptions = S3StoreOptions & RedisStoreOptions;

/** The backend behind an address. Nothing is connected, and no client library loaded, before the first call. */
export function openRemote(address: RemoteAddress, options: OpenRemoteOptions = {}): RemoteStore {
  switch (address.kind) {
    case 's3':
      return new S3Store(address, options);
    case 'redis':
      return new RedisStore(address, options);
    default:
      throw new TypeError(`no backend of kind ${(address satisfies never as RemoteAddress).kind}`);
  }
}
