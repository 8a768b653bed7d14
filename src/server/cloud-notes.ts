// What a cloud engine did, in lines for the end of a build.
import type { LambdaEngine } from '../engine/lambda/lambda-engine.ts';
import type { TwinEngine } from '../engine/layers/racing.ts';
import type { ReapiEngine } from '../engine/reapi/reapi-engine.ts';
import type { SharedEngine } from '../engine/layers/shared.ts';

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([what, n]) => `${n} ${what}`)
    .join(', ');
}

export function lambdaNotes(engine: LambdaEngine, twins: TwinEngine, raced: number): readonly string[] {
  const { counts } = engine;
  const cost = engine.cost();
  const lines = [
    `lambda: ${counts.done} thunks, ${cost.invocations} invocations (${counts.coldStarts} cold starts), ` +
      `${(cost.billedMs / 1000).toFixed(1)} s billed, ${cost.gbSeconds.toFixed(1)} GB-s; ` +
      `$${cost.usd.toFixed(4)}${cost.estimated > 0 ? `, ${cost.estimated} invocations by our own clock` : ''}`,
  ];
  if (counts.chained > 0) lines.push(`lambda: ${counts.chained} thunks ran in chains`);
  if (counts.retries.size > 0) lines.push(`lambda: again after ${listed(counts.retries)}`);
  if (counts.local.size > 0) lines.push(`lambda: run here: ${listed(counts.local)}`);
  if (counts.confirmed + counts.disagreed > 0)
    lines.push(`lambda: ${counts.confirmed} failures confirmed here, ${counts.disagreed} not`);
  if (twins.twins > 0) lines.push(`lambda: ${twins.twins} twins of stragglers, ${twins.won} came first`);
  if (raced > 0) lines.push(`local: ${raced} thunks on idle cores`);
  return lines;
}

export function sharedNotes(engine: SharedEngine): readonly string[] {
  const { taken, offered, damaged, kept, unsigned } = engine.counts;
  if (taken + offered + damaged + kept + unsigned === 0) return [];
  const more = [
    damaged > 0 ? `${damaged} lost or damaged there` : '',
    kept > 0 ? `${kept} kept here` : '',
    unsigned > 0 ? `${unsigned} without a trusted signature not taken` : '',
  ];
  return [`remote: ${[`${taken} results taken`, `${offered} added`, ...more.filter(Boolean)].join(', ')}`];
}

/** @param calls requests of all kinds. */
export function reapiNotes(engine: ReapiEngine, calls: number, raced: number): readonly string[] {
  const { counts, cas } = engine;
  const lines = [
    `reapi: ${counts.done} thunks, ${counts.cached} of them from the server's cache; ${calls} requests, ` +
      `${cas.counters.uploadedBlobs} blobs of ${megabytes(cas.counters.uploadedBytes)} sent, ${megabytes(cas.counters.readBytes)} fetched`,
  ];
  if (counts.retries.size > 0) lines.push(`reapi: again after ${listed(counts.retries)}`);
  if (counts.local.size > 0) lines.push(`reapi: run here: ${listed(counts.local)}`);
  if (counts.confirmed + counts.disagreed > 0)
    lines.push(`reapi: ${counts.confirmed} failures confirmed here, ${counts.disagreed} not`);
  if (raced > 0) lines.push(`local: ${raced} thunks on idle cores`);
  return lines;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
