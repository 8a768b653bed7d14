// Answers one tool call: plan it, freeze the thunks, leave placeholders; or force what it reads and let the real tool run.
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Isolation } from '../engine/local/isolation.ts';
import { outputOf } from '../force/node.ts';
import { baseName, isValue, type ObjectName, outputRef } from '../ir/name.ts';
import { type ElfTarget, writePlaceholder } from '../ir/placeholder.ts';
import { decodeThunk } from '../ir/thunk.ts';
import { type Bypass, bypass, type Call, type Plan, type PlannedThunk } from '../models/model.ts';
import { modelFor } from '../models/registry.ts';
import { isBelow } from '../scan/disk/watching.ts';
import type { LocalStore } from '../store/local/local.ts';
import { tryStat } from '../base/stat.ts';
import { isProgram } from '../toolchain/program.ts';
import { ToolchainError } from '../toolchain/toolchain.ts';
import type { Placer } from '../tree/write-back.ts';
import {
  type Ancestry,
  ancestryOf,
  ancestryOfTool,
  compilerCacheAt,
  seesOurFiles,
} from '../caller/ancestry.ts';
import {
  type CallRequest,
  commandText,
  searchPathWithout,
  withAbsolutePath,
} from '../caller/call-request.ts';
import type { Contexts } from './context.ts';
import type { Forcer } from './forcer.ts';
import type { Freezer, Frozen } from './freezer.ts';
import type { History } from '../tree/history.ts';
import type { Journal } from '../tree/journal.ts';
import { keepsFile, modeOf, unlinkOtherName, write, writeThrough } from '../tree/output-files.ts';
import type { Scanned, SelfCheck } from './self-check.ts';
import type { Session } from './session.ts';
import { hasOtherStack } from '../caller/stack-limit.ts';
import { absolute, placeholderAt } from '../tree/placeholder-at.ts';

export type Answer =
  | { readonly kind: 'run' }
  | { readonly kind: 'ready' | 'failed' }
  | { readonly kind: 'exit'; readonly code: number; readonly stdout: Buffer; readonly stderr: Buffer };

const SHARED_LIBRARY = /\.so(?:\.[0-9.]+)?$/;

/** Stages begun before ninja asks: they read sources, and no placeholder but in rare cases. */
const AHEAD: ReadonlySet<PlannedThunk['stage']> = new Set(['compile', 'assemble']);

const RUN: Answer = { kind: 'run' };
const NO_BYTES = Buffer.alloc(0);
const done = (code: number, stdout: Buffer = NO_BYTES, stderr: Buffer = NO_BYTES): Answer => ({
  kind: 'exit',
  code,
  stdout,
  stderr,
});

export interface CallParts {
  readonly store: LocalStore;
  readonly journal: Journal;
  readonly history: History;
  readonly forcer: Forcer;
  readonly freezer: Freezer;
  readonly contexts: Contexts;
  readonly place: Placer;
  /** The "#!" interpreter of script placeholders. */
  readonly interpreter: string;
  readonly target: (realTool: string, searchPath: string) => Promise<ElfTarget>;
  /** Heals an archive that holds placeholders; true when it is clean. */
  readonly heal: (absPath: string, owner: string) => Promise<boolean>;
  readonly sessionOf: (id: string | undefined) => Session;
  readonly shimDirectories: ReadonlySet<string>;
  readonly selfCheck?: SelfCheck;
  readonly isolation: Pick<Isolation, 'serves'>;
}

export class Calls {
  readonly #p: CallParts;
  #serial = 0;

  constructor(parts: CallParts) {
    this.#p = parts;
  }

  /** @param keep the file must stay the same one: who asks has looked at it before. */
  async open(request: CallRequest, keep: boolean): Promise<Answer> {
    const session = this.#p.sessionOf(request.env.get('GG_SESSION'));
    const path = absolute(request.cwd, request.path);
    const before = Date.now();
    const ref = placeholderAt(path);
    if (ref === undefined) {
      await this.#p.heal(path, session.id);
      return { kind: 'ready' };
    }
    const [forced] = await Promise.all([
      this.#p.forcer.forcePath(path, session.id, { keep }),
      this.#forceLibraries(baseName(ref), session, new Set()),
    ]);
    session.emit({ type: 'midway', path, by: String(request.pid), waitMs: Date.now() - before });
    return { kind: forced.kind === 'real' ? 'ready' : 'failed' };
  }

