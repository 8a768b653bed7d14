// The virtual root as a program sees it: one that asks for everything and says what it got.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeThunk } from '../../../src/ir/thunk.ts';
import { captureToolchain } from '../../../src/toolchain/capture.ts';
import { Toolchains } from '../../../src/toolchain/toolchain.ts';
import type { WorkDone, WorkFailed } from '../../../src/worker/messages.ts';
import { PATH, query, WorkerRig } from './rig.ts';

const PROBE = String.raw`
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
extern char **environ;
static void say(const char *what, const char *value) { printf("%s: %s\n", what, value ? value : strerror(errno)); }
static void *many(void *p) {
  struct stat st;
  for (int i = 0; i < 2000; i++) {
    char name[64];
    snprintf(name, sizeof name, "/w/../x%d", i % 50);
    if (stat(name, &st) == 0 || errno != ENOENT) return p;
  }
  return NULL;
}
int main(int c, char **v) {
  char room[PATH_MAX], name[] = "/tmp/tXXXXXX.s", dir[] = "/tmp/dXXXXXX";
  struct stat st;
  if (c > 1 && strcmp(v[1], "child") == 0) {
    printf("child %s %s %s\n", v[0], v[2], getcwd(room, sizeof room));
    return 7;
  }
  say("cwd", getcwd(room, sizeof room));
  say("real", realpath("../../../..", room));
  say("real missing", realpath("/etc/passwd", room));
  say("real file", realpath("../../w/in.txt", room));
  ssize_t n = readlink("/proc/self/exe", room, sizeof room);
  room[n > 0 ? n : 0] = 0;
  say("exe", room);
  n = readlink("/lib64", room, sizeof room);
  room[n > 0 ? n : 0] = 0;
  say("link", room);
  say("host file", open("/etc/passwd", O_RDONLY) < 0 ? NULL : "seen");
  say("climbing", open("../../../../../../../../../etc/passwd", O_RDONLY) < 0 ? NULL : "seen");
  say("climbing absolute", open("/w/../../../../../etc/passwd", O_RDONLY) < 0 ? NULL : "seen");
  say("through a file", stat("/w/in.txt/../in.txt", &st) < 0 ? NULL : "seen");
  say("through a link", stat("/lib64/../lib64/ld-linux-x86-64.so.2", &st) < 0 ? NULL : "seen");
  say("input", stat("in.txt", &st) < 0 ? NULL : "seen");
  printf("mtime %ld\n", (long)st.st_mtime);
  say("write to input", open("in.txt", O_WRONLY) < 0 ? NULL : "written");
  say("chmod of input", chmod("in.txt", 0777) < 0 ? NULL : "changed");
  say("proc root", open("/proc/self/root/etc/passwd", O_RDONLY) < 0 ? NULL : "seen");
  say("null", open("/dev/null", O_RDWR) < 0 ? NULL : "seen");
  int fd = mkstemps(name, 2);
  printf("temporary %d %zu\n", fd >= 0 && access(name, R_OK) == 0, strlen(name));
  printf("temporary directory %d\n", mkdtemp(dir) && chdir(dir) == 0 && strcmp(getcwd(room, sizeof room), dir) == 0);
  printf("tmpfile %d\n", tmpfile() != NULL);
  printf("back %d\n", chdir("/w"));
  DIR *d = opendir("/w");
  int entries = 0;
  for (struct dirent *e; (e = readdir(d));) entries++;
  printf("entries %d\n", entries);
  printf("symlink %d\n", symlink("/w/in.txt", "/tmp/l"));
  n = readlink("/tmp/l", room, sizeof room);
  room[n > 0 ? n : 0] = 0;
  say("symlink", room);
  say("through it", stat("/tmp/l", &st) < 0 ? NULL : "seen");
  unsigned char a[8] = {0}, b[8] = {0};
  printf("random %d\n", getrandom(a, 8, 0) == 8 && getentropy(b, 8) == 0 && memcmp(a, b, 8) != 0);
  int r = open("/dev/urandom", O_RDONLY);
  printf("urandom %d\n", read(r, a, 8) == 8);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  printf("clock %d\n", now.tv_sec > 1400000000 && now.tv_nsec == 0);
  fflush(stdout);
  pid_t pid;
  int status = 0;
  char *arguments[] = {"a name", "child", "spawned", NULL};
  printf("spawn %d\n", posix_spawnp(&pid, "probe", NULL, NULL, arguments, environ) == 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
  fflush(stdout);
  if ((pid = vfork()) == 0) {
    execl("/opt/probe", "other", "child", "forked", NULL);
    _exit(1);
  }
  waitpid(pid, &status, 0);
  printf("fork %d\n", WEXITSTATUS(status));
  printf("no program %d %d\n", execl("/bin/sh", "sh", NULL), errno == ENOENT);
  printf("no shell %d\n", WEXITSTATUS(system("exit 3")));
  errno = 77;
  access("/w", R_OK);
  printf("errno %d\n", errno);
  pthread_t t[4];
  void *bad = NULL, *got;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, many, "wrong");
  for (int i = 0; i < 4; i++) {
    pthread_join(t[i], &got);
    if (got) bad = got;
  }
  say("threads", bad ? bad : "right");
  fclose(fopen("out.txt", "w"));
  return 0;
}
`;

