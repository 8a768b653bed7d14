// `gg doctor --engine=grpc://...`: whether the server answers, and runs what we would send.
import { formatReapiAddress, parseReapiAddress } from '../../reapi/address.ts';
import { askCapabilities } from '../../reapi/capabilities.ts';
import { Channel } from '../../reapi/channel.ts';
import { reapiConnection } from '../../settings/reapi-connection.ts';
import type { Settings } from '../../settings/table.ts';

interface ReapiCheck {
  readonly what: string;
  readonly run: () => Promise<string>;
  readonly advice: string;
}

export function reapiChecks(settings: Settings): {
  readonly checks: readonly ReapiCheck[];
  readonly close: () => void;
} {
  const text = settings.engine.replace(/,local$/, '');
  const address = parseReapiAddress(text);
  let channel: Channel | undefined;
  return {
    close: () => channel?.close(),
    checks: [
      {
        what: 'Remote Execution server',
        run: async () => {
          if (!address) throw new Error(`${text}: grpc(s)://HOST[:PORT][/INSTANCE]`);
          const { tls, headers } = reapiConnection(settings.reapi);
          channel = new Channel({ address, tls, headers, connections: 1 });
          const before = performance.now();
          const capable = await askCapabilities(channel, address.instance);
          if (capable.kind === 'unfit') throw new Error(`${capable.reason}: ${capable.detail}`);
          const tookMs = Math.round(performance.now() - before);
          return `${formatReapiAddress(address)} answers in ${tookMs} ms, API ${capable.version}`;
        },
        advice: 'look at address, instance name, headers and certificates; builds go on here meanwhile',
      },
    ],
  };
}
