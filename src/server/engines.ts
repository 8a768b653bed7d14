// Gives sessions the engine they ask for. What is dear to set up (clients, what the store is known to hold, captured
// toolchains) is shared by the sessions of a server; what is counted is each session's own.

import { functionSizes } from '../deploy/function-sizes.ts';
import type { EngineChoice } from '../settings/engine-choice.ts';
import { CostMeter } from '../engine/cloud/cost.ts';
import type { Engine, ForceJob } from '../engine/engine.ts';
import type { Invoker } from '../engine/lambda/invoker.ts';
import { LambdaEngine } from '../engine/lambda/lambda-engine.ts';
import type { CapturedToolchain, LocalOnly } from '../engine/lambda/toolchains.ts';
import type { LimitedEngine } from '../engine/layers/limited.ts';
import { RacingEngine, TwinEngine } from '../engine/layers/racing.ts';
import { Ramp } from '../engine/cloud/ramp.ts';
import { RemoteHealth } from '../engine/cloud/health.ts';
import { SharedEngine } from '../engine/layers/shared.ts';
import { Uploads } from '../engine/cloud/uploads.ts';
import { type ObjectName, sizeOf } from '../ir/name.ts';
import type { Session } from '../session/session.ts';
import type { LocalStore } from '../store/local/local.ts';
import { openRemote } from '../store/remote/open-remote.ts';
import { TRUST_NOBODY } from '../store/provenance.ts';
import { loadTrust, type TrustKeys } from '../store/trust-keys.ts';
import type { RemoteStore } from '../store/remote/remote.ts';
import { parseRemoteUrl, storeLabel, withoutSecrets } from '../store/remote/remote-url.ts';
import type { Captures } from '../toolchain/captures.ts';
import { Offers } from '../toolchain/offers.ts';
import { partOf } from '../toolchain/parts.ts';
import { placeOf } from '../engine/cloud/may-leave.ts';
import { credentialsOf } from './credentials.ts';
import { lambdaNotes, sharedNotes } from './cloud-notes.ts';
import { openReapi, type ReapiParts } from './reapi.ts';
import { CliError, EXIT } from '../settings/exit.ts';

export interface EnginesParts {
  /** Everybody's: sessions that run here, and what the cloud does not do. */
  readonly local: LimitedEngine;
  readonly store: LocalStore;
  readonly digestOf: (absPath: string) => ObjectName | undefined;
  readonly captures: Captures;
  /** The static program that starts tools on a cluster's workers. */
  readonly starter: string;
}

interface Cloud {
  readonly remote: RemoteStore;
  readonly uploads: Uploads;
  readonly invoker: Invoker;
}

const PROBLEMS_MAX = 20;
/** Of stores and accounts: every renewal of somebody's keys makes another one. Sessions keep what they use. */
const REMEMBERED_MAX = 8;
const LIVE_MS = 1000;
/** Connections of the client beyond what is in flight: answers on their way. */
const SPARE_SOCKETS = 16;

export class Engines {
  readonly #p: EnginesParts;
  readonly #local: LimitedEngine;
  readonly #clouds = new Map<string, Promise<Cloud>>();
  readonly #remotes = new Map<string, Promise<RemoteStore>>();
  readonly #offers: Offers;

  constructor(parts: EnginesParts) {
    this.#p = parts;
    this.#local = parts.local;
    this.#offers = new Offers((bytes) => parts.store.put(bytes, 'V'));
  }

