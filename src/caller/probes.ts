// Which files belong to a build system's questions about the machine rather than to the build.
// Source: autoconf (conftest.*), CMake (CMakeFiles/CMakeTmp, CMakeScratch, CompilerIdC, ShowIncludes), meson (meson-private,
// tmp directories below it), waf (conf_check), qmake (config.tests), scons (.sconf_temp), Linux kbuild (.tmp_PID/tmp).
const PROBE =
  /(?:^|\/)(?:conftest(?:[.\d-][^/]*)?$|_configtest|CMakeFiles\/(?:CMakeTmp|CMakeScratch|ShowIncludes|[^/]*\/CompilerId[^/]*|FortranCInterface)(?:\/|$)|CMakeTmp\/|CMakeScratch\/|TryCompile-[^/]*\/|meson-private\/|conf_check_[^/]*\/|config\.tests\/|\.sconf_temp\/|\.conf_check_|ac_nonexistent|\.tmp_\d+\/|ffconf\.[^/]*\/)|^\/dev\/(?!shm\/)/;

export function isProbePath(absPath: string): boolean {
  return PROBE.test(absPath);
}
