// The scanner that reads directives itself and remembers everything: tens of times faster than asking the compiler, and
// exact; what it cannot decide goes to the fallback, counted.
import { setImmediate } from 'node:timers';
import { findForAssembler, scanAssembler } from './walk/assembler.ts';
import { Bases } from './macros/predefined.ts';
import { Conditions, OpenQuestion } from './macros/conditions.ts';
import { type Config, ConfigError, Configs } from './compiler/config.ts';
import { Definitions } from './macros/expander.ts';
import { planScan, type ScanPlan } from './compiler/flags.ts';
import { Programs } from './walk/programs.ts';
import type {
  QueryRunner,
  ScanFound,
  ScanIncompleteReason,
  Scanner,
  ScanRequest,
  ScanResult,
} from './scanner.ts';
import { absentOf, absolutePath, type Entry, Search, wayOf } from './walk/search.ts';
import { Snapshot } from './memory/snapshot.ts';
import { Stop } from './stop.ts';
import { Symbols } from './text/symbols.ts';
import { Tree } from './disk/tree.ts';
import { type Clock, Unit } from './walk/unit.ts';
import { memoKey, UnitMemo } from './memory/unit-memo.ts';
import { isBelow, PACKAGE_ROOTS } from './disk/watching.ts';
import { Workspace } from './macros/workspace.ts';

export interface FastScannerOptions {
  readonly query: QueryRunner;
  readonly fallback: Scanner;
  /** Where answers and lexed files outlive the process; undefined: nowhere. */
  readonly cacheDir?: string;
  /** Let the kernel tell about changes of packages' files; else every file is looked at for every scan. */
  readonly watch: boolean;
  /** Where files count as packages' (the default is PACKAGE_ROOTS). */
  readonly watchRoots?: readonly string[];
  /** Directories to be watched at most (the default is well below what kernels allow). */
  readonly watchesMax?: number;
  /** Remember whole units (the default); without, every scan is evaluated. */
  readonly memo?: boolean;
}

export interface ScanStats {
  readonly scans: number;
  /** Answered from a unit's memory. */
  readonly memoHits: number;
  /** Answered by evaluation. */
  readonly evaluated: number;
  /** Handed to the fallback, by reason. */
  readonly handedOver: Readonly<Partial<Record<ScanIncompleteReason, number>>>;
  /** Not answered, by reason. */
  readonly incomplete: Readonly<Partial<Record<ScanIncompleteReason, number>>>;
  readonly filesLexed: number;
  readonly compilerRuns: number;
  readonly watches: number;
  /** Directories for which there was no watch left: their files are looked at for every scan. */
  readonly unwatched: number;
  /** What went wrong inside, last; undefined: nothing. */
  readonly lastError: unknown;
}

/** Milliseconds of scanning before other work of the process gets a turn. */
const SLICE_MS = 4;
/** Milliseconds from a scan until what it taught is written, and without scans before that. */
const SAVE_AFTER_MS = 20_000;
const SAVE_CALM_MS = 2000;
/** Search chains remembered. */
const SEARCHES_MAX = 2000;
/** gcc takes a precompiled header only for the first header it looks up; what it includes by itself comes before. */
const PRECOMPILED_LOOKED_AT = 8;
/** Times a unit may start again because the compiler had to be asked. */
const ROUNDS_MAX = 50;

interface Walking {
  readonly unit: Unit;
  readonly search: Search;
  readonly steps: Generator<void, void>;
}

interface Job {
  readonly request: ScanRequest;
  readonly plan: ScanPlan;
  config: Config | undefined;
  rounds: number;
  /** Begun, and interrupted so that others have their turn. */
  walking: Walking | undefined;
  readonly resolve: (result: ScanResult) => void;
  readonly reject: (error: unknown) => void;
}

function count(counts: Partial<Record<ScanIncompleteReason, number>>, reason: ScanIncompleteReason): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}