  /** @throws CliError when what the engine needs is not set. */
  async open(choice: EngineChoice, session: Session, inFlightMax: number): Promise<void> {
    if (choice.engine === 'local') {
      if (choice.remote !== '') this.#share(this.#p.local, await this.#remote(choice), choice, session);
      return;
    }
    if (choice.engine.startsWith('grpc')) return this.#openReapi(choice, session, inFlightMax);
    if (choice.remoteUse === 'read')
      throw new CliError(
        EXIT.config,
        `--engine ${choice.engine} with --remote-use read`,
        'workers must be given files: share, or blobs to believe nobody',
      );
    const cloud = await this.#cloud(choice, inFlightMax);
    const problem = problemsOf(session);
    const cost = new CostMeter(choice.budgetUsd || undefined, () => cloud.remote.counters);
    const health = new RemoteHealth((down) =>
      problem(
        down.reason,
        `lambda (${down.reason})`,
        down.detail,
        choice.strict ? 'the build stops here: --strict' : 'the build goes on here, without the cloud',
      ),
    );
    const functions = functionSizes(choice.lambdaFunction).map((f) => ({
      name: f.name,
      memoryMb: f.memoryMb,
      ramp: new Ramp({ inFlightMax }),
    }));
    const lambda = new LambdaEngine({
      store: this.#p.store,
      remote: cloud.remote,
      uploads: cloud.uploads,
      invoker: { invoke: (...args) => cloud.invoker.invoke(...args), close: () => {} },
      functions,
      functionOf: { compile: 0, link: functions.length - 1 },
      local: this.#local,
      toolchain: async (job, fit) => {
        const toolchain = await this.#toolchain(job, fit);
        // Of one thunk it is a detail; of a whole compiler people want to know.
        if ('localOnly' in toolchain && toolchain.tool !== undefined)
          problem(
            toolchain.localOnly,
            toolchain.tool,
            toolchain.detail,
            'what it makes is made here, not in the cloud',
          );
        return toolchain;
      },
      health,
      cost,
      strict: choice.strict,
      sharesResults: choice.remoteUse === 'share',
      problem,
      inFlightMax,
    });
    const twins = new TwinEngine(lambda, () =>
      choice.engine === 'lambda,local' && this.#local.idle > 0 ? this.#local : lambda,
    );
    const racing =
      choice.engine === 'lambda,local'
        ? new RacingEngine({
            remote: twins,
            local: this.#local,
            inputBytes: (job) => job.thunk.inputs.reduce((sum, i) => sum + sizeOf(i.name), 0),
            missingBytes: (job) =>
              job.thunk.inputs.reduce(
                (sum, i) => sum + (cloud.uploads.known(i.name as ObjectName) ? 0 : sizeOf(i.name)),
                0,
              ),
            remoteIsFull: () => functions.some((f) => f.ramp.waiting > 0),
          })
        : undefined;
    const live = setInterval(() => {
      const { invocations, usd } = cost.counts();
      const inFlight = functions.reduce((sum, f) => sum + f.ramp.inFlight, 0);
      const retries = [...lambda.counts.retries.values()].reduce((a, b) => a + b, 0);
      session.emit({ type: 'cloud', inFlight, invocations, retries, usd });
    }, LIVE_MS);
    live.unref();
    const engine: Engine = racing ?? twins;
    const whole: Engine = {
      label: choice.engine,
      slots: engine.slots,
      chains: true,
      run: (job, options) => engine.run(job, options),
      close: async () => {
        clearInterval(live);
        await lambda.close();
      },
    };
    const shared = this.#share(whole, cloud.remote, choice, session);
    session.engineReport = () => {
      clearInterval(live);
      return [...lambdaNotes(lambda, twins, racing?.ranHere ?? 0), ...sharedNotes(shared)];
    };
  }

