// Looks over the scanner's shoulder: a sample of the compiles that really run writes its own list of files, which is compared
// with the scanned one. A difference puts the scanner out of trust for that project, for good (with this version), and
// leaves all that a report needs.
//
// The list comes by SUNPRO_DEPENDENCIES: gcc and clang append a rule with every file but the source to the file it names, and
// nothing else they write changes. Units whose environment has such a variable already, or that write a depfile some other
// way, cannot be sampled.
//
// Form of a report: JSON, DIRECTORY/NAME.json, see Report.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ForceJob, RunWatcher } from '../engine/engine.ts';
import type { ObjectName } from '../ir/name.ts';
import { parseRule } from '../scan/gcc-m.ts';
import type { ScanFound, ScanRequest } from '../scan/scanner.ts';
import type { SelfCheckStatus } from '../wire/cli-messages.ts';

/** Units of a project that are all sampled, until one in EVERY is. */
const FIRST = 8;
const EVERY = 8;
/** Sampled units that have not run yet. */
const WAITING_MAX = 1000;
/** Reports kept; the oldest go first. */
const REPORTS_MAX = 50;
const LIST = 'gg-self-check.d';
/** Variables and flags that make a compile write a list of its own. */
const OWN_LIST = /^(?:DEPENDENCIES_OUTPUT|SUNPRO_DEPENDENCIES)$/;
const DEPFILE_FLAG = /^-(?:M|Wp,.*-M)/;

/** One scan that was answered. */
export interface Scanned {
  readonly request: ScanRequest;
  readonly found: ScanFound;
}

export interface Report {
  readonly version: string;
  readonly at: string;
  /** Directory out of trust, with all below. */
  readonly project: string;
  readonly difference: string;
  /** The request, with `env` as pairs. */
  readonly request: Omit<ScanRequest, 'env'> & { readonly env: readonly (readonly [string, string])[] };
  readonly scanned: readonly string[];
  readonly compiled: readonly string[];
}

export interface SelfCheckParts {
  /** Where reports are. */
  readonly directory: string;
  readonly version: string;
  /** Scans again and compares; see FastScanner. */
  readonly differs: (request: ScanRequest, files: readonly string[]) => Promise<string | undefined>;
  readonly distrust: (directory: string) => void;
  readonly reported?: (report: Report, path: string, job: ForceJob) => void;
}

interface Waiting {
  readonly scanned: Scanned;
  readonly project: string;
}

export class SelfCheck implements RunWatcher {
  readonly #p: SelfCheckParts;
  readonly #waiting = new Map<ObjectName, Waiting>();
  readonly #planned = new Map<string, number>();
  readonly #reports: { path: string; project: string; difference: string }[] = [];
  #checked = 0;
  /** The comparisons under way, one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(parts: SelfCheckParts) {
    this.#p = parts;
    for (const [path, report] of this.#read()) this.#believe(path, report);
  }

  status(): SelfCheckStatus {
    return { checked: this.#checked, reports: [...this.#reports] };
  }

  /** A thunk whose list came from one scan. @param project the directory a difference puts out of trust. */
  planned(name: ObjectName, scanned: Scanned, project: string): void {
    // What the assembler or a precompiled header brings in is in no list of the preprocessor's.
    if (scanned.found.extra.length > 0) return;
    const count = this.#planned.get(project) ?? 0;
    this.#planned.set(project, count + 1);
    if ((count >= FIRST && count % EVERY !== 0) || this.#waiting.size >= WAITING_MAX) return;
    this.#waiting.set(name, { scanned, project });
  }

  begin(job: ForceJob, directory: string): readonly string[] {
    if (!this.#waiting.has(job.name) || directory.includes(' ')) return [];
    const { args, env } = job.thunk;
    if (
      env.some(([name]) => OWN_LIST.test(name)) ||
      args.some((arg) => typeof arg === 'string' && DEPFILE_FLAG.test(arg))
    ) {
      this.#waiting.delete(job.name);
      return [];
    }
    return [`SUNPRO_DEPENDENCIES=${join(directory, LIST)} x`];
  }

  end(job: ForceJob, directory: string): void {
    const waiting = this.#waiting.get(job.name);
    if (!waiting) return;
    this.#waiting.delete(job.name);
    let text: string;
    try {
      text = readFileSync(join(directory, LIST), 'utf8');
    } catch {
      // It failed before it came to that, or it is a compiler that knows no such variable.
      return;
    }
    const { found } = waiting.scanned;
    const compiled = [found.files[0]!, ...(parseRule(text) ?? [])];
    this.#checked++;
    if (compiled.length === found.files.length && compiled.every((file, i) => file === found.files[i]))
      return;
    this.#work = this.#work.then(() => this.#differs(job, waiting, compiled)).catch(() => {});
  }

  /** All comparisons so far are done. */
  settled(): Promise<void> {
    return this.#work;
  }

  async #differs(job: ForceJob, { scanned, project }: Waiting, compiled: readonly string[]): Promise<void> {
    // Time has passed between scan and compile: only what is wrong now too is the scanner's fault.
    const difference = await this.#p.differs(scanned.request, compiled);
    if (difference === undefined) return;
    const { env, ...request } = scanned.request;
    const report: Report = {
      version: this.#p.version,
      at: new Date().toISOString(),
      project,
      difference,
      request: { ...request, env: [...env] },
      scanned: scanned.found.files,
      compiled,
    };
    const path = this.#write(report);
    this.#believe(path, report);
    this.#p.reported?.(report, path, job);
  }

  #believe(path: string, { project, difference }: Report): void {
    this.#p.distrust(project);
    this.#reports.push({ path, project, difference });
  }

  #write(report: Report): string {
    const text = `${JSON.stringify(report, null, 1)}\n`;
    const name = createHash('sha256').update(report.project).digest('hex').slice(0, 16);
    const path = join(this.#p.directory, `${name}.json`);
    try {
      mkdirSync(this.#p.directory, { recursive: true, mode: 0o700 });
      const names = readdirSync(this.#p.directory);
      for (const old of names.slice(0, Math.max(0, names.length + 1 - REPORTS_MAX)))
        rmSync(join(this.#p.directory, old), { force: true });
      writeFileSync(path, text, { mode: 0o600 });
    } catch {
      // Out of trust all the same, until the server ends.
    }
    return path;
  }

  /** Reports of this version: another one may have been mended. */
  *#read(): Generator<[string, Report]> {
    let names: readonly string[] = [];
    try {
      names = readdirSync(this.#p.directory);
    } catch {
      return;
    }
    for (const name of names) {
      const path = join(this.#p.directory, name);
      try {
        const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
        if (report.version === this.#p.version && report.project.startsWith('/')) yield [path, report];
      } catch {
        rmSync(path, { force: true });
      }
    }
  }
}