export class FastScanner implements Scanner {
  readonly #fallback: Scanner;
  readonly #tree: Tree;
  readonly #symbols = new Symbols();
  readonly #conditions = new Conditions(new Definitions(this.#symbols));
  readonly #workspace = new Workspace(this.#symbols);
  readonly #clock: Clock = { pauseAtMs: 0 };
  readonly #snapshot: Snapshot;
  readonly #programs: Programs;
  readonly #configs: Configs;
  readonly #bases = new Bases(this.#symbols);
  readonly #searches = new Map<string, Search>();
  readonly #memo: UnitMemo;
  readonly #distrusted = new Set<string>();
  readonly #remembers: boolean;
  /** Of the unit evaluated last. */
  #includesForAssembler = false;
  #queue: Job[] = [];
  #scheduled = false;
  #lastError: unknown;
  #saveTimer: NodeJS.Timeout | undefined;
  #lastScanMs = 0;
  #scans = 0;
  #memoHits = 0;
  #evaluated = 0;
  readonly #handedOver: Partial<Record<ScanIncompleteReason, number>> = {};
  readonly #incomplete: Partial<Record<ScanIncompleteReason, number>> = {};

  constructor(options: FastScannerOptions) {
    this.#fallback = options.fallback;
    this.#remembers = options.memo ?? true;
    this.#tree = new Tree(options.watch ? (options.watchRoots ?? PACKAGE_ROOTS) : [], options.watchesMax);
    this.#memo = new UnitMemo(this.#tree);
    this.#snapshot = new Snapshot(options.cacheDir, this.#symbols);
    this.#programs = new Programs(this.#symbols, this.#conditions, this.#snapshot);
    this.#configs = new Configs(options.query, this.#snapshot);
  }

  stats(): ScanStats {
    return {
      scans: this.#scans,
      memoHits: this.#memoHits,
      evaluated: this.#evaluated,
      handedOver: { ...this.#handedOver },
      incomplete: { ...this.#incomplete },
      filesLexed: this.#programs.lexed,
      compilerRuns: this.#configs.runs,
      watches: this.#tree.watches,
      unwatched: this.#tree.unwatched,
      lastError: this.#lastError,
    };
  }

  /** Writes what the next server can use. */
  async save(): Promise<void> {
    this.#snapshot.save(this.#programs, this.#memo);
  }

  /** Writes by itself once things have calmed down: a server may be killed. */
  #saveLater(): void {
    this.#lastScanMs = Date.now();
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      if (Date.now() - this.#lastScanMs < SAVE_CALM_MS) this.#saveLater();
      else this.#snapshot.save(this.#programs, this.#memo);
    }, SAVE_AFTER_MS).unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#saveTimer);
    await this.save();
    this.#tree.close();
  }

  async scan(request: ScanRequest): Promise<ScanResult> {
    this.#scans++;
    this.#snapshot.load(this.#tree, this.#memo);
    if (request.language === 'assembler') return this.#noted(scanAssembler(request));
    if (this.#isDistrusted(request.cwd)) return this.#handOver(request, 'self-check-failed');
    const plan = planScan(request);
    if ('unsupported' in plan) return this.#handOver(request, 'unsupported-flag');
    return new Promise((resolve, reject) => {
      this.#enqueue({ request, plan, config: undefined, rounds: 0, walking: undefined, resolve, reject });
    });
  }

  /** From now on what runs in this directory or below is scanned by the fallback. */
  distrust(directory: string): void {
    this.#distrusted.add(directory);
  }

  #isDistrusted(cwd: string): boolean {
    return this.#distrusted.size > 0 && isBelow(cwd, [...this.#distrusted]);
  }

