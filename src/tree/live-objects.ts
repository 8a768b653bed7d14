// What outstanding placeholders need of the store, so that collecting garbage leaves it.
import { visitGraph } from '../ir/graph.ts';
import { baseName, isValue, type ObjectName } from '../ir/name.ts';
import { decodeThunk } from '../ir/thunk.ts';
import type { Store } from '../store/store.ts';
import type { Outstanding } from './journal.ts';

export function neededBy(outstanding: readonly Outstanding[], store: Store): Set<ObjectName> {
  const names = new Set<ObjectName>();
  visitGraph(
    outstanding.map((o) => baseName(o.ref)),
    (name) => {
      names.add(name);
      const bytes = isValue(name) ? undefined : store.get(name);
      return bytes ? decodeThunk(bytes).inputs.map((i) => baseName(i.name)) : [];
    },
    () => {},
  );
  return names;
}
