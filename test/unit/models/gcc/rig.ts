// Runs one gcc call twice: as planned, from nothing but what the thunks declare, and plainly. Everything it writes and
// prints must be equal.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gccModel } from '../../../../src/models/gcc/model.ts';
import type { Bypass, Plan, PlannedThunk } from '../../../../src/models/model.ts';
import { type FakeOptions, fakeCall, fakeContext } from '../fake-context.ts';

export interface Case {
  readonly tool?: string;
  readonly args: readonly string[];
  /** Shell commands run for real beforehand. */
  readonly setup?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Directory below the project to call from. */
  readonly cwd?: string;
  readonly context?: FakeOptions;
  readonly stderrTty?: boolean;
}

const PATH = '/usr/bin:/bin';
const MODE_MASK = 0o777 & ~0o022;

/** Relative path to contents and permissions of every file below a directory. */
function snapshot(dir: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path.slice(dir.length + 1), `${statSync(path).mode & 0o777}:${readFileSync(path, 'latin1')}`);
  }
  return found;
}

export class Rig {
  readonly root = mkdtempSync(join(tmpdir(), 'gg-gcc-'));
  readonly project = join(this.root, 'project');

  constructor(files: Readonly<Record<string, string>>) {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.project, path)), { recursive: true });
      writeFileSync(join(this.project, path), text);
    }
  }

  close(): void {
    rmSync(this.root, { recursive: true });
  }

  async plan(wanted: Case): Promise<Plan | Bypass> {
    const call = fakeCall(wanted.tool ?? 'gcc', wanted.args, {
      cwd: join(this.project, wanted.cwd ?? ''),
      env: new Map(Object.entries({ PATH, ...wanted.env })),
      stderrTty: wanted.stderrTty ?? false,
    });
    return gccModel.plan(call, fakeContext(wanted.context));
  }

  setup(wanted: Case): void {
    if (wanted.setup === undefined) return;
    const run = spawnSync('sh', ['-ec', wanted.setup], { cwd: this.project, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
  }

  /** Runs a thunk where only its inputs are; in another directory when it claims not to care. */
  #runThunk(thunk: PlannedThunk, wanted: Case): { readonly bytes: string; readonly stderr: string } {
    const aside = join(this.root, 'aside');
    const place = thunk.needsCwd ? this.project : join(this.root, 'elsewhere', 'else');
    const cwd = join(place, wanted.cwd ?? '');
    const original = join(this.project, wanted.cwd ?? '');
    const result = join(this.root, 'result');
    renameSync(this.project, aside);
    try {
      mkdirSync(cwd, { recursive: true });
      mkdirSync(original, { recursive: true });
      for (const input of thunk.inputs) {
        const inProject = input.startsWith('/') ? input : join(original, input);
        if (!inProject.startsWith(`${this.project}/`)) continue;
        const to = input.startsWith('/') ? input : join(cwd, input);
        mkdirSync(dirname(to), { recursive: true });
        // The kernel walks through what stands before "..", so it must be there.
        for (let at = input.indexOf('/../'); at > 0; at = input.indexOf('/../', at + 1))
          if (!input.startsWith('..'))
            mkdirSync(`${input.startsWith('/') ? '' : `${cwd}/`}${input.slice(0, at)}`, { recursive: true });
        cpSync(join(aside, inProject.slice(this.project.length)), to);
      }
      const args = thunk.args.map((arg) => (typeof arg === 'string' ? arg : `${arg.prefix}${result}`));
      const run = spawnSync(thunk.tool, args, {
        cwd,
        env: { PATH, ...Object.fromEntries(thunk.env) },
        encoding: 'utf8',
      });
      assert.equal(run.status, 0, `${args.join(' ')}\n${run.stderr}`);
      return { bytes: readFileSync(result, 'latin1'), stderr: run.stderr.replaceAll(result, 'OUTPUT') };
    } finally {
      for (const dir of [place, this.project, result]) rmSync(dir, { recursive: true, force: true });
      renameSync(aside, this.project);
    }
  }

  /** Asserts that the plan makes what the plain call makes. @returns the plan */
  async compare(wanted: Case): Promise<Plan> {
    const original = snapshot(this.project);
    this.setup(wanted);
    const before = snapshot(this.project);
    const plan = await this.plan(wanted);
    assert.equal(plan.kind, 'plan', JSON.stringify(plan));
    assert.ok(plan.kind === 'plan');
    const cwd = join(this.project, wanted.cwd ?? '');
    const expected = new Map<string, string>();
    const relative = (path: string) => join('/', cwd.slice(this.project.length), path).slice(1);
    let stderr = '';
    for (const thunk of plan.thunks) {
      const made = this.#runThunk(thunk, wanted);
      stderr += made.stderr;
      const output = thunk.outputs[0]!;
      const path = output.path.startsWith('/')
        ? output.path.slice(this.project.length + 1)
        : relative(output.path);
      expected.set(path, `${(output.mode ?? 0o666) & MODE_MASK}:${made.bytes}`);
    }
    for (const file of plan.files) {
      const path = file.path.startsWith('/') ? file.path.slice(this.project.length + 1) : relative(file.path);
      expected.set(path, `${0o666 & MODE_MASK}:${file.text.toString('latin1')}`);
    }
    const plain = spawnSync(wanted.tool ?? 'gcc', wanted.args, {
      cwd,
      env: { PATH, ...wanted.env },
      encoding: 'utf8',
    });
    assert.equal(plain.status, 0, plain.stderr);
    const after = snapshot(this.project);
    for (const [path, content] of before) if (after.get(path) === content) after.delete(path);
    assert.deepEqual([...after.keys()].sort(), [...expected.keys()].sort(), 'the files written');
    for (const [path, content] of after)
      assert.ok(
        content === expected.get(path),
        `${path} differs: ${content.slice(0, 300)} | ${expected.get(path)?.slice(0, 300)}`,
      );
    if (!wanted.stderrTty) assert.equal(stderr, plain.stderr, 'what it prints');
    for (const path of snapshot(this.project).keys())
      if (!original.has(path)) rmSync(join(this.project, path));
    return plan;
  }
}