  /**
   * Compares a scan made now with the list a real compile wrote (`files` as -MD lists them, the source first).
   * @returns what differs, undefined when nothing does or there is no scan to compare.
   */
  async selfCheck(request: ScanRequest, files: readonly string[]): Promise<string | undefined> {
    if (this.#isDistrusted(request.cwd)) return undefined;
    const result = await this.scan(request);
    if (result.kind !== 'found') return undefined;
    const at = files.findIndex((file, i) => file !== result.files[i]);
    if (at < 0 && files.length === result.files.length) return undefined;
    const place = at < 0 ? files.length : at;
    return `${request.source}: file ${place + 1} is ${files[place] ?? 'none'}, the scan says ${result.files[place] ?? 'none'}`;
  }

  #noted(result: ScanResult): ScanResult {
    if (result.kind === 'incomplete') count(this.#incomplete, result.reason);
    return result;
  }

  async #handOver(request: ScanRequest, reason: ScanIncompleteReason): Promise<ScanResult> {
    count(this.#handedOver, reason);
    return this.#noted(await this.#fallback.scan(request));
  }

  /**
   * Requests wait until the loop has polled once more: by then every change made before they were sent has been reported
   * by the watches. All that wait share one look at the disk.
   */
  #enqueue(job: Job): void {
    this.#queue.push(job);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#afterPoll();
  }

  /** The first immediate may run before the next poll, the second never does. */
  #afterPoll(): void {
    setImmediate(() => setImmediate(() => this.#turn()));
  }

  #turn(): void {
    this.#tree.newEpoch();
    this.#saveLater();
    const jobs = this.#queue;
    this.#queue = [];
    this.#slice(jobs, 0);
  }

  /** Works off jobs; those that came meanwhile wait for an epoch of their own. */
  #slice(jobs: readonly Job[], from: number): void {
    const start = performance.now();
    this.#clock.pauseAtMs = start + SLICE_MS;
    let next = from;
    while (next < jobs.length) {
      // One that is interrupted goes on before any other: they share the table of macros.
      if (!this.#step(jobs[next]!)) break;
      next++;
      if (performance.now() > this.#clock.pauseAtMs) break;
    }
    if (next < jobs.length) {
      setImmediate(() => this.#slice(jobs, next));
      return;
    }
    this.#scheduled = false;
    if (this.#queue.length > 0) {
      this.#scheduled = true;
      this.#afterPoll();
    }
  }

  /** @returns false when there is more to do. */
  #step(job: Job): boolean {
    const { request } = job;
    let open: string | undefined;
    job.config ??= this.#configs.ready(this.#configs.key(request, job.plan));
    try {
      if (job.config) {
        const result = this.#scanNow(job, job.config);
        if (result === 'paused') return false;
        if (result) {
          job.resolve(result);
          return true;
        }
      }
    } catch (error) {
      job.walking = undefined;
      if (error instanceof Stop) {
        if (error.handOver) this.#handOver(request, error.reason).then(job.resolve, job.reject);
        else job.resolve(this.#noted(error.result()));
        return true;
      }
      if (!(error instanceof OpenQuestion)) {
        // Ours to mend, and no reason to fail a build.
        this.#lastError = error;
        this.#handOver(request, 'query-failed').then(job.resolve, job.reject);
        return true;
      }
      open = error.question;
    }
    if (++job.rounds > ROUNDS_MAX) {
      this.#handOver(request, 'query-failed').then(job.resolve, job.reject);
      return true;
    }
    this.#prepare(job, open).then(
      () => this.#enqueue(job),
      (error: unknown) => {
        if (error instanceof ConfigError) this.#handOver(request, error.reason).then(job.resolve, job.reject);
        else job.reject(error);
      },
    );
    return true;
  }

  /** Everything that needs the compiler. */
  async #prepare(job: Job, question: string | undefined): Promise<void> {
    const key = this.#configs.key(job.request, job.plan);
    if (question !== undefined) return job.config!.ask([question]);
    const stale = job.config !== undefined;
    job.config = await this.#configs.get(key, job.request, job.plan, stale);
  }

