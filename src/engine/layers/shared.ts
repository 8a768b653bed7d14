// Results shared through a remote store: what a colleague or CI has run is not run again. A layer around any engine: it looks
// for the reduction before, and offers one after. Every output is fetched and verified before its reduction is believed.
import type { KeyObject } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { ObjectName } from '../../ir/name.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { type BlobSource, RemoteError, type RemoteStore } from '../../store/remote/remote.ts';
import { NO_VIA, thisMaker } from '../../store/provenance.ts';
import { type Signer, signerOf, signReduction } from '../../store/signature.ts';
import type { Reduction } from '../../store/store.ts';
import type { Engine, ForceJob, RunDone, RunOutcome } from '../engine.ts';

export interface SharedEngineOptions {
  readonly inner: Engine;
  readonly remote: RemoteStore;
  readonly store: LocalStore;
  /** Take results, add none. */
  readonly readOnly: boolean;
  /** `storeLabel` of the remote store: results that come from it say so. */
  readonly label: string;
  /** Keys whose signatures are looked at, by their ids. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Signs what is offered; absent: it goes unsigned. */
  readonly signer?: Signer | undefined;
  /** The store cannot be had: said once; the build goes on without it. */
  readonly lost: (error: RemoteError) => void;
}

/** Results on their way to the remote store; with more waiting a result stays here only. */
const OFFERS_MAX = 10_000;
/** Trouble in a row after which the remote store is left alone for the rest of the session. */
const TROUBLES_MAX = 3;

/** Results with a time in them are nobody else's. */
function isShareable(job: ForceJob): boolean {
  return !job.thunk.salt.some((entry) => entry.startsWith('time:'));
}

export class SharedEngine implements Engine {
  readonly label: string;
  readonly slots: number;
  readonly chains: boolean;
  readonly counts = { taken: 0, offered: 0, damaged: 0, kept: 0, unsigned: 0 };
  readonly #o: SharedEngineOptions;
  readonly #offers = new Set<Promise<void>>();
  #troubles = 0;

  constructor(options: SharedEngineOptions) {
    this.#o = options;
    this.label = options.inner.label;
    this.slots = options.inner.slots;
    this.chains = options.inner.chains === true;
  }

  async run(job: ForceJob, options: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    const shareable = isShareable(job);
    if (shareable) {
      const found = await this.#take(job, options.signal);
      if (found) return found;
    }
    const outcome = await this.#o.inner.run(job, options);
    if (this.#o.readOnly || outcome.kind !== 'done' || outcome.exitCode !== 0) return outcome;
    if (shareable) this.#offer(job.name, outcome);
    for (const [i, { name, run }] of (outcome.also ?? []).entries())
      if (isShareable(job.followers![i]!)) this.#offer(name, run);
    return outcome;
  }

  async #take(job: ForceJob, signal: AbortSignal): Promise<RunDone | undefined> {
    if (this.#troubles >= TROUBLES_MAX) return undefined;
    const { remote, store } = this.#o;
    try {
      const reduction = await remote.reduction(job.name, { signal });
      if (!reduction || !fits(reduction, job)) return undefined;
      const signer = signerOf(reduction, this.#o.keys);
      const via = [{ store: this.#o.label, ...(signer === undefined ? {} : { signer }) }];
      if (job.believes?.(via) === false) {
        this.counts.unsigned++;
        return undefined;
      }
      await Promise.all(
        reduction.outputs.map(({ name }) => (store.has(name) ? undefined : this.#fetch(name, signal))),
      );
      this.#troubles = 0;
      this.counts.taken++;
      const { outputs, exitCode, stdout, stderr, wallMs } = reduction;
      const { maker, engine } = reduction.origin ?? { maker: 'unknown', engine: 'unknown' };
      const origin = { maker, engine, via };
      return { kind: 'done', outputs, exitCode, stdout, stderr, wallMs, cpuMs: 0, origin };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof RemoteError)) throw error;
      // Lost or damaged: as if nobody had run it.
      if (error.reason === 'missing-blob' || error.reason === 'digest-mismatch') this.counts.damaged++;
      else this.#trouble(error);
      return undefined;
    }
  }

  async #fetch(name: ObjectName, signal: AbortSignal): Promise<void> {
    const { remote, store } = this.#o;
    const temporary = store.temporary();
    try {
      await remote.getFile(name, temporary, { signal });
      if (store.putFile(temporary) !== name)
        throw new RemoteError('digest-mismatch', `${name}: the bytes that came have another hash`);
    } catch (error) {
      if (error instanceof RemoteError && /^(?:missing-blob|digest-mismatch)$/.test(error.reason))
        remote.forget(name);
      throw error;
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  /** The build does not wait for it; `flush` does. */
  #offer(thunk: ObjectName, run: RunDone): void {
    if (this.#troubles >= TROUBLES_MAX || this.#offers.size >= OFFERS_MAX) {
      this.counts.kept++;
      return;
    }
    const { remote, store } = this.#o;
    const blobs = run.outputs.map(
      ({ name }) =>
        [
          name,
          (): BlobSource | undefined => {
            const absPath = store.path(name);
            return absPath === undefined ? undefined : { absPath };
          },
        ] as const,
    );
    const offer = (async () => {
      await remote.putAll(blobs);
      if (!run.outputs.every(({ name }) => remote.known(name))) return;
      const { outputs, stdout, stderr, wallMs } = run;
      const origin = { maker: thisMaker(), engine: this.label, via: NO_VIA };
      const made: Reduction = { thunk, outputs, exitCode: 0, stdout, stderr, wallMs, origin };
      const { signer } = this.#o;
      await remote.putReduction(signer ? { ...made, signature: signReduction(made, signer) } : made);
      this.counts.offered++;
    })()
      .catch((error: unknown) => {
        this.counts.kept++;
        if (error instanceof RemoteError) this.#trouble(error);
      })
      .finally(() => this.#offers.delete(offer));
    this.#offers.add(offer);
  }

  #trouble(error: RemoteError): void {
    if (++this.#troubles === TROUBLES_MAX) this.#o.lost(error);
  }

  /** Waits until what was offered has arrived, or was given up. */
  async flush(): Promise<void> {
    while (this.#offers.size > 0) await Promise.all(this.#offers);
  }

  close(): Promise<void> {
    return this.#o.inner.close();
  }
}

/** A reduction is of use when it names exactly the outputs the thunk declares. */
function fits(reduction: Reduction, job: ForceJob): boolean {
  const tags = new Set(reduction.outputs.map((o) => o.tag));
  return tags.size === job.thunk.outputs.length && job.thunk.outputs.every((o) => tags.has(o.tag));
}
