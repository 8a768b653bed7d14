// The remote store behind an address, with the credentials of the place this runs in.
import type { RemoteAddress, RemoteStore } from '../store/remote.ts';

export async function openRemote(address: RemoteAddress): Promise<RemoteStore> {
  switch (address.kind) {
    case 's3': {
      const { S3Store } = await import('../store/s3.ts');
      return new S3Store(address);
    }
    case 'redis':
      throw new Error('redis is not built in yet');
  }
}
