import { resolve } from 'node:path';
import { baseName, parseRef } from '../../ir/name.ts';
import { BadThunkError, decodeThunk, type Thunk } from '../../ir/thunk.ts';
import { runtimePaths } from '../../wire/runtime-paths.ts';
import type { HistoryRecord } from '../../tree/history.ts';
import { placeholderAt } from '../../tree/placeholder-at.ts';
import { hashFile, LocalStore } from '../../store/local/local.ts';
import { tryStat } from '../../base/stat.ts';
import { connectIfRunning, connectOrStart } from '../../client/client.ts';
import { CliError, EXIT } from '../../settings/exit.ts';
import { prepareNative } from '../../client/native.ts';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function openStore(): LocalStore {
  return new LocalStore(runtimePaths(process.env, process.getuid?.() ?? 0).stateDir);
}

export async function status(json: boolean): Promise<number> {
  const client = await connectIfRunning();
  if (!client) {
    if (json) print(JSON.stringify({ running: false }));
    else print("no session server runs; 'gg force' starts one if placeholders are left");
    return EXIT.ok;
  }
  const s = await client.ask({ op: 'status', cwd: process.cwd() }, 'status');
  client.close();
  if (json) {
    print(JSON.stringify(s));
    return EXIT.ok;
  }
  print(
    `server ${s.version}, process ${s.pid}, up ${s.upSeconds} s, ${Math.round(s.memoryBytes / 1e6)} MB; state in ${s.stateDirectory}`,
  );
  print(`running ${s.running}, queued ${s.queued}`);
  print(`placeholders: ${s.outstanding.length} here, ${s.outstandingElsewhere} elsewhere`);
  for (const o of s.outstanding.slice(0, 20)) print(`  ${o.path}`);
  if (s.outstanding.length > 20) print(`  and ${s.outstanding.length - 20} more`);
  for (const session of s.sessions) {
    const c = session.counts;
    if (c.added + c.ran + c.memoized + c.bypassed === 0) continue;
    print(
      `session ${session.cwd}: ${c.added} deferred, ${c.ran} ran, ${c.memoized} memoized, ${c.failed} failed, ${c.midway} forced midway, ${c.bypassed} bypassed${c.gone > 0 ? `, ${c.gone} moved or removed before they were made` : ''}`,
    );
    for (const [reason, n] of Object.entries(session.bypasses).sort((a, b) => b[1] - a[1]))
      print(`  bypass ${reason}: ${n}`);
  }
  const { checked, reports } = s.selfCheck;
  if (checked + reports.length > 0)
    print(`self-check: ${checked} scans compared with a compile, ${reports.length} projects out of trust`);
  for (const report of reports)
    print(
      `  ${report.project}: ${report.difference}\n    please send ${report.path}; delete it to try again`,
    );
  return EXIT.ok;
}

function thunkLines(thunk: Thunk): string[] {
  const word = (w: Thunk['args'][number]): string => (typeof w === 'string' ? w : `${w.prefix}{${w.output}}`);
  return [
    `tool      ${thunk.tool}`,
    `toolchain ${thunk.toolchain}`,
    `args      ${thunk.args.map(word).join(' ')}`,
    `cwd       ${thunk.cwd === '' ? '(any)' : thunk.cwd}`,
    ...thunk.env.map(([k, v]) => `env       ${k}=${v}`),
    ...thunk.salt.map((s) => `salt      ${s}`),
    ...thunk.outputs.map(
      (o) => `output    ${o.tag} ${o.path}${o.from === undefined ? '' : ` (starts as ${o.from})`}`,
    ),
    ...thunk.inputs.map((i) => `input     ${i.name} ${i.path}`),
    ...thunk.absent.map((a) => `absent    ${a}`),
  ];
}

/** @param what an object name, or a path of a placeholder, or one whose history is known. */
async function thunkOf(what: string): Promise<{ name: ReturnType<typeof baseName>; thunk: Thunk }> {
  const parsed = parseRef(what);
  let name = parsed?.type === 'T' ? baseName(what) : undefined;
  if (!parsed) {
    const path = resolve(what);
    const ref = placeholderAt(path);
    if (ref) name = baseName(ref);
    else {
      const client = await connectOrStart((await prepareNative()).directory);
      const explained = await client.ask({ op: 'explain', path }, 'explained');
      client.close();
      const record = (explained.records as HistoryRecord[]).find((r) => r.thunk !== undefined);
      if (record?.thunk) name = baseName(record.thunk);
    }
  }
  if (name === undefined)
    throw new CliError(
      EXIT.usage,
      `${what}: not a thunk, and nothing is known of it`,
      'give an object name or the path of an artifact built with gg',
    );
  const bytes = openStore().get(name);
  if (!bytes) throw new CliError(EXIT.failed, `${name}: not in the store`, 'build again');
  try {
    return { name, thunk: decodeThunk(bytes) };
  } catch (error) {
    if (error instanceof BadThunkError)
      throw new CliError(EXIT.failed, `${name}: ${error.message}`, 'this gg is of another version');
    throw error;
  }
}