const EXPECTED = `cwd: /w
real: /
real missing: No such file or directory
real file: /w/in.txt
exe: /opt/probe
link: usr/lib64
host file: No such file or directory
climbing: No such file or directory
climbing absolute: No such file or directory
through a file: Not a directory
through a link: seen
input: seen
mtime 1000000000
write to input: Permission denied
chmod of input: Operation not permitted
proc root: No such file or directory
null: seen
temporary 1 14
temporary directory 1
tmpfile 1
back 0
entries 3
symlink 0
symlink: /w/in.txt
through it: seen
random 1
urandom 1
clock 1
child a name spawned /w
spawn 1
child other forked /w
fork 7
no program -1 1
no shell 127
errno 77
threads: right
`;

const rig = new WorkerRig();
after(() => rig.close());
const probe = join(rig.home, 'probe');

before(() => {
  writeFileSync(join(rig.home, 'probe.c'), PROBE);
  const made = spawnSync('gcc', ['-O1', '-w', 'probe.c', '-o', probe, '-pthread'], {
    cwd: rig.home,
    encoding: 'utf8',
  });
  assert.equal(made.status, 0, made.stderr);
});

/** Runs the probe as /opt/probe. */
async function run(): Promise<WorkDone | WorkFailed> {
  const digestOf = (path: string) => rig.digests.digest(path);
  const captured = await captureToolchain(await new Toolchains(query, digestOf).of(probe, PATH), {
    realTool: probe,
    vroot: rig.vroot,
    digestOf,
    query,
  });
  assert.ok(captured.kind === 'captured', JSON.stringify(captured));
  for (const [name, path] of captured.pathByName) copyFileSync(path, join(rig.remote, name));
  const { digest } = captured.manifest;
  const files = captured.manifest.files.map(([path, name, mode]) => [
    path === probe ? '/opt/probe' : path,
    name,
    mode,
  ]);
  const manifest = rig.put(`${JSON.stringify({ gg: 2, ...captured.manifest, files })}\n`);
  const { name, bytes } = encodeThunk({
    tool: 'probe',
    toolchain: digest,
    args: [],
    env: [],
    cwd: '',
    inputs: [{ path: 'in.txt', name: rig.put('x') }],
    absent: [],
    outputs: [{ tag: 'o', path: 'out.txt' }],
    salt: [],
  });
  const item = {
    name,
    thunk: bytes.toString(),
    realTool: '/opt/probe',
    cwd: '/w',
    pwd: '/w',
    searchPath: '/nowhere:/opt',
  };
  const [result] = await rig.run([item], { toolchain: manifest });
  assert.ok(result);
  return result;
}

test('what a program sees', async () => {
  const result = await run();
  assert.ok(result.kind === 'done', JSON.stringify(result));
  assert.equal(Buffer.from(result.stderr, 'base64').toString(), '');
  assert.equal(Buffer.from(result.stdout, 'base64').toString(), EXPECTED);
  assert.ok(result.undeclaredMisses.includes('/etc/passwd'));
  assert.ok(result.undeclaredMisses.includes('/bin/sh'));
  assert.ok(result.undeclaredMisses.includes('/x49'));
  assert.deepEqual(await rig.leftovers().then((left) => left.filter((path) => !path.endsWith('/probe'))), []);
});