  /** The dynamic loader reads a program's libraries behind everybody's back: they are in place before it starts. */
  async #forceLibraries(name: ObjectName, session: Session, seen: Set<ObjectName>): Promise<void> {
    const bytes = this.#p.store.get(name);
    if (!bytes || seen.has(name)) return;
    seen.add(name);
    const libraries = decodeThunk(bytes)
      .inputs.filter((i) => SHARED_LIBRARY.test(i.path))
      .map((i) => baseName(i.name))
      .filter((n) => !isValue(n));
    await Promise.all(
      libraries.flatMap((library) => [
        ...this.#p.journal.pathsOf(library).map((path) => this.#p.forcer.forcePath(path, session.id)),
        this.#forceLibraries(library, session, seen),
      ]),
    );
  }

  /** @param gone whether the caller has ended or hung up. */
  call(request: CallRequest, gone: () => boolean): Promise<Answer> {
    return this.#call(withAbsolutePath(request), gone);
  }

  async #call(request: CallRequest, gone: () => boolean): Promise<Answer> {
    const sinceMs = performance.now();
    const session = this.#p.sessionOf(request.env.get('GG_SESSION'));
    const mode = request.env.get('GG_MODE') ?? 'defer';
    if (mode === 'off') return RUN;
    if (!request.utf8) return this.#bypass(request, session, bypass('not-utf8', request.tool, 'all'));
    const unusual = request.unusual || (hasOtherStack(request.stackKb) ? 'RLIMIT_STACK' : '');
    if (unusual !== '')
      return this.#bypass(request, session, bypass('unusual-process', unusual, request.args));
    if (!seesOurFiles(request.pid))
      return this.#bypass(request, session, bypass('unusual-process', 'mount namespace', request.args));
    const preload = foreignPreload(request.env.get('LD_PRELOAD'));
    if (preload !== undefined)
      return this.#bypass(request, session, bypass('too-hard-environment', `LD_PRELOAD: ${preload}`, 'all'));
    const model = modelFor(request.tool);
    if (!model) return this.#bypass(request, session, bypass('unknown-tool', request.tool, request.args));
    // The linker of a real compiler driver that found us on its PATH: the driver's own work, half done.
    if (request.env.has('COLLECT_GCC'))
      return this.#bypass(request, session, bypass('inside-driver', request.tool, request.args));
    const ancestry = ancestryOfCall(request);
    if (ancestry.configuring)
      return this.#bypass(request, session, bypass('probe', 'below a configure script', request.args));
    // What it keeps for later builds must be the compiler's own output and diagnostics, never a placeholder.
    const cache = ancestry.compilerCache ?? compilerCacheAt(request.realTool);
    if (cache !== undefined)
      return this.#bypass(request, session, bypass('compiler-cache', cache, request.args));
    if (!isProgram(request.realTool))
      return this.#bypass(request, session, bypass('unknown-tool', aScript(request), request.args));
    const deferred =
      mode !== 'sync' &&
      !hasLostLibrary(request) &&
      ancestry.buildTool &&
      !ancestry.resultIsRead &&
      !ignoresErrors(request.env.get('MAKEFLAGS'));
    const searchPath = searchPathWithout(
      request.env.get('PATH') ?? '/usr/local/bin:/usr/bin:/bin',
      this.#p.shimDirectories,
    );
    const call: Call = {
      tool: request.tool,
      realTool: request.realTool,
      args: request.args,
      cwd: request.cwd,
      env: request.env,
      stderrTty: request.stderrTty,
      interposed: request.interposed,
    };
    if (deferred && session.stopped && !session.options.keepGoing) return done(1);
    let plan: Plan | Bypass;
    const scans: Scanned[] = [];
    try {
      plan = await model.plan(
        call,
        this.#p.contexts.forCall(searchPath, sinceMs, (scan) => scans.push(scan)),
      );
    } catch (error) {
      plan =
        error instanceof ToolchainError
          ? bypass('toolchain-query-failed', error.message, 'all')
          : bypass(
              'internal-error',
              error instanceof Error ? (error.stack ?? error.message) : String(error),
              'all',
            );
    }
    if (plan.kind === 'bypass')
      return deferred && this.#readsFailed(request, session) ? done(1) : this.#bypass(request, session, plan);
    const frozen = await this.#p.freezer.freeze(plan, request, searchPath, sinceMs, session);
    if (!Array.isArray(frozen)) return this.#bypass(request, session, frozen);
    if (frozen.length === 1 && scans.length === 1)
      this.#p.selfCheck?.planned(frozen[0]!.name, scans[0]!, ancestry.project ?? request.cwd);
    const sync = !deferred || plan.sync || !(await this.#canWait(frozen, request.realTool, searchPath));
    return sync
      ? this.#answerNow(plan, frozen, request, session, gone)
      : this.#defer(plan, frozen, request, searchPath, session, ancestry, gone);
  }

  /** Whether the runs may come after a change of their inputs: then they need a sandbox, which not every tool has everywhere. */
  async #canWait(frozen: readonly Frozen[], realTool: string, searchPath: string): Promise<boolean> {
    for (const { thunk } of frozen)
      if (!(await this.#p.isolation.serves(thunk.toolchain, realTool, searchPath))) return false;
    return true;
  }

  /** Begins the compile an expected call will ask for; leaves the tree alone, and tells nobody. */
  async prefetch(given: CallRequest, session: Session, owner: string): Promise<void> {
    const sinceMs = performance.now();
    const request = withAbsolutePath(given);
    if (foreignPreload(request.env.get('LD_PRELOAD')) !== undefined) return;
    if (compilerCacheAt(request.realTool) !== undefined || !isProgram(request.realTool)) return;
    const searchPath = searchPathWithout(request.env.get('PATH') ?? '', this.#p.shimDirectories);
    const model = modelFor(request.tool);
    const plan = await model?.plan(request, this.#p.contexts.forCall(searchPath, sinceMs));
    if (plan?.kind !== 'plan' || plan.sync || plan.thunks.some((t) => !AHEAD.has(t.stage))) return;
    const frozen = await this.#p.freezer.freeze(plan, request, searchPath, sinceMs, session);
    if (!Array.isArray(frozen)) return;
    for (const f of frozen) this.#p.forcer.reductor.add(f.name, owner, { thunk: f.thunk });
  }

  #readsFailed(request: CallRequest, session: Session): boolean {
    if (session.failedPaths.size === 0) return false;
    return request.args.some((a, i) => {
      // What failed before is to be made anew.
      if (request.args[i - 1] === '-o') return false;
      const path = absolute(request.cwd, a);
      return session.failedPaths.has(path) && !tryStat(path);
    });
  }

  /** Forces what the real tool will read, then lets it run. */
  async #bypass(request: CallRequest, session: Session, why: Bypass): Promise<Answer> {
    const command = commandText([request.tool, ...request.args]);
    session.noteBypass({
      tool: request.tool,
      reason: why.reason,
      detail: why.detail,
      command,
      cwd: request.cwd,
    });
    this.#p.history.note({
      path: request.cwd,
      how: 'bypass',
      reason: why.reason,
      detail: why.detail,
      command,
    });
    const candidates = new Set<string>();
    // What follows -MT and -MQ is a name in a depfile, mostly of what was compiled just before; nobody reads it.
    const words = request.args.filter((_, i) => !/^-M[TQ]$/.test(request.args[i - 1] ?? ''));
    for (const word of why.inputs === 'all' ? words : [...why.inputs, ...words]) {
      candidates.add(absolute(request.cwd, word));
      const eq = word.indexOf('=');
      if (eq > 0) candidates.add(absolute(request.cwd, word.slice(eq + 1)));
    }
    const paths = [...candidates].filter((p) => tryStat(p)?.isFile());
    if (why.inputs === 'all')
      for (const o of this.#p.journal.outstanding())
        if (this.#concerns(o.project, o.path, request, session)) paths.push(o.path);
    const before = Date.now();
    const forced = paths.filter((p) => placeholderAt(p) !== undefined);
    const results = await Promise.all(paths.map((p) => this.#makeReal(p, session)));
    if (forced.length > 0)
      session.emit({ type: 'midway', path: forced[0]!, by: request.tool, waitMs: Date.now() - before });
    if (results.includes(false) && why.inputs !== 'all') {
      const ancestry = ancestryOfCall(request);
      if (ancestry.buildTool) return done(1);
    }
    return RUN;
  }

  #concerns(project: string, path: string, request: CallRequest, session: Session): boolean {
    // Calls without a session are of no directory in particular.
    const { cwd } = session.options;
    const here = cwd === '/' ? [request.cwd] : [cwd, request.cwd];
    return isBelow(path, here) || isBelow(request.cwd, [project]);
  }

  async #makeReal(path: string, session: Session): Promise<boolean> {
    const forced = await this.#p.forcer.forcePath(path, session.id);
    if (forced.kind !== 'real') return false;
    return this.#p.heal(path, session.id);
  }

  /** The exit status is the answer: force, put the results in place, replay what the tool printed. */
  async #answerNow(
    plan: Plan,
    frozen: readonly Frozen[],
    request: CallRequest,
    session: Session,
    gone: () => boolean,
  ): Promise<Answer> {
    const owner = `now-${this.#serial++}-${session.id}`;
    const before = frozen.map((f) => this.#p.forcer.reductor.node(f.name, owner)?.state === 'done');
    const nodes = await Promise.all(
      frozen.map((f) => this.#p.forcer.reductor.force(f.name, owner, { urgent: true, thunk: f.thunk })),
    );
    if (nodes.some((n) => n.state !== 'done')) {
      // The real tool says it in its own words, and leaves what it leaves.
      await Promise.all(
        frozen.flatMap((f) =>
          f.thunk.inputs.map((i) => this.#makeReal(absolute(request.cwd, i.path), session)),
        ),
      );
      return RUN;
    }
    if (gone()) return done(1);
    for (const file of plan.files)
      writeFileSync(absolute(request.cwd, file.path), file.text, { mode: 0o666 & ~request.umask });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    for (const [i, node] of nodes.entries()) {
      const how = node.memoHit || before[i] === true ? 'memoized' : 'ran';
      for (const output of frozen[i]!.planned.outputs) {
        const value = outputOf(node, output.tag);
        const source = value === undefined ? undefined : this.#p.store.path(value);
        if (value === undefined || source === undefined) return RUN;
        const dest = absolute(request.cwd, output.path);
        // Not while the value of a placeholder that stands there is on its way.
        const errno = await this.#p.forcer.withPath(dest, async () => {
          if (gone()) return undefined;
          const stat = tryStat(dest);
          const keeps = keepsFile(frozen[i]!.planned, stat);
          if (!keeps) unlinkOtherName(dest);
          const error = await this.#p.place({
            source,
            dest,
            mode: modeOf(output, stat, request.umask),
            mtimeNs: -1n,
            sameInode: keeps && stat?.size === 0,
          });
          if (error === 0) this.#p.journal.settle(dest);
          return error;
        });
        if (errno === undefined) return done(1);
        if (errno !== 0) return RUN;
        this.#p.history.note({ path: dest, thunk: node.name, how, wallMs: node.wallMs });
      }
      stdout.push(node.stdout);
      stderr.push(node.stderr);
      session.emit({
        type: 'thunk-finished',
        name: node.name,
        label: frozen[i]!.planned.label,
        how,
        command: '',
        stdout: '',
        stderr: '',
        wallMs: node.wallMs,
        cpuMs: 0,
      });
    }
    return done(0, Buffer.concat(stdout), Buffer.concat(stderr));
  }

  async #defer(
    plan: Plan,
    frozen: readonly Frozen[],
    request: CallRequest,
    searchPath: string,
    session: Session,
    ancestry: Ancestry,
    gone: () => boolean,
  ): Promise<Answer> {
    const target = await this.#p.target(request.realTool, searchPath);
    if (gone()) return done(1);
    const sides = plan.files.map((f) => absolute(request.cwd, f.path));
    try {
      for (const [i, file] of plan.files.entries())
        writeFileSync(sides[i]!, file.text, { mode: 0o666 & ~request.umask });
      for (const f of frozen) {
        for (const output of f.planned.outputs) {
          const path = absolute(request.cwd, output.path);
          const ref = outputRef(f.name, output.tag);
          const bytes = writePlaceholder(output.form, ref, { interpreter: this.#p.interpreter, target });
          const left = await this.#p.forcer.withPath(path, async () => {
            if (gone()) return true;
            if (output.from !== undefined) this.#announceReplaced(path, session);
            this.#p.journal.promise({
              path,
              ref,
              project: ancestry.project ?? request.cwd,
              sides,
              watched: request.interposed,
            });
            const stat = tryStat(path);
            const mode = modeOf(output, stat, request.umask);
            if (keepsFile(f.planned, stat)) writeThrough(path, bytes, mode);
            else write(path, bytes, mode);
            return false;
          });
          if (left) return done(1);
          session.directories.add(dirname(path));
          session.paths.add(path);
          session.failedPaths.delete(path);
          session.taken.delete(path);
          this.#p.history.note({ path, how: 'deferred', thunk: baseName(ref) });
        }
        if (ancestry.silent) session.silent.add(f.name);
        session.emit({ type: 'thunk-added', name: f.name, label: f.planned.label, stage: f.planned.stage });
      }
    } catch (error) {
      return this.#bypass(request, session, bypass('unwritable-output', (error as Error).message, 'all'));
    }
    if (session.options.eager) for (const f of frozen) this.#p.forcer.begin(f.name, session);
    return done(0);
  }

  /**
   * What a tool that works in place finds was promised too. Where both are memoized nobody forces the first any more, and
   * what it printed (a link's warnings before strip) would not be heard.
   */
  #announceReplaced(path: string, session: Session): void {
    if (session.options.eager) return;
    const ref = placeholderAt(path);
    const name = ref && baseName(ref);
    if (name && this.#p.store.reduction(name)) this.#p.forcer.reductor.add(name, session.id);
  }
}

