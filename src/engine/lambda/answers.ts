// Turns a worker's answer into a run's outcome. Nothing in it is believed: names, tags and bytes must be exactly what was
// asked for, and what the tool looked up in vain must be missing here too.
import { rmSync } from 'node:fs';
import { nameValue, type ObjectName } from '../../ir/name.ts';
import type { LocalStore } from '../../store/local/local.ts';
import { RemoteError, type RemoteStore } from '../../store/remote/remote.ts';
import { tryStat } from '../../base/stat.ts';
import type { WorkDone, WorkFailed, WorkResponse } from '../../worker/messages.ts';
import { RefusedError, readResponse } from '../../worker/read-message.ts';
import type { Follower, FollowerDone, ForceJob, OutputValue, RunDone } from '../engine.ts';
import { Made } from '../followers.ts';

export type ReadAnswer =
  | { readonly kind: 'done'; readonly run: RunDone; readonly response: WorkResponse }
  /** The tool exited other than 0, over there. */
  | { readonly kind: 'exited'; readonly exitCode: number; readonly response: WorkResponse }
  | { readonly kind: 'failed'; readonly failure: WorkFailed; readonly response: WorkResponse }
  /** A file the scanner did not know of exists: the result may be wrong. */
  | { readonly kind: 'undeclared'; readonly path: string; readonly response: WorkResponse }
  /** The job itself went well, but nobody has its outputs: what was to read them over there cannot be used. */
  | { readonly kind: 'withheld'; readonly response: WorkResponse }
  /** Not an answer to what was asked. */
  | { readonly kind: 'refused'; readonly detail: string };

export interface AnswerParts {
  readonly store: LocalStore;
  readonly remote: RemoteStore;
  /** What a worker withholds it has put into the store. */
  readonly withheldIsStored?: boolean;
  /** Files that must stay missing for the result to hold; the default looks at the disk. */
  readonly exists?: (absPath: string) => boolean;
}

/**
 * @param asked the id of the request.
 * @param followers those sent along. What does not end well among them is left out with all that come after it: they run again, alone.
 * @throws RemoteError when an output cannot be fetched.
 */
export async function readAnswer(
  payload: unknown,
  asked: string,
  job: ForceJob,
  followers: readonly Follower[],
  parts: AnswerParts,
): Promise<ReadAnswer> {
  let response: WorkResponse;
  try {
    response = readResponse(payload);
    // A worker that could not read the request at all does not know its id.
    if (response.id !== asked && response.id !== '')
      throw new RefusedError(`the answer is to ${response.id}, not to ${asked}`);
    if (response.results.length < 1 || response.results.length > 1 + followers.length)
      throw new RefusedError(`${response.results.length} results for ${1 + followers.length} thunks`);
    const result = response.results[0]!;
    if (result.name !== job.name && !(result.kind === 'failed' && result.name === ''))
      throw new RefusedError(`the result is of ${result.name}, not of ${job.name}`);
    if (result.kind === 'failed') return { kind: 'failed', failure: result, response };
    if (result.exitCode !== 0) return { kind: 'exited', exitCode: result.exitCode, response };
    const exists = parts.exists ?? ((path: string) => tryStat(path) !== undefined);
    const undeclared = result.undeclaredMisses.find(exists);
    if (undeclared !== undefined) return { kind: 'undeclared', path: undeclared, response };
    const run = await take(result, job, parts, followers[0]?.alone === true);
    const also = await takeFollowers(response.results.slice(1), job, run, followers, { ...parts, exists });
    // The last of them has nobody who would read its outputs over there.
    if ((also.at(-1)?.run ?? run).withheld) return { kind: 'withheld', response };
    return { kind: 'done', run: also.length === 0 ? run : { ...run, also }, response };
  } catch (error) {
    if (error instanceof RefusedError) return { kind: 'refused', detail: error.message };
    throw error;
  }
}

async function takeFollowers(
  results: readonly (WorkDone | WorkFailed)[],
  job: ForceJob,
  run: RunDone,
  followers: readonly Follower[],
  parts: AnswerParts & Required<Pick<AnswerParts, 'exists'>>,
): Promise<FollowerDone[]> {
  const also: FollowerDone[] = [];
  const made = new Made(job.name, run.outputs);
  for (const [i, result] of results.entries()) {
    const follower = followers[i]!;
    if (result.name !== follower.name)
      throw new RefusedError(`the result is of ${result.name}, not of ${follower.name}`);
    if (result.kind === 'failed' || result.exitCode !== 0) break;
    if (result.undeclaredMisses.some(parts.exists)) break;
    const name = made.nameOf(follower);
    if (name === undefined) break;
    const done = await take(result, follower, parts, followers[i + 1]?.alone === true);
    made.note(follower.name, done.outputs);
    also.push({ name, run: done });
  }
  return also;
}

async function take(
  result: WorkDone,
  job: ForceJob,
  parts: AnswerParts,
  mayWithhold: boolean,
): Promise<RunDone> {
  const byTag = new Map(result.outputs.map((o) => [o.tag, o]));
  const declared = new Set(job.thunk.outputs.map((o) => o.tag));
  for (const output of result.outputs)
    if (!declared.has(output.tag))
      throw new RefusedError(`an output the thunk does not declare: ${output.tag}`);
  if (byTag.size !== result.outputs.length) throw new RefusedError('an output twice');
  for (const tag of declared) if (!byTag.has(tag)) throw new RefusedError(`no output ${tag}`);
  const outputs: OutputValue[] = [];
  const fetches: Promise<void>[] = [];
  let kept = false;
  for (const { tag } of job.thunk.outputs) {
    const { name, inline, withheld } = byTag.get(tag)!;
    if (withheld) {
      if (!mayWithhold) throw new RefusedError(`output ${tag} was wanted and did not come`);
      kept = true;
      if (parts.withheldIsStored) parts.remote.noteStored(name);
    } else if (inline !== undefined) {
      const bytes = Buffer.from(inline, 'base64');
      if (nameValue(bytes) !== name)
        throw new RefusedError(`output ${tag} does not have the hash it is named by`);
      parts.store.put(bytes, 'V');
    } else {
      parts.remote.noteStored(name);
      if (!parts.store.has(name)) fetches.push(fetchOutput(name, parts));
    }
    outputs.push({ tag, name });
  }
  if (fetches.length > 0) await Promise.all(fetches);
  return {
    kind: 'done',
    exitCode: 0,
    stdout: Buffer.from(result.stdout, 'base64'),
    stderr: Buffer.from(result.stderr, 'base64'),
    outputs,
    wallMs: result.timings.runMs,
    cpuMs: result.timings.cpuMs,
    ...(kept ? { withheld: true } : {}),
  };
}

async function fetchOutput(name: ObjectName, parts: AnswerParts): Promise<void> {
  const temporary = parts.store.temporary();
  try {
    await parts.remote.getFile(name, temporary);
    if (parts.store.putFile(temporary) !== name)
      throw new RemoteError('digest-mismatch', `output ${name}: the bytes that came have another hash`);
  } finally {
    rmSync(temporary, { force: true });
  }
}
