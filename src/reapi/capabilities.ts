// What a server says of itself before anything else is asked of it.
import { create } from '@bufbuild/protobuf';
import { type Channel, ReapiError } from './channel.ts';
import {
  Capabilities,
  DigestFunction_Value,
  GetCapabilitiesRequestSchema,
} from './generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';

export type Capable =
  /** It runs actions that are named as ours are. */
  | { readonly kind: 'capable'; readonly version: string }
  | { readonly kind: 'unfit'; readonly reason: string; readonly detail: string };

const CALL_MS_MAX = 10_000;

/** Never rejects for what the server or the way to it is. */
export async function askCapabilities(channel: Channel, instanceName: string): Promise<Capable> {
  const unfit = (reason: string, detail: string): Capable => ({ kind: 'unfit', reason, detail });
  try {
    const { executionCapabilities, lowApiVersion, highApiVersion } = await channel.unary(
      Capabilities.method.getCapabilities,
      create(GetCapabilitiesRequestSchema, { instanceName }),
      { timeoutMs: CALL_MS_MAX },
    );
    if (!executionCapabilities?.execEnabled)
      return unfit('no-execution', 'this server is a cache only; it runs nothing');
    const functions = [executionCapabilities.digestFunction, ...executionCapabilities.digestFunctions];
    if (!functions.includes(DigestFunction_Value.SHA256))
      return unfit('digest-function', 'this server does not name blobs by SHA-256');
    if ((lowApiVersion?.major ?? 2) > 2 || (highApiVersion?.major ?? 2) < 2)
      return unfit('api-version', 'this server does not speak version 2 of the API');
    const text = (v: typeof lowApiVersion): string => (v ? `${v.major}.${v.minor}` : '?');
    return { kind: 'capable', version: `${text(lowApiVersion)} to ${text(highApiVersion)}` };
  } catch (error) {
    if (!(error instanceof ReapiError)) throw error;
    return unfit('unreachable', `code ${error.code}: ${error.message}`);
  }
}