/**
 * Who was started without the library, behind a barrier, goes on reading what stands in the tree: it gets real outputs. Whoever set
 * GG_PRELOAD=0, or calls a shim without a build of ours, has chosen so.
 */
function hasLostLibrary({ interposed, env }: CallRequest): boolean {
  return !interposed && env.has('GG_SESSION') && env.get('GG_PRELOAD') !== '0';
}

function ancestryOfCall({ direct, pid, tool }: CallRequest): Ancestry {
  return direct ? ancestryOfTool(pid) : ancestryOf(pid, tool);
}

/** Preload libraries that change how a process gets memory, or which rights it believes it has; not what a tool writes. */
const HARMLESS_PRELOAD =
  /(?:^|\/)(?:gg-interpose[^/]*|lib(?:fakeroot(?:-\w+)?|eatmydata|jemalloc|tcmalloc(?:_minimal)?|mimalloc|stdbuf))\.so[.\d]*$/;

/** The library in the caller that a run of ours would not have. */
function foreignPreload(list: string | undefined): string | undefined {
  return list?.split(/[ :]/).find((path) => path !== '' && !HARMLESS_PRELOAD.test(path));
}

/** What it runs, and what that depends on, is for the shell to say. */
function aScript({ tool, realTool }: CallRequest): string {
  return `${tool}: ${realTool} is a script`;
}

/** `make -i`: a failure must be make's to ignore. The letters stand first, without a dash. */
export function ignoresErrors(makeflags: string | undefined): boolean {
  return /^[a-zA-Z]*i[a-zA-Z]*(?: |$)/.test(makeflags ?? '');
}
