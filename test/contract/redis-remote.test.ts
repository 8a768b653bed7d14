import { test } from 'node:test';
import { createClient, RESP_TYPES } from '@redis/client';
import { RedisStore } from '../../src/store/remote/redis/redis.ts';
import { redisMissing, startRedis } from '../emulators/redis/server.ts';
import { describeRemoteStore } from './remote-store.ts';

const missing = redisMissing();
if (missing !== undefined) test('remote store contract: Redis', { skip: missing });
else
  describeRemoteStore({
    title: 'Redis',
    largeBytes: 9 * 1024 * 1024 + 3,
    start: async () => {
      const server = await startRedis();
      const client = await createClient({ url: server.url }).connect();
      const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const each = async (kind: string, change: (key: string) => Promise<unknown>) => {
        for (const key of await client.keys(`some:v1:${kind}:*`)) await change(key);
      };
      const damage = async (key: string) =>
        client.set(key, (await bytes.get(key))!.map((b) => b ^ 0x10) as Buffer);
      return {
        store: (use) => new RedisStore({ kind: 'redis', url: server.url, prefix: 'some:v1' }, use),
        loseBlobs: () => each('cas', (key) => client.del(key)),
        damageBlobs: () => each('cas', damage),
        damageReductions: () => each('reductions', damage),
        close: async () => {
          client.destroy();
          await server.close();
        },
      };
    },
  });