export async function describe(what: string, json: boolean): Promise<number> {
  const { name, thunk } = await thunkOf(what);
  if (json) print(JSON.stringify({ name, ...thunk }, null, 2));
  else print([name, ...thunkLines(thunk)].join('\n'));
  return EXIT.ok;
}

/** Whose the newest result is, as its record says. */
function originLines(records: readonly HistoryRecord[], store: LocalStore): string[] {
  const thunk = records.find((record) => record.thunk !== undefined)?.thunk;
  const origin = thunk === undefined ? undefined : store.reduction(baseName(thunk), 'names')?.origin;
  if (!origin) return [];
  const made = `made by ${origin.maker}, engine ${origin.engine || 'unknown'}`;
  const taken = origin.via.map(
    ({ store: from, signer }) =>
      `  taken from, or made of what came from, ${from}, ${signer === undefined ? 'without a trusted signature' : `signed by key ${signer}`}`,
  );
  return [taken.length === 0 ? `${made}, for a build of yours` : made, ...taken];
}

export async function explain(what: string, json: boolean): Promise<number> {
  const path = resolve(what);
  const client = await connectOrStart((await prepareNative()).directory);
  const explained = await client.ask({ op: 'explain', path }, 'explained');
  client.close();
  const records = explained.records as HistoryRecord[];
  if (json) {
    print(JSON.stringify(explained, null, 2));
    return EXIT.ok;
  }
  const exists = tryStat(path);
  print(
    explained.ref
      ? `${path} is a placeholder for ${explained.ref}`
      : exists
        ? `${path} is a real file`
        : `${path} does not exist`,
  );
  if (records.length === 0)
    print(
      'gg has not made it: the tool ran by itself (see the bypasses in gg status), or another program wrote it',
    );
  const store = openStore();
  for (const record of records.slice(0, 10)) {
    const when = new Date(record.at ?? 0).toISOString();
    const how = {
      ran: `forced: the tool ran for ${Math.round(record.wallMs ?? 0)} ms`,
      memoized: 'memoized: an equal thunk had run before',
      deferred: 'deferred: a placeholder was left',
      moved: `moved before it was made, to ${record.detail}`,
      gone: 'moved or removed before it was made',
      bypass: `bypass ${record.reason}: ${record.detail}`,
    }[record.how];
    print(`${when}  ${how}${record.thunk ? `  ${record.thunk.slice(0, 13)}…` : ''}`);
    if (record.how === 'bypass') print(`  ${record.command}`);
  }
  for (const line of originLines(records, store)) print(line);
  const named = [...new Set(records.flatMap((r) => r.thunk ?? []))];
  const decode = (name: string | undefined): Thunk | undefined => {
    const bytes = name === undefined ? undefined : store.get(baseName(name));
    return bytes ? decodeThunk(bytes) : undefined;
  };
  const [newest, before] = [decode(named[0]), decode(named[1])];
  if (newest && before) {
    print('what changed since the thunk before it:');
    const old = new Set(thunkLines(before));
    const now = new Set(thunkLines(newest));
    for (const line of old) if (!now.has(line)) print(`- ${line}`);
    for (const line of now) if (!old.has(line)) print(`+ ${line}`);
  }
  for (const b of (explained.bypasses as { reason: string; detail: string; command: string }[]).slice(
    0,
    10,
  )) {
    print(`bypass ${b.reason}: ${b.detail}\n  ${b.command}`);
  }
  return EXIT.ok;
}

export function hash(files: readonly string[]): number {
  let code: number = EXIT.ok;
  for (const file of files) {
    try {
      print(`${hashFile(file)}  ${file}`);
    } catch (error) {
      process.stderr.write(
        `gg: ${file}: ${(error as NodeJS.ErrnoException).code === 'EISDIR' ? 'is a directory' : (error as Error).message}\n`,
      );
      code = EXIT.failed;
    }
  }
  return code;
}
