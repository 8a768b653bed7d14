// Pure questions over graphs of thunks. Iterative throughout: a chain of 100,000 thunks must not meet the stack's end.
import { baseName, isThunk, type ObjectName, type ObjectRef } from './name.ts';
import type { Thunk, ThunkInput } from './thunk.ts';

/** The thunk with every thunk output it reads replaced by the value `resultOf` gives. */
export function reduceInputs(thunk: Thunk, resultOf: (ref: ObjectRef) => ObjectName): Thunk {
  if (!thunk.inputs.some((i) => isThunk(i.name))) return thunk;
  const inputs = thunk.inputs.map(
    (i): ThunkInput => (isThunk(i.name) ? { path: i.path, name: resultOf(i.name as ObjectRef) } : i),
  );
  return { ...thunk, inputs };
}

/**
 * Visits what `roots` need, each name once, dependencies before dependents.
 * @param depsOf names a thunk needs; undefined for one that is not to be entered.
 */
export function visitGraph(
  roots: readonly ObjectName[],
  depsOf: (name: ObjectName) => readonly ObjectName[] | undefined,
  visit: (name: ObjectName) => void,
): void {
  const seen = new Set<ObjectName>();
  const stack: { name: ObjectName; deps: readonly ObjectName[]; next: number }[] = [];
  const enter = (name: ObjectName): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const deps = depsOf(name);
    if (deps !== undefined) stack.push({ name, deps, next: 0 });
  };
  for (const root of roots) {
    enter(baseName(root));
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      if (top.next < top.deps.length) enter(top.deps[top.next++]!);
      else {
        stack.pop();
        visit(top.name);
      }
    }
  }
}
