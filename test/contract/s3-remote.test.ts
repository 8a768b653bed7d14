import { S3Store } from '../../src/store/remote/s3/s3.ts';
import { startS3, TEST_KEY } from '../emulators/s3/server.ts';
import { describeRemoteStore } from './remote-store.ts';

describeRemoteStore({
  title: 'S3',
  largeBytes: 20 * 1024 * 1024 + 3,
  start: async () => {
    const s3 = await startS3({ buckets: ['bucket'] });
    const bucket = s3.bucket('bucket');
    const keys = (kinds: RegExp) => bucket.keys().filter((key) => kinds.test(key));
    const damage = (kinds: RegExp) => {
      for (const key of keys(kinds)) {
        const object = bucket.objects.get(key)!;
        bucket.set(key, { ...object, body: (object.body as Buffer).map((byte) => byte ^ 0x10) as Buffer });
      }
    };
    return {
      store: (use) =>
        new S3Store(
          { kind: 's3', bucket: 'bucket', prefix: 'some/v1', region: s3.region, endpoint: s3.url },
          { ...use, credentials: TEST_KEY },
        ),
      loseBlobs: async () => {
        for (const key of keys(/\/(?:cas|packs)\//)) bucket.delete(key);
      },
      damageBlobs: async () => damage(/\/(?:cas|packs)\//),
      damageReductions: async () => damage(/\/reductions\//),
      close: async () => {
        await s3.close();
        if (bucket.uploads.size > 0) throw new Error(`${bucket.uploads.size} unfinished uploads left`);
      },
    };
  },
});