  async #openReapi(choice: EngineChoice, session: Session, inFlightMax: number): Promise<void> {
    const { store, captures, starter } = this.#p;
    const problem = problemsOf(session);
    const { engine, report } = await openReapi(choice, inFlightMax, {
      local: this.#local,
      store,
      captures,
      starter,
      problem,
    });
    if (choice.remote === '') {
      session.engine = engine;
      session.engineReport = report;
      return;
    }
    const shared = this.#share(engine, await this.#remote(choice), choice, session);
    session.engineReport = () => [...report(), ...sharedNotes(shared)];
  }

  /** Puts the results of others before an engine. */
  #share(inner: Engine, remote: RemoteStore, choice: EngineChoice, session: Session): SharedEngine {
    const address = remote.address;
    const { signer, keys } = trustIn(choice.trustDirectory);
    session.trust =
      choice.remoteUse === 'blobs'
        ? TRUST_NOBODY
        : {
            store: storeLabel(address),
            signers: choice.remoteTrust === 'signed' ? new Set(keys.keys()) : undefined,
          };
    const shared = new SharedEngine({
      label: storeLabel(address),
      keys,
      signer,
      inner,
      remote,
      store: this.#p.store,
      readOnly: choice.remoteUse === 'read',
      // A cloud engine says itself that the network or the credentials are gone.
      lost: (error) =>
        inner === this.#p.local &&
        session.emit({
          type: 'problem',
          reason: error.reason,
          subject: withoutSecrets(choice.remote),
          detail: error.message,
          advice: 'the build goes on without the results of others',
        }),
    });
    // The local engine is everybody's: it ends with the server.
    session.engine = inner === this.#p.local ? { ...engineOf(shared), close: async () => {} } : shared;
    session.engineFlush = () => shared.flush();
    session.engineReport = () => sharedNotes(shared);
    return shared;
  }

  #cloud(choice: EngineChoice, inFlightMax: number): Promise<Cloud> {
    const key = JSON.stringify([choice.remote, choice.lambdaFunction, choice.env]);
    let cloud = this.#clouds.get(key);
    if (!cloud) {
      cloud = this.#connect(choice, inFlightMax);
      remember(this.#clouds, key, cloud);
      cloud.catch(() => this.#clouds.delete(key));
    }
    return cloud;
  }

  /** One a server and address: it knows what is there from one listing. */
  #remote(choice: EngineChoice): Promise<RemoteStore> {
    const key = JSON.stringify([choice.remote, choice.remoteUse, choice.env]);
    let remote = this.#remotes.get(key);
    if (!remote) {
      remote = this.#openRemote(choice);
      remember(this.#remotes, key, remote);
      remote.catch(() => this.#remotes.delete(key));
    }
    return remote;
  }

  async #openRemote(choice: EngineChoice): Promise<RemoteStore> {
    if (choice.remote === '')
      throw new CliError(
        EXIT.config,
        `--engine ${choice.engine} needs a store`,
        'set GG_REMOTE=s3://BUCKET; gg deploy lambda makes one and prints its name',
      );
    const settings = parseRemoteUrl(choice.remote, choice.env);
    if ('problem' in settings)
      throw new CliError(EXIT.config, `remote: ${withoutSecrets(choice.remote)}`, settings.problem);
    const { address, ...secrets } = settings;
    const remote = openRemote(address, {
      ...secrets,
      credentials: credentialsOf(choice.env),
      readOnly: choice.remoteUse === 'read',
      trustReductions: choice.remoteUse !== 'blobs',
    });
    // Without what is there already everything is put again: slower, not wrong; who waits for it meets the error itself.
    await remote.prepare().catch(() => {});
    return remote;
  }

  async #connect(choice: EngineChoice, inFlightMax: number): Promise<Cloud> {
    const remote = await this.#remote(choice);
    const { address } = remote;
    const endpoint = choice.env['AWS_ENDPOINT_URL_LAMBDA'] || choice.env['AWS_ENDPOINT_URL'];
    const { awsInvoker } = await import('../engine/lambda/aws-invoker.ts');
    const invoker = await awsInvoker({
      region:
        choice.env['AWS_REGION'] ||
        choice.env['AWS_DEFAULT_REGION'] ||
        (address.kind === 's3' ? address.region : 'us-east-1'),
      socketsMax: inFlightMax + SPARE_SOCKETS,
      credentials: credentialsOf(choice.env),
      ...(endpoint ? { endpoint } : {}),
    });
    const uploads = new Uploads({ store: this.#p.store, remote, digestOf: this.#p.digestOf });
    return { remote, invoker, uploads };
  }

  async #toolchain(job: ForceJob, fit: 'part' | 'whole'): Promise<CapturedToolchain | LocalOnly> {
    const place = placeOf(job.thunk);
    if (place.kind === 'local-only') return { localOnly: place.reason, detail: place.detail };
    const { realTool, searchPath } = job.placement;
    const found = await this.#p.captures.of(job.thunk.toolchain, realTool, searchPath);
    if (found.kind === 'changed') return { localOnly: 'toolchain-changed', detail: realTool };
    if (found.kind === 'unsupported')
      return { localOnly: found.reason, detail: found.detail, tool: realTool };
    return this.#offers.of(found, fit === 'part' ? partOf(job.thunk, job.placement.stage) : undefined);
  }
}

/** @throws CliError when the user's own key cannot be read. */
function trustIn(directory: string): TrustKeys {
  try {
    return loadTrust(directory);
  } catch (error) {
    throw new CliError(
      EXIT.config,
      `${directory}/secret.pem: ${(error as Error).message}`,
      "remove it and make another by 'gg trust keygen'",
    );
  }
}

function remember<T>(known: Map<string, T>, key: string, value: T): void {
  known.set(key, value);
  for (const old of known.keys()) {
    if (known.size <= REMEMBERED_MAX) return;
    known.delete(old);
  }
}

/** Says each problem once, and only so many. */
function problemsOf(session: Session): ReapiParts['problem'] {
  const problems = new Set<string>();
  return (reason, subject, detail, advice) => {
    const key = `${reason} ${subject}`;
    if (problems.has(key) || problems.size >= PROBLEMS_MAX) return;
    problems.add(key);
    session.emit({ type: 'problem', reason, subject, detail, advice });
  };
}

function engineOf(engine: Engine): Pick<Engine, 'label' | 'slots' | 'run'> {
  return { label: engine.label, slots: engine.slots, run: (job, options) => engine.run(job, options) };
}
