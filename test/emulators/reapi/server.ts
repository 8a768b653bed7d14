// A strict Remote Execution server in memory, for the faults that a healthy one does not show. It refuses what the specification refuses, and
// each fault is a switch.
import { createHash } from 'node:crypto';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import {
  type ActionResult,
  BatchReadBlobsResponseSchema,
  BatchUpdateBlobsResponseSchema,
  ContentAddressableStorage,
  type Digest,
  Execution,
  ExecuteResponseSchema,
  FindMissingBlobsResponseSchema,
} from '../../../src/reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import {
  ByteStream,
  ReadResponseSchema,
  WriteResponseSchema,
} from '../../../src/reapi/generated/google/bytestream/bytestream_pb.ts';
import {
  type Operation,
  Operations,
  OperationSchema,
} from '../../../src/reapi/generated/google/longrunning/operations_pb.ts';

export interface Faults {
  /** Calls by method name that end with this code, so many times. */
  readonly refuse: Map<string, { code: number; times: number }>;
  /** Bytes that reads give in place of the stored ones. */
  lie?: (bytes: Buffer) => Buffer;
  /** Execute's stream ends after its first message, so many times. */
  breakExecute: number;
  /** The operations it has forgotten, as after a restart. */
  forgetOperations: boolean;
}

const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const NOT_FOUND = 5;
const INVALID = 3;

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function definition(service: DescService): ServiceDefinition {
  const codec = (desc: DescMessage) => ({
    serialize: (message: MessageShape<DescMessage>) => Buffer.from(toBinary(desc, message)),
    deserialize: (bytes: Buffer) => fromBinary(desc, bytes),
  });
  return Object.fromEntries(
    service.methods.map((method: DescMethod) => {
      const [input, output] = [codec(method.input), codec(method.output)];
      return [
        method.name,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
          responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
          requestSerialize: input.serialize,
          requestDeserialize: input.deserialize,
          responseSerialize: output.serialize,
          responseDeserialize: output.deserialize,
        },
      ];
    }),
  );
}

/** A message of whatever method: the table of methods says which. */
type Message = ReturnType<typeof JSON.parse>;
type Unary = ServerUnaryCall<Message, Message>;
type Reply = sendUnaryData<Message>;

export class ReapiStandIn {
  readonly blobs = new Map<string, Buffer>();
  readonly calls: string[] = [];
  readonly faults: Faults = { refuse: new Map(), breakExecute: 0, forgetOperations: false };
  /** What an action comes to. */
  run: (action: Digest) => ActionResult | Promise<ActionResult> = () => {
    throw new Error('no action is expected');
  };
  readonly cancelled: string[] = [];
  readonly #server = new Server({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });
  readonly #operations = new Map<string, Promise<Operation>>();

