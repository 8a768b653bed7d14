import { MemoryRemote, MemoryService } from './memory-remote.ts';
import { describeRemoteStore } from './remote-store.ts';

describeRemoteStore({
  title: 'in memory',
  largeBytes: 1_000_000,
  start: async () => {
    const service = new MemoryService();
    const turn = (map: Map<string, Buffer>) => {
      for (const [name, bytes] of map) {
        const turned = Buffer.from(bytes);
        if (turned.length > 0) turned[turned.length >> 1]! ^= 0x10;
        map.set(name, turned);
      }
    };
    return {
      store: (use) => new MemoryRemote(service, use),
      loseBlobs: async () => service.blobs.clear(),
      damageBlobs: async () => turn(service.blobs),
      damageReductions: async () => turn(service.reductions),
      close: async () => {},
    };
  },
});