  /** @returns undefined when the compiler has to be asked anew. */
  #scanNow(job: Job, config: Config): ScanFound | 'paused' | undefined {
    const { request } = job;
    if (job.walking) return this.#walkOn(job, job.walking, config);
    const tree = this.#tree;
    if (config.data.missing.some((path) => tree.directory(absolutePath('/', path)).exists)) return undefined;
    const key = memoKey(request, config.data.directories);
    const known = this.#remembers ? this.#memo.get(key) : undefined;
    if (known) {
      this.#memoHits++;
      return known;
    }
    this.#snapshot.loadPrograms();
    job.walking = this.#begin(job, config);
    return this.#walkOn(job, job.walking, config);
  }

  #begin({ request, plan }: Job, config: Config): Walking {
    const search = this.#searchOf(request, plan, config);
    const base = this.#bases.of(request, plan, config);
    this.#workspace.reset(base.macros);
    const unit = new Unit({
      search,
      config,
      conditions: this.#conditions,
      programs: this.#programs,
      mode: base.mode,
      workspace: this.#workspace,
      clock: this.#clock,
    });
    const preinclude = plan.hosted && plan.standardIncludes ? 'stdc-predef.h' : undefined;
    return { unit, search, steps: unit.walk(request.source, plan.imacros, preinclude, plan.includes) };
  }

  #walkOn(job: Job, { unit, search, steps }: Walking, config: Config): ScanFound | 'paused' {
    if (steps.next().done !== true) return 'paused';
    job.walking = undefined;
    const { request, plan } = job;
    const result = this.#resultOf(request, plan, unit);
    this.#evaluated++;
    // The tree does not see what the assembler includes.
    if (!this.#includesForAssembler)
      this.#memo.set(memoKey(request, config.data.directories), result, unit, search);
    return result;
  }

  #searchOf(request: ScanRequest, plan: ScanPlan, config: Config): Search {
    const paths = {
      quote: plan.quoteDirs,
      bracket: plan.bracketDirs,
      system: [
        ...plan.systemDirs,
        ...(plan.standardIncludes ? config.data.directories : []),
        ...plan.afterDirs,
      ],
      canonical: plan.canonical ?? config.data.canonical,
    };
    const key = JSON.stringify([request.cwd, paths]);
    let search = this.#searches.get(key);
    if (!search?.isCurrent()) {
      search = new Search(this.#tree, request.cwd, paths);
      this.#searches.delete(key);
      this.#searches.set(key, search);
      if (this.#searches.size > SEARCHES_MAX)
        this.#searches.delete(this.#searches.keys().next().value as string);
    }
    return search;
  }

  #resultOf(request: ScanRequest, plan: ScanPlan, unit: Unit): ScanFound {
    const files: string[] = [];
    const system: boolean[] = [];
    const extra = new Set<string>(unit.probed);
    let usesTime = false;
    this.#includesForAssembler = false;
    for (const { path, system: isSystem, marks } of unit.files) {
      files.push(withoutDot(path));
      system.push(isSystem);
      if (marks.time) usesTime = true;
      if (!isSystem && marks.pragma) throw new Stop('unsupported-directive', `${path}: _Pragma`, false);
      // Not only the user's: a header for embedding files may stand in a directory of -isystem.
      if (marks.assembler?.length === 0) continue;
      const included = findForAssembler(request.cwd, plan.assemblerDirs, marks.assembler);
      if (!included) throw new Stop('asm-include', path, false);
      for (const name of included) extra.add(name);
      if (included.length > 0) this.#includesForAssembler = true;
    }
    for (const entry of unit.searches.slice(0, PRECOMPILED_LOOKED_AT))
      for (const { precompiled } of wayOf(entry)) for (const path of precompiled) extra.add(path);
    let { searches }: { searches: readonly Entry[] } = unit;
    let absent: readonly string[] | undefined;
    return {
      kind: 'found',
      files,
      system,
      extra: [...extra],
      precompiledListed: true,
      ...(this.#includesForAssembler ? { assemblerReads: true as const } : {}),
      get absent() {
        if (!absent) {
          absent = absentOf(searches);
          searches = [];
        }
        return absent;
      },
      usesTime,
    };
  }
}

/** As gcc prints it: without a leading "./". */
function withoutDot(path: string): string {
  return path.replace(/^(?:\.\/+)+(?=.)/, '');
}