  async start(): Promise<number> {
    const unary = (name: string, answer: (request: Message) => unknown) => [
      name,
      (call: Unary, reply: Reply) => {
        const refused = this.#refused(name);
        if (refused) reply(refused);
        else
          try {
            reply(null, answer(call.request));
          } catch (error) {
            reply(error as Error);
          }
      },
    ];
    const { blobs } = this;
    this.#server.addService(
      definition(ContentAddressableStorage),
      Object.fromEntries([
        unary('FindMissingBlobs', (request: { blobDigests: Digest[] }) =>
          create(FindMissingBlobsResponseSchema, {
            missingBlobDigests: request.blobDigests.filter((d) => !blobs.has(d.hash)),
          }),
        ),
        unary('BatchUpdateBlobs', (request: { requests: { digest: Digest; data: Uint8Array }[] }) =>
          create(BatchUpdateBlobsResponseSchema, {
            responses: request.requests.map(({ digest, data }) => {
              const good = hashOf(data) === digest.hash && BigInt(data.length) === digest.sizeBytes;
              if (good) blobs.set(digest.hash, Buffer.from(data));
              return { digest, status: { code: good ? 0 : INVALID, message: good ? '' : 'not its digest' } };
            }),
          }),
        ),
        unary('BatchReadBlobs', (request: { digests: Digest[] }) =>
          create(BatchReadBlobsResponseSchema, {
            responses: request.digests.map((digest) => {
              const bytes = blobs.get(digest.hash);
              const data = bytes && (this.faults.lie?.(bytes) ?? bytes);
              return { digest, ...(data ? { data } : {}), status: { code: data ? 0 : NOT_FOUND } };
            }),
          }),
        ),
      ]),
    );
    this.#server.addService(definition(ByteStream), {
      Read: (call: ServerWritableStream<Message, Message>) => {
        this.calls.push('Read');
        const hash = /blobs\/([0-9a-f]{64})\//.exec(call.request.resourceName)?.[1] ?? '';
        const bytes = blobs.get(hash);
        if (!bytes) {
          call.emit('error', { code: NOT_FOUND, details: hash });
          return;
        }
        const given = this.faults.lie?.(bytes) ?? bytes;
        for (let at = 0; at < given.length; at += 1 << 20)
          call.write(create(ReadResponseSchema, { data: given.subarray(at, at + (1 << 20)) }));
        call.end();
      },
      Write: (call: ServerReadableStream<Message, Message>, reply: Reply) => {
        this.calls.push('Write');
        const parts: Buffer[] = [];
        let resource = '';
        call.on('data', (request: { resourceName: string; data: Uint8Array }) => {
          resource ||= request.resourceName;
          parts.push(Buffer.from(request.data));
        });
        call.on('error', () => {});
        call.on('end', () => {
          const bytes = Buffer.concat(parts);
          const [, hash, size] =
            /uploads\/[0-9a-f-]{36}\/blobs\/([0-9a-f]{64})\/([0-9]+)$/.exec(resource) ?? [];
          if (hash !== hashOf(bytes) || Number(size) !== bytes.length)
            return reply({ code: INVALID, details: 'not its digest' });
          blobs.set(hash, bytes);
          reply(null, create(WriteResponseSchema, { committedSize: BigInt(bytes.length) }));
        });
      },
      QueryWriteStatus: (_call: Unary, reply: Reply) => reply({ code: 12, details: 'not here' }),
    });
    this.#server.addService(definition(Execution), {
      Execute: (call: ServerWritableStream<Message, Message>) => {
        this.calls.push('Execute');
        const refused = this.#refused('Execute', false);
        if (refused) {
          call.emit('error', refused);
          return;
        }
        const name = `operations/${this.#operations.size}`;
        this.#operations.set(name, this.#finish(name, call.request.actionDigest));
        call.write(create(OperationSchema, { name }));
        if (this.faults.breakExecute-- > 0) call.end();
        else void this.#tell(call, name);
      },
      WaitExecution: (call: ServerWritableStream<Message, Message>) => {
        this.calls.push('WaitExecution');
        const { name } = call.request;
        if (this.faults.forgetOperations || !this.#operations.has(name))
          call.emit('error', { code: NOT_FOUND, details: name });
        else void this.#tell(call, name);
      },
    });
    this.#server.addService(definition(Operations), {
      CancelOperation: (call: Unary, reply: Reply) => {
        this.cancelled.push(call.request.name);
        reply(null, {});
      },
    });
    return new Promise((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  #refused(name: string, counted = true): { code: number; details: string } | undefined {
    if (counted) this.calls.push(name);
    const fault = this.faults.refuse.get(name);
    if (!fault || fault.times-- <= 0) return undefined;
    return { code: fault.code, details: `${name} refused` };
  }

  async #finish(name: string, action: Digest): Promise<Operation> {
    const response = create(ExecuteResponseSchema, { result: await this.run(action) });
    return create(OperationSchema, {
      name,
      done: true,
      result: { case: 'response', value: anyPack(ExecuteResponseSchema, response) },
    });
  }

  async #tell(call: ServerWritableStream<Message, Message>, name: string): Promise<void> {
    call.write(await this.#operations.get(name)!);
    call.end();
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
